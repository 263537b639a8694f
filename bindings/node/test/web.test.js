/** The middlewares in Express and Fastify, and the function for express-jwt. */
"use strict";

const assert = require("node:assert");
const { createHmac } = require("node:crypto");
const http = require("node:http");
const test = require("node:test");
const express = require("express");
const { expressjwt } = require("express-jwt");
const fastify = require("fastify");
const { connect } = require("tegata");
const { isRevoked, middleware } = require("tegata/express");
const { StandIn } = require("tegata/stand-in");

let server, verifier;

test.before(async () => {
  server = await StandIn.start();
  verifier = await server.connect({ staleness: 30 });
});

test.after(() => server.stop());

/** Sends a request; resolves to its status and body. */
async function ask(url, token, headers = {}) {
  if (token) headers = { ...headers, authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers: { ...headers, connection: "close" } });
  return { status: response.status, body: await response.text(), headers: response.headers };
}

/** Runs `tests` with an Express application's address. */
async function served(app, tests) {
  const listener = await new Promise((resolve) => {
    const it = app.listen(0, "127.0.0.1", () => resolve(it));
  });
  try {
    await tests(`http://127.0.0.1:${listener.address().port}/`);
  } finally {
    listener.close();
  }
}

async function answers(url) {
  const token = await server.issue("short-lived");
  assert.deepStrictEqual(await ask(url, token).then((it) => [it.status, it.body]), [200, server.channel.id]);
  assert.strictEqual((await ask(url, await server.issue("stateless"))).status, 403);
  assert.strictEqual((await ask(url, "x".repeat(9_000))).status, 400);
  const none = await ask(url);
  assert.strictEqual(none.status, 401);
  assert.strictEqual(none.headers.get("www-authenticate"), 'Bearer error="invalid_token"');
  assert(JSON.parse(none.body).message);
  await server.revoke(token);
  assert.strictEqual((await ask(url, token)).status, 401);
}

test("Express answers 400, 401, 403 and the application", async () => {
  const app = express();
  app.use(middleware(verifier, { kinds: ["v2.1", "short-lived"] }));
  app.get("/", (request, response) => response.send(request.tegata.channel));
  await served(app, answers);
});

test("Fastify answers 400, 401, 403 and the application", async () => {
  const app = fastify();
  app.register(require("tegata/fastify"), { verifier, kinds: ["v2.1", "short-lived"] });
  app.get("/", async (request) => request.tegata.channel);
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  await answers(url);
  await app.close();
});

test("what a test of Fastify injects is decided as a request", async () => {
  const app = fastify();
  app.register(require("tegata/fastify"), { verifier });
  app.get("/", async (request) => request.tegata.channel);
  const inject = async (authorization) => {
    const headers = authorization === undefined ? {} : { Authorization: authorization };
    const { statusCode, body } = await app.inject({ url: "/", headers });
    return statusCode === 200 ? body : statusCode;
  };
  const good = `Bearer ${await server.issue()}`;
  assert.strictEqual(await inject(good), server.channel.id);
  assert.strictEqual(await inject(undefined), 401);
  assert.strictEqual(await inject([good, good]), 401, "two headers are no token");
  await app.close();
});

test("two authorization headers are no token", async () => {
  const app = express().use(middleware(verifier));
  app.get("/", (request, response) => response.send(request.tegata.channel));
  const good = `Bearer ${await server.issue()}`;
  await served(app, async (url) => {
    for (const [headers, status] of [[[good], 200], [[good, good], 401]]) {
      const found = await new Promise((resolve, reject) => {
        const sent = http.get(url, { headers: { authorization: headers } }, resolve);
        sent.on("error", reject);
      });
      assert.strictEqual(found.resume().statusCode, status);
    }
  });
});

test("an unknown state is 503 with when to ask again", async () => {
  const unreachable = connect("http://127.0.0.1:9", "token");
  const app = express().use(middleware(unreachable));
  await served(app, async (url) => {
    const { status, headers } = await ask(url, await server.issue());
    assert.deepStrictEqual([status, headers.get("retry-after")], [503, "1"]);
  });
  await unreachable.close(0);
});

test("a condition that is none is an error", () => {
  assert.throws(() => middleware(verifier, { kinds: ["v3"] }), /kind/);
});

/** A JWT of the application's own, which carries the id of a channel access token. */
function session(jti) {
  const encode = (it) => Buffer.from(JSON.stringify(it)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ jti })}`;
  return `${text}.${createHmac("sha256", "secret").update(text).digest("base64url")}`;
}

test("express-jwt rejects a session once its channel access token is revoked", async () => {
  const app = express();
  const revoked = isRevoked(verifier, (request) => request.headers["x-channel-token"]);
  app.use(expressjwt({ secret: "secret", algorithms: ["HS256"], isRevoked: revoked }));
  app.get("/", (_, response) => response.send("let through"));
  app.use((error, _request, response, _next) => response.status(error.status ?? 500).end());
  await served(app, async (url) => {
    const token = await server.issue("short-lived");
    const headers = { "x-channel-token": token };
    const { id } = await verifier.verify(token);
    assert.strictEqual((await ask(url, session(id), headers)).status, 200);
    assert.strictEqual((await ask(url, session("another"), headers)).status, 401);
    await server.revoke(token);
    assert.strictEqual((await ask(url, session(id), headers)).status, 401);
  });
  const unreachable = connect("http://127.0.0.1:9", "token");
  const unknown = isRevoked(unreachable)({ headers: { authorization: "Bearer eyJ.a.b" } });
  await assert.rejects(unknown, { status: 503 });
  await unreachable.close(0);
});
