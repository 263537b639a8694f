/** A channel access token that is always fresh, for bots on LINE's SDK for Node.js.
 *
 *  `tegata agent` renews the token; the bot reads it for each call instead of holding one that
 *  expires:
 *
 *      const { messagingApi } = require("@line/bot-sdk");
 *      const { fresh, fromFile } = require("tegata/line");
 *
 *      const client = fresh(messagingApi.MessagingApiClient, fromFile("/run/bot/token"));
 *      await client.pushMessage(...);
 *
 *  Use `client` for as long as the process runs.
 */

/** A client of the SDK that is replaced when the token changes. */
export function fresh<Client>(
  Client: new (options: any) => Client,
  token: () => Promise<string>,
  options?: object,
): Client;

/** The token in a file that the agent replaces as a whole. */
export function fromFile(path: string): () => Promise<string>;

/** The token of this name, from the agent's Unix socket. */
export function fromSocket(socketPath: string, name: string, secret: string): () => Promise<string>;
