/** The token suppliers for LINE's SDK. */
"use strict";

const assert = require("node:assert");
const fs = require("node:fs/promises");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { fromSocket } = require("tegata/line");

/** Runs `use` with the path of a socket whose agent calls `answer` for each connection. */
async function agent(answer, use) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "agent-"));
  const at = path.join(folder, "socket");
  const open = new Set();
  const listener = net.createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => answer(socket));
  });
  await new Promise((resolve) => listener.listen(at, resolve));
  try {
    await use(fromSocket(at, "bot", "secret"));
  } finally {
    for (const socket of open) socket.destroy();
    listener.close();
    await fs.rm(folder, { recursive: true });
  }
}

/** A response as it is on the wire. */
function response(status, body) {
  return `HTTP/1.1 ${status} X\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

test("the token of the agent is the one that its socket answers", async () => {
  const body = JSON.stringify({ access_token: "token" });
  await agent((socket) => socket.end(response(200, body)), async (token) => {
    assert.strictEqual(await token(), "token");
  });
});

test("an answer that is none is an error that can be caught, and not the end of the process", async () => {
  const whole = response(200, JSON.stringify({ access_token: "token" }));
  const answers = {
    "no JSON": [response(200, "<html>"), /JSON/],
    "no body": [response(200, ""), /JSON/],
    "cut in the body": [whole.slice(0, -5), /aborted/],
    "cut after the head": [whole.slice(0, whole.indexOf("{")), /aborted/],
    "cut in the head": [whole.slice(0, 10), /./],
    "no token": [response(404, '{"message":"there is no such name"}'), /no such name/],
  };
  for (const [name, [text, message]] of Object.entries(answers)) {
    await agent((socket) => socket.end(text), (token) => assert.rejects(token(), message, name));
  }
  await assert.rejects(fromSocket("/nowhere", "bot", "secret")(), /ENOENT/);
});

test("a silent agent is waited for no longer than ten seconds", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{";
  for (const said of ["", begun]) {
    const late = async (token) => {
      const rejected = assert.rejects(token(), /within 10 s/);
      await asked;
      t.mock.timers.tick(10_000);
      await rejected;
    };
    let note;
    const asked = new Promise((resolve) => (note = resolve));
    await agent((socket) => socket.write(said, note), late);
  }
});
