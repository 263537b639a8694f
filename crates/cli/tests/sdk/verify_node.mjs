// Calls a Messaging API with LINE's own SDK for Node.js, unmodified, once for each token.
//
// Arguments: the API's address. Each line on standard input is a token; it is answered with the
// status of `GET /v2/bot/info` and that of `POST /v2/bot/message/broadcast`.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../../../target/test-parts/node/", import.meta.url));
const { HTTPFetchError, messagingApi } = require("@line/bot-sdk");

const status = async (call) => {
  try {
    return (await call()).httpResponse.status;
  } catch (refusal) {
    if (!(refusal instanceof HTTPFetchError)) throw refusal;
    return refusal.status;
  }
};

for await (const channelAccessToken of createInterface({ input: process.stdin })) {
  const api = new messagingApi.MessagingApiClient({ channelAccessToken, baseURL: process.argv[2] });
  const messages = [{ type: "text", text: "Hello" }];
  const info = await status(() => api.getBotInfoWithHttpInfo());
  console.log(info, await status(() => api.broadcastWithHttpInfo({ messages })));
}
