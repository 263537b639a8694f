/** Measures verifications in nanoseconds each, in rounds: from memory, and by introspection.
 *
 *  Arguments: the authority's address, a verifier's token, a file of tokens, the number of rounds.
 */
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const { connect } = require("./tegata");

const [url, secret, file, rounds] = process.argv.slice(2);
const tokens = fs.readFileSync(file, "utf8").split("\n");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const headers = {
  authorization: `Bearer ${secret}`,
  "content-type": "application/x-www-form-urlencoded",
};

function ask(token) {
  return new Promise((resolve, reject) => {
    const options = { agent, headers, method: "POST" };
    const request = http.request(`${url}/oauth2/introspect`, options, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve(JSON.parse(text).active));
    });
    request.on("error", reject).end(new URLSearchParams({ token }).toString());
  });
}

async function measure() {
  const verifier = connect(url, secret);
  if (!(await verifier.ready(60))) throw new Error("no view");

  async function warm() {
    const began = process.hrtime.bigint();
    for (let n = 0; n < 10; n++) {
      for (const token of tokens) await verifier.verify(token);
    }
    return Number(process.hrtime.bigint() - began) / (10 * tokens.length);
  }

  async function introspection() {
    const began = process.hrtime.bigint();
    for (const token of tokens.slice(0, 50)) {
      if (!(await ask(token))) throw new Error("not active");
    }
    return Number(process.hrtime.bigint() - began) / 50;
  }

  await warm();
  const measured = { warm: [], introspection: [] };
  for (let n = 0; n < Number(rounds); n++) {
    measured.warm.push(await warm());
    measured.introspection.push(await introspection());
  }
  console.log(JSON.stringify(measured));
  agent.destroy();
}

measure();
