/** A channel access token that is always fresh, for bots on LINE's SDK for Node.js: see
 *  `line.d.ts`. */
"use strict";

const { readFile } = require("node:fs/promises");
const { request } = require("node:http");

function fresh(Client, token, options = {}) {
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

function fromFile(path) {
  return async () => (await readFile(path, "ascii")).trim();
}

function fromSocket(socketPath, name, secret) {
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

module.exports = { fresh, fromFile, fromSocket };
