/** The server for tests. */
"use strict";

const assert = require("node:assert");
const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { StandIn, withStandIn } = require("tegata/stand-in");

test("tokens of all kinds are active until the clock is past their expiry", withStandIn(async (server) => {
  const tokens = [
    [await server.issue("v2.1", { lifetime: 60 }), 60],
    [await server.issue(), 15 * 60],
    [await server.issue("short-lived"), 30 * 24 * 60 * 60],
  ];
  const began = await server.now();
  for (const [token, lifetime] of tokens) {
    assert(await server.isActive(token));
    await server.advance(began + lifetime + 1 - (await server.now()));
    assert(!(await server.isActive(token)));
  }
  assert(await server.isActive(await server.issue("long-lived")));
}));

test("faults come as often as asked for and as late", withStandIn(async (server) => {
  const token = await server.issue();
  await server.fault(429, { count: 2 });
  for (const _ of [1, 2]) await assert.rejects(server.issue(), { status: 429 });
  assert(await server.issue());
  await server.fault(500, { delay: 0.2, path: "/gateway/" });
  assert(await server.issue(), "another path");
  const began = performance.now();
  await assert.rejects(server.isActive(token), { status: 500 });
  assert(performance.now() - began >= 200);
  await server.fault(503, { count: 100 });
  await server.clearFaults();
  assert(await server.isActive(token));
}));

/** The id of the server, the only child of its shell, whose parent is the process `of`. */
function serverProcess(of) {
  const children = (id) => fs.readFileSync(`/proc/${id}/task/${id}/children`, "utf8").trim().split(" ");
  const shells = children(of).filter((it) => fs.readFileSync(`/proc/${it}/comm`, "utf8") === "sh\n");
  return children(shells[0])[0];
}

async function until(what, isSo) {
  const began = Date.now();
  while (!isSo()) {
    assert(Date.now() - began < 60_000, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("nothing is left after stop, and of a process that was killed no server", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "killed-"));
  const program = `require("tegata/stand-in").StandIn.start().then(() => {
    console.log("started");
    setInterval(() => {}, 1000);
  })`;
  const env = { ...process.env, TMPDIR: folder };
  const tests = spawn(process.execPath, ["-e", program], { env, stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => tests.stdout.once("data", resolve));
  const killed = serverProcess(tests.pid);
  tests.kill("SIGKILL");
  await until("the server runs on", () => !fs.existsSync(`/proc/${killed}`));
  fs.rmSync(folder, { recursive: true });

  const server = await StandIn.start();
  const stopped = serverProcess(process.pid);
  await server.stop();
  assert(!fs.existsSync(`/proc/${stopped}`));
  assert(!fs.existsSync(path.dirname(server.channel.keyFile)));
  await server.stop();
});

test("a process whose test forgot to stop its server exits all the same", () => {
  const program = 'require("tegata/stand-in").StandIn.start().then(() => console.log("started"))';
  const done = spawnSync(process.execPath, ["-e", program], { encoding: "utf8", timeout: 120_000 });
  assert.deepStrictEqual([done.status, done.stdout], [0, "started\n"]);
});

test("a program that does not start is shown", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "broken-"));
  const program = path.join(folder, "broken");
  fs.writeFileSync(program, "#!/bin/sh\necho the disk is full >&2\n", { mode: 0o700 });
  process.env.TEGATA_PROGRAM = program;
  try {
    await assert.rejects(StandIn.start(), /the disk is full/);
  } finally {
    delete process.env.TEGATA_PROGRAM;
    fs.rmSync(folder, { recursive: true });
  }
});

test("the program of the package runs", () => {
  const program = path.join(path.dirname(require.resolve("tegata/package.json")), "bin", "tegata");
  const done = spawnSync(program, ["--version"], { encoding: "utf8" });
  assert.match(done.stdout, /^tegata /);
});
