/** What the bot does when its token is not accepted any more. Each test has a server of its own:
 *
 *      npm install tegata @line/bot-sdk
 *      node --test
 */
"use strict";

const assert = require("node:assert");
const { mkdtemp, rename, rm, writeFile, readFile } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { messagingApi } = require("@line/bot-sdk");
const { fresh, fromFile } = require("tegata/line");
const { withStandIn } = require("tegata/stand-in");
const { Bot } = require("./bot.js");
const { MessagingApi } = require("./messaging-api.js");

const DAY = 24 * 60 * 60;

/** A test with a server, a Messaging API that verifies by it, and the bot. */
function withBot(test) {
  return withStandIn(async (server) => {
    const api = await MessagingApi.start(await server.connect({ staleness: 30 }));
    const { id, secret } = server.channel;
    const bot = new Bot({ api: api.url, authority: server.url, channelId: id, channelSecret: secret });
    try {
      await test({ server, api, bot });
    } finally {
      api.close();
    }
  });
}

test("it issues a token when it needs one", withBot(async ({ api, bot }) => {
  await bot.greet("Ann");
  const first = bot.token;
  await bot.greet("Bob");
  assert.strictEqual(bot.token, first);
  assert.deepStrictEqual(api.sent, [["Ann", "Hello, Ann"], ["Bob", "Hello, Bob"]]);
}));

test("an expired token is replaced", withBot(async ({ server, api, bot }) => {
  await bot.greet("Ann");
  const first = bot.token;
  await server.advance(30 * DAY);
  await bot.greet("Bob");
  assert.notStrictEqual(bot.token, first);
  assert.deepStrictEqual(api.sent.map(([person]) => person), ["Ann", "Bob"]);
}));

test("a revoked token is replaced", withBot(async ({ server, bot }) => {
  await bot.greet("Ann");
  const first = bot.token;
  await server.revoke(first);
  await bot.greet("Bob");
  assert.notStrictEqual(bot.token, first);
  assert(!(await server.isActive(first)));
}));

test("the 31st token of its channel evicts the bot's, and it issues another", withBot(async ({ server, api, bot }) => {
  await bot.greet("Ann");
  const first = bot.token;
  // Another copy of the bot issues one token for each of its processes.
  for (let n = 0; n < 30; n++) await server.issue("short-lived");
  await server.settle();
  assert(!(await server.isActive(first)));
  await bot.greet("Bob");
  assert.notStrictEqual(bot.token, first);
  assert.deepStrictEqual(api.sent.map(([person]) => person), ["Ann", "Bob"]);
}));

test("a token is rotated in mid-conversation", withBot(async ({ server, api }) => {
  const folder = await mkdtemp(path.join(tmpdir(), "bot-"));
  const file = path.join(folder, "token");

  /** Replaces the file as a whole, as `tegata agent` does. */
  async function rotate() {
    await writeFile(path.join(folder, "new"), await server.issue("short-lived"));
    await rename(path.join(folder, "new"), file);
  }

  await rotate();
  // One client, for as long as the process runs.
  const client = fresh(messagingApi.MessagingApiClient, fromFile(file), { baseURL: api.url });
  const say = (text) => client.pushMessage({ to: "Ann", messages: [{ type: "text", text }] });
  await say("What would you like?");
  const first = await readFile(file, "utf8");
  await rotate();
  await server.revoke(first);
  await say("Here it is.");
  assert.deepStrictEqual(api.sent.map(([, text]) => text), ["What would you like?", "Here it is."]);
  await rm(folder, { recursive: true });
}));

test("it does not send while no token can be issued", withBot(async ({ server, api, bot }) => {
  for (const status of [429, 500]) {
    await server.fault(status, { path: "/v2/oauth/accessToken" });
    await assert.rejects(bot.greet("Ann"), { status });
  }
  await bot.greet("Ann");
  assert.deepStrictEqual(api.sent, [["Ann", "Hello, Ann"]]);
}));
