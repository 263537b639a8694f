/** A channel access token that is always fresh, for bots on LINE's SDK for Node.js: see
 *  `line.d.ts`. */
"use strict";

const { readFile } = require("node:fs/promises");
const { request } = require("node:http");
const { json } = require("node:stream/consumers");

/** How long the agent may take to answer, in milliseconds. */
const PATIENCE = 10_000;

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
  return async () => {
    const { status, body } = await ask({ socketPath, path: `/token/${name}`, headers });
    if (status !== 200) throw new Error(`the agent has no token: ${body.message}`);
    return body.access_token;
  };
}

/** Sends a request; resolves to the status and the body, which is JSON. */
function ask(options) {
  let timer;
  const answer = new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      // Fails as well if the response is cut, or is no JSON.
      json(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    });
    timer = setTimeout(() => {
      reject(new Error(`the agent did not answer within ${PATIENCE / 1000} s`));
      sent.destroy();
    }, PATIENCE);
    sent.on("error", reject).end();
  });
  return answer.finally(() => clearTimeout(timer));
}

module.exports = { fresh, fromFile, fromSocket };
