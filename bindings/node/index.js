/** Verifies channel access tokens of Tegata in memory: see `index.d.ts`. */
"use strict";

const native = require("./tegata.node");

class NotAccepted extends Error {
  constructor(message, status) {
    super(message);
    this.name = new.target.name;
    this.status = status;
  }
}

class Invalid extends NotAccepted {}

class Unknown extends NotAccepted {}

/** A token that is active. The native module hands its facts over as one string. */
class Token {
  #facts;

  constructor(facts) {
    this.#facts = facts;
  }

  #fact(number) {
    if (typeof this.#facts === "string") this.#facts = this.#facts.split("\n");
    return this.#facts[number];
  }

  get id() {
    return this.#fact(0);
  }

  get kind() {
    return this.#fact(1);
  }

  get channel() {
    return this.#fact(2);
  }

  get provider() {
    return this.#fact(3);
  }

  get group() {
    return this.#fact(4) || null;
  }

  get issuedAt() {
    return Number(this.#fact(5));
  }

  get until() {
    return Number(this.#fact(6));
  }

  get stale() {
    return this.#fact(7) || null;
  }
}

/** How long the exit of the process waits for the authority, in seconds, however many verifiers
 *  there are. */
const EXIT = 1;

/** The verifiers that are closed when the process exits. */
const open = new Set();

process.once("exit", () => {
  const verifiers = [...open].map((reference) => reference.deref()).filter(Boolean);
  native.Verifier.closeAll(verifiers, EXIT);
});

function accepted(found) {
  if (typeof found === "string") return new Token(found);
  throw new (found.status === 503 ? Unknown : Invalid)(found.message, found.status);
}

class Verifier {
  #native;
  #reference;

  constructor(authority, verifierToken, options) {
    this.#native = new native.Verifier(authority, verifierToken, options);
    this.#reference = new WeakRef(this.#native);
    open.add(this.#reference);
  }

  async verify(token, source) {
    const found = this.#native.recall(token, source) ?? (await this.#native.verify(token, source));
    return accepted(found);
  }

  recall(token, source) {
    const found = this.#native.recall(token, source);
    return found === null ? null : accepted(found);
  }

  ready(seconds = 1) {
    return this.#native.ready(seconds);
  }

  age() {
    return this.#native.age();
  }

  health() {
    return this.#native.health();
  }

  async close(seconds = 1) {
    open.delete(this.#reference);
    const problem = await this.#native.close(seconds);
    if (problem !== null) throw new Error(problem);
  }

  gate({ kinds = [], channels = [], groups = [] } = {}) {
    const lists = { kind: kinds, channel: channels, group: groups };
    const conditions = Object.entries(lists).flatMap(([name, values]) =>
      values.map((value) => ({ name, value: String(value) })),
    );
    return new Gate(new native.Gate(this.#native, conditions));
  }
}

/** Decides about requests by their `Authorization` headers. */
class Gate {
  #native;

  constructor(gate) {
    this.#native = gate;
  }

  /** Resolves to `{ token }`, or to `{ refused }` with the response. */
  async decide(request) {
    const sent = authorization(request.rawHeaders);
    const source = request.socket.remoteAddress;
    const found = this.#native.recall(sent, source) ?? (await this.#native.verify(sent, source));
    return typeof found === "string" ? { token: new Token(found) } : { refused: found };
  }
}

/** The values of all `Authorization` headers: in `headers`, Node.js drops the second of two. What
 *  tests of Fastify inject has no other list of all. */
function authorization(rawHeaders) {
  const values = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at].toLowerCase() === "authorization") values.push(rawHeaders[at + 1]);
  }
  return values;
}

function connect(authority, verifierToken, options) {
  return new Verifier(authority, verifierToken, options);
}

// Modules with `import` find these names by reading this line.
module.exports = { Invalid, NotAccepted, Token, Unknown, Verifier, connect };
