/** A server for tests, with a channel and a clock that can be moved forward: see
 *  `stand-in.d.ts`. */
"use strict";

const { execFile, spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { createInterface } = require("node:readline");
const { promisify } = require("node:util");

/** Starts the server, and kills it once the standard input is closed: also when this process was
 *  killed, no server is left. The shell closes its output, which thereby ends with the server. */
const KEEP =
  '"$@" </dev/null & server=$!; exec >&-; read -r _; kill -KILL $server; wait $server 2>/dev/null';

/** What the server prints of its channel, before the value. */
const PRINTED = {
  "listening on": "url",
  "channel id": "id",
  "channel secret": "secret",
  "assertion key id": "keyId",
  "private assertion key": "keyFile",
  "administrator's token": "adminToken",
};

const PATHS = { stateless: "/oauth2/v3/token", "short-lived": "/v2/oauth/accessToken" };

/** The path of the program: that of the variable TEGATA_PROGRAM, else the package's own. */
function program() {
  return process.env.TEGATA_PROGRAM || path.join(__dirname, "bin", "tegata");
}

class RequestFailed extends Error {
  constructor(status, body) {
    super(`${status}: ${body}`);
    this.name = "RequestFailed";
    this.status = status;
    this.body = body;
  }
}

class StandIn {
  #folder = fs.mkdtempSync(path.join(os.tmpdir(), "tegata-stand-in-"));
  #verifiers = [];
  #aside;
  #process;
  #gone;

  static async start() {
    const server = new StandIn();
    try {
      await server.#start();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  async #start() {
    const ours = Object.entries(process.env).filter(([name]) => !/^(TEGATA|OTEL)_/.test(name));
    const logged = path.join(this.#folder, "log");
    const log = fs.openSync(logged, "w");
    const serve = [program(), "serve", "--dev", "--listen", "127.0.0.1:0"];
    this.#process = spawn("/bin/sh", ["-c", KEEP, "sh", ...serve], {
      cwd: this.#folder,
      // An interrupt at the terminal is for this process, which then closes the input.
      detached: true,
      env: { ...Object.fromEntries(ours), TMPDIR: this.#folder, TEGATA_LOG: "warn" },
      stdio: ["pipe", "pipe", log],
    });
    fs.closeSync(log);
    this.#gone = new Promise((resolve) => this.#process.once("close", resolve));
    const { url, adminToken, ...channel } = await this.#printed(logged);
    Object.assign(this, { url, adminToken, channel });
    // The server does not keep the process from exiting.
    for (const it of [this.#process, this.#process.stdin, this.#process.stdout]) it.unref();
  }

  async #printed(logged) {
    const found = {};
    for await (const line of createInterface({ input: this.#process.stdout })) {
      for (const [words, name] of Object.entries(PRINTED)) {
        if (line.startsWith(`${words} `)) found[name] = line.slice(words.length).trim();
      }
      if (Object.keys(found).length === Object.keys(PRINTED).length) {
        // To its end, so that the server never waits for a reader.
        this.#process.stdout.resume();
        return found;
      }
    }
    throw new Error(`the server did not start:\n${fs.readFileSync(logged, "utf8")}`);
  }

  async now() {
    return (await this.#json("GET", "/dev/clock")).now_unix;
  }

  async advance(seconds) {
    const now = (await this.#json("POST", "/dev/clock", { advance_seconds: seconds })).now_unix;
    if (this.#verifiers.length > 0) await this.settle();
    return now;
  }

  async settle() {
    if (!this.#aside) {
      // A change of a channel without tokens affects nothing else.
      const { provider_id } = await this.admin("GET", `/channels/${this.channel.id}`);
      const wanted = { name: "settle", type: "line-login" };
      const made = await this.admin("POST", `/providers/${provider_id}/channels`, wanted);
      this.#aside = made.channel_id;
    }
    await this.#revoke(this.#aside, { all: true });
  }

  async fault(status = 503, { count = 1, delay = 0, path } = {}) {
    const delay_ms = Math.round(delay * 1000);
    await this.#json("POST", "/dev/faults", { status, count, delay_ms, path });
  }

  async clearFaults() {
    await this.#json("DELETE", "/dev/faults");
  }

  async issue(kind = "stateless", { group, lifetime } = {}) {
    if (kind === "v2.1") return this.#issueByAssertion(group, lifetime);
    const { id, secret } = this.channel;
    if (kind === "long-lived") {
      const path = `/channels/${id}/long-lived-token`;
      return (await this.admin("POST", path, { delay_seconds: 0 })).access_token;
    }
    const form = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: id,
      client_secret: secret,
    });
    if (group !== undefined) form.set("group", group);
    return JSON.parse(await this.#send("POST", PATHS[kind], form)).access_token;
  }

  async #issueByAssertion(group, lifetime) {
    const { id, keyFile } = this.channel;
    const words = ["--url", this.url, "-o", "json", "token", "issue", "--kind", "v2.1"];
    words.push("--channel", id, "--key", keyFile);
    if (group !== undefined) words.push("--group", group);
    if (lifetime !== undefined) words.push("--lifetime", String(lifetime));
    const { stdout } = await promisify(execFile)(program(), words);
    return JSON.parse(stdout).access_token;
  }

  async revoke(token) {
    await this.#revoke(this.channel.id, { access_token: token });
  }

  async #revoke(channel, what) {
    const body = { ...what, wait_seconds: 60 };
    const { receipt } = await this.admin("POST", `/channels/${channel}/revocations`, body);
    if (receipt.state !== "complete") {
      const words = "not every verifier has applied the revocation";
      throw new Error(`${words}: ${JSON.stringify(receipt)}`);
    }
  }

  async isActive(token) {
    try {
      await this.#send("GET", "/gateway/verify", undefined, { authorization: `Bearer ${token}` });
    } catch (error) {
      if (error.status === 401) return false;
      throw error;
    }
    return true;
  }

  async connect(options) {
    const made = await this.admin("POST", "/verifiers", { name: "tests" });
    const verifier = require("./index.js").connect(this.url, made.verifier_token, options);
    this.#verifiers.push(verifier);
    if (await verifier.ready(60)) return verifier;
    throw new Error(`the verifier has no view: ${JSON.stringify(verifier.health())}`);
  }

  admin(method, path, body) {
    const authorization = `Bearer ${this.adminToken}`;
    return this.#json(method, `/admin/v1${path}`, body, { authorization });
  }

  async #json(method, path, body, headers = {}) {
    const sent = body && JSON.stringify(body);
    if (sent) headers = { ...headers, "content-type": "application/json" };
    return JSON.parse((await this.#send(method, path, sent, headers)) || "null");
  }

  async #send(method, path, body, headers) {
    const response = await fetch(this.url + path, { method, body, headers });
    const text = await response.text();
    if (!response.ok) throw new RequestFailed(response.status, text);
    return text;
  }

  async stop() {
    while (this.#verifiers.length > 0) await this.#verifiers.pop().close();
    if (this.#process) {
      this.#process.ref();
      this.#process.stdin.on("error", () => {}).end("\n");
      await this.#gone;
    }
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}

function withStandIn(test) {
  return async (...context) => {
    const server = await StandIn.start();
    try {
      return await test(server, ...context);
    } finally {
      await server.stop();
    }
  };
}

module.exports = { RequestFailed, StandIn, withStandIn };
