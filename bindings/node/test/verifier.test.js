/** Verification against a server, and the follower's thread and the process. */
"use strict";

const assert = require("node:assert");
const { spawnSync } = require("node:child_process");
const dns = require("node:dns/promises");
const fs = require("node:fs/promises");
const net = require("node:net");
const test = require("node:test");
const { connect, Invalid, Unknown } = require("tegata");
const { StandIn, withStandIn } = require("tegata/stand-in");

let server, verifier;

test.before(async () => {
  server = await StandIn.start();
  verifier = await server.connect({ staleness: 30 });
});

test.after(() => server.stop());

/** An address that accepts connections and never answers; resolves to it and how to close it. */
function silent() {
  const open = new Set();
  const listener = net.createServer((socket) => open.add(socket));
  const close = () => {
    listener.close();
    for (const socket of open) socket.destroy();
  };
  return new Promise((resolve) => {
    listener.listen(0, "127.0.0.1", () =>
      resolve({ url: `http://127.0.0.1:${listener.address().port}`, close }),
    );
  });
}

async function credential(server, name) {
  const made = await server.admin("POST", "/verifiers", { name });
  return { path: `/verifiers/${made.verifier_id}`, secret: made.verifier_token };
}

/** Waits until a verifier, by its path, has no instance. */
async function untilGone(path) {
  const began = Date.now();
  while ((await server.admin("GET", path)).instances.length > 0) {
    assert(Date.now() - began < 60_000, "an instance did not say that it stopped");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Runs a program in a process of its own; returns what it prints, or fails. */
function run(program, ...words) {
  const done = spawnSync(process.execPath, ["-e", program, ...words], { encoding: "utf8", timeout: 120_000 });
  assert.strictEqual(done.status, 0, done.stderr);
  return done.stdout.trim();
}

/** A token as it would be under another key, which none knows. */
function ofAnUnknownKey(token) {
  const [header, ...rest] = token.split(".");
  const { kid, ...others } = JSON.parse(Buffer.from(header, "base64url"));
  const other = (kid[0] === "A" ? "B" : "A") + kid.slice(1);
  const changed = Buffer.from(header, "base64url").toString().replace(kid, other);
  assert(others && changed.includes(other));
  return [Buffer.from(changed).toString("base64url"), ...rest].join(".");
}

test("every kind of token is verified with its facts", async () => {
  for (const kind of ["stateless", "short-lived", "long-lived", "v2.1"]) {
    const token = await verifier.verify(await server.issue(kind));
    assert.deepStrictEqual([token.kind, token.channel], [kind, server.channel.id]);
    assert(token.until > token.issuedAt && token.issuedAt >= (await server.now()) - 60);
    assert(token.stale === null && token.group === null && token.id && token.provider);
  }
  const grouped = await verifier.verify(await server.issue("stateless", { group: "kitchen" }));
  assert.strictEqual(grouped.group, "kitchen");
});

test("a revoked token is invalid once its receipt is complete", async () => {
  const token = await server.issue("short-lived");
  assert(verifier.recall(token));
  await server.revoke(token);
  const invalid = (error) => error instanceof Invalid && error.status === 401;
  await assert.rejects(verifier.verify(token), invalid);
  assert.throws(() => verifier.recall(token), /revoked/);
});

test("what is no token is invalid", async () => {
  for (const text of ["", "x", "tgs_none", "eyJ.a.b", "\u00e9", "x".repeat(10_000)]) {
    await assert.rejects(verifier.verify(text), Invalid);
  }
});

test("a token expires when the clock is moved", withStandIn(async (server) => {
  const token = await server.issue();
  const verifier = await server.connect({ staleness: 30 });
  assert(await verifier.verify(token));
  await server.advance(15 * 60);
  await assert.rejects(verifier.verify(token), /expired/);
}));

test("the state is unknown and not invalid without a view, and the event loop runs on", async () => {
  const { url, close } = await silent();
  const verifier = connect(url, "token");
  let ticks = 0;
  const ticking = setInterval(() => (ticks += 1), 10);
  const unknown = (error) => error instanceof Unknown && error.status === 503;
  await assert.rejects(verifier.verify("eyJ.a.b"), unknown);
  clearInterval(ticking);
  assert(ticks > 3);
  assert(verifier.age() === null && !(await verifier.ready(0)));
  await verifier.close(0);
  close();
});

test("after close the state is unknown and the instance is gone", async () => {
  const { path, secret } = await credential(server, "closed");
  const token = await server.issue();
  const verifier = connect(server.url, secret);
  assert(await verifier.ready(60));
  assert((await verifier.verify(token)) && verifier.age() < 60);
  assert.strictEqual((await server.admin("GET", path)).instances.length, 1);
  await verifier.close(60);
  assert.deepStrictEqual((await server.admin("GET", path)).instances, []);
  await assert.rejects(verifier.verify(token), /stopped/);
});

test("uses are reported to the authority", async () => {
  const { secret } = await credential(server, "uses");
  const token = await server.issue("short-lived");
  const verifier = connect(server.url, secret);
  assert(await verifier.ready(60));
  const { id } = await verifier.verify(token, "192.0.2.1");
  verifier.recall(token, "192.0.2.2");
  await verifier.close(60);
  const row = await server.admin("GET", `/channels/${server.channel.id}/tokens/${id}`);
  assert(row.last_used_at);
  const uses = row.recent_uses.map(({ source, count }) => `${source} ${count}`).sort();
  assert.deepStrictEqual(uses, ["192.0.2.1 1", "192.0.2.2 1"]);
});

test("wrong settings are rejected with what is right", () => {
  for (const [options, words] of [
    [{ staleness: 0.1 }, /out of range/],
    [{ onStale: "perhaps" }, /onStale is `deny`/],
    [{ authorityCa: "x" }, /no certificate/],
  ]) {
    assert.throws(() => connect("https://tokens.example", "token", options), words);
  }
  assert.throws(() => connect("ftp://tokens.example", "token"), /address of an authority/);
});

test("modules with import find every name", async () => {
  const found = await import("tegata");
  for (const name of ["Invalid", "NotAccepted", "Token", "Unknown", "Verifier", "connect"]) {
    assert(name in found, name);
  }
  const { StandIn, withStandIn } = await import("tegata/stand-in");
  const { fresh, fromFile, fromSocket } = await import("tegata/line");
  assert(StandIn && withStandIn && fresh && fromFile && fromSocket);
});

test("tokens of unknown keys keep no thread, and only so many of them wait", withStandIn(async (server) => {
  const verifier = await server.connect({ staleness: 60 });
  const good = await server.issue();
  const bad = ofAnUnknownKey(good);
  assert.strictEqual(verifier.recall(bad), null);
  // The authority is silent, so each of them waits for a second.
  await server.fault(503, { count: 1_000_000, path: "/feed/" });
  const gate = verifier.gate();
  const request = { rawHeaders: ["Authorization", `Bearer ${bad}`], socket: {} };
  const answers = { busy: 0, late: 0 };
  const began = Date.now();
  const waiting = Array.from({ length: 1_100 }, async (_, number) => {
    if (number % 2 === 0) return assert.strictEqual((await gate.decide(request)).refused.status, 503);
    const unknown = await verifier.verify(bad).catch((error) => error);
    assert(unknown instanceof Unknown, unknown);
    answers[/too many/.test(unknown.message) ? "busy" : "late"] += 1;
  });
  // Both need a thread of the pool.
  for (const _ of Array(20)) await fs.readFile(__filename);
  await dns.lookup("localhost");
  assert(await verifier.verify(good));
  await Promise.all(waiting);
  // On four threads, they would take four minutes.
  assert(Date.now() - began < 60_000, `${Date.now() - began} ms`);
  assert(answers.busy > 0 && answers.late > 0, JSON.stringify(answers));
  await server.clearFaults();
  // There is room again, and an answer.
  const invalid = (error) => error instanceof Invalid || /in time/.test(error.message);
  await assert.rejects(verifier.verify(bad), invalid);
}));

test("a process with many verifiers exits after a second while the authority is silent", async () => {
  const { url, close } = await silent();
  const began = Date.now();
  const program = `for (let i = 0; i < 20; i++) require("tegata").connect(process.argv[1], "token")`;
  run(program, url);
  // One after the other, they would take 20 s.
  assert(Date.now() - began < 15_000);
  close();
});

test("a blocked event loop does not age the view", async () => {
  const verifier = await server.connect({ staleness: 5 });
  const token = await server.issue();
  assert(await verifier.verify(token));
  const until = Date.now() + 6_500;
  while (Date.now() < until);
  assert(await verifier.verify(token));
});

test("a process exits without close and says so to the authority", async () => {
  const { path, secret } = await credential(server, "exits");
  const program = `
    const { connect } = require("tegata");
    const verifier = connect(process.argv[1], process.argv[2]);
    verifier.ready(60).then(() => verifier.verify(process.argv[3])).then((token) => {
      console.log(token.channel);
    });`;
  assert.strictEqual(run(program, server.url, secret, await server.issue()), server.channel.id);
  await untilGone(path);
});

test("a process exits while the authority is silent", async () => {
  const { url, close } = await silent();
  const began = Date.now();
  run('require("tegata").connect(process.argv[1], "token")', url);
  assert(Date.now() - began < 30_000);
  close();
});

test("threads and forked processes follow by themselves", async () => {
  const { path, secret } = await credential(server, "many");
  const program = `
    const cluster = require("node:cluster");
    const { Worker, isMainThread, workerData } = require("node:worker_threads");
    const { connect } = require("tegata");
    const words = isMainThread ? JSON.parse(process.env.WORDS) : workerData;
    const verifier = connect(words[0], words[1]);
    verifier.ready(60).then(() => verifier.verify(words[2])).then(() => {
      if (cluster.isWorker) return process.exit(0);
      if (!isMainThread) return;
      const fail = (code) => code && process.exit(1);
      new Worker(process.argv[1], { workerData: words }).once("exit", fail);
      cluster.fork().once("exit", fail);
    });`;
  const file = require("node:path").join(require("node:os").tmpdir(), `many-${process.pid}.js`);
  require("node:fs").writeFileSync(file, `process.argv[1] = __filename;${program}`);
  const words = JSON.stringify([server.url, secret, await server.issue()]);
  const env = { ...process.env, WORDS: words };
  const done = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: 120_000, env });
  require("node:fs").rmSync(file);
  assert.strictEqual(done.status, 0, done.stderr);
  await untilGone(path);
});
