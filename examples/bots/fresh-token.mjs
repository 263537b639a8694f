/** A channel access token that is always fresh, for bots on LINE's SDK for Node.js.
 *
 *  `tegata agent` renews the token; the bot reads it for each call instead of holding
 *  one that expires. Copy this file into your bot's folder:
 *
 *      import { messagingApi } from "@line/bot-sdk";
 *      import { fresh, fromFile } from "./fresh-token.mjs";
 *
 *      const client = fresh(messagingApi.MessagingApiClient, fromFile("/run/bot/token"));
 *      await client.pushMessage(...);
 *
 *  and use `client` for as long as the process runs.
 */

import { readFile } from "node:fs/promises";
import { request } from "node:http";

/** A client of the SDK that is replaced when the token changes. */
export function fresh(Client, token, options = {}) {
  let client, held;
  const call = (name) => async (...args) => {
    const channelAccessToken = await token();
    if (channelAccessToken !== held) {
      client = new Client({ ...options, channelAccessToken });
      held = channelAccessToken;
    }
    return client[name](...args);
  };
  // An object with a `then` would be awaited like a promise.
  return new Proxy({}, { get: (_, name) => (name === "then" ? undefined : call(name)) });
}

/** The token in a file that the agent replaces as a whole. */
export function fromFile(path) {
  return async () => (await readFile(path, "ascii")).trim();
}

/** The token of this name, from the agent's Unix socket. */
export function fromSocket(socketPath, name, secret) {
  const headers = { authorization: `Bearer ${secret}` };
  return () =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath, path: `/token/${name}`, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part) => (text += part));
        response.on("end", () => {
          const body = JSON.parse(text);
          if (response.statusCode === 200) resolve(body.access_token);
          else reject(new Error(`the agent has no token: ${body.message}`));
        });
      });
      sent.on("error", reject);
      sent.end();
    });
}
