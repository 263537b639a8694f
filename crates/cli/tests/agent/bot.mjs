/** A bot that lives through rotations: one process, one client of LINE's SDK each
 *  for the agent's file and its socket, asked over and over. Says `ok TOKENS`, the
 *  number of different tokens that it was seen with, after each round; ends when
 *  its stdin does. */

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { BINDINGS, SDK, TOKEN_FILE, SOCKET, CALLER_SECRET, API } = process.env;
const { messagingApi } = createRequire(`${SDK}/`)("@line/bot-sdk");
const { fresh, fromFile, fromSocket } = await import(`${BINDINGS}/node/line.js`);

const seen = new Set();
const noting = (token) => async () => {
  const found = await token();
  seen.add(found);
  return found;
};
const clients = [fromFile(TOKEN_FILE), fromSocket(SOCKET, "bot", CALLER_SECRET)].map((token) =>
  fresh(messagingApi.MessagingApiClient, noting(token), { baseURL: API }),
);

for await (const _ of createInterface({ input: process.stdin })) {
  for (const client of clients) {
    // Throws where the API answers 401.
    const { displayName } = await client.getBotInfo();
    if (displayName !== "Bot") throw new Error(displayName);
  }
  console.log("ok", seen.size);
}
