// Walks every kind of channel access token through its whole life with LINE's
// own SDK for Node.js, unmodified.
//
//     TEGATA_URL=http://127.0.0.1:8080 TEGATA_ADMIN_TOKEN=... node line_node.mjs
//
// The server must run with `--dev`, because tokens are seen to expire by moving
// its clock. Makes a provider, a channel and an assertion key of its own. Prints
// a line for each step and, at the end, a JSON line with the count of checks;
// ends with 1 at the first check that fails.

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

// `import` would look for packages beside this file; they are where
// `cargo xtask test` installs them.
const require = createRequire(new URL("../../../../target/test-parts/node/", import.meta.url));
const { channelAccessToken, HTTPFetchError } = require("@line/bot-sdk");

const GRANT = "client_credentials";
const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const MONTH = 30 * 24 * 60 * 60;
const I32_MAX = 2 ** 31 - 1;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// What LINE documents, word for word.
const NO_SUCH_KEY = { message: "Cannot find channel key that satisfies the conditions" };
const FULL = { message: "The maximum number of access tokens has already been issued" };
const error = (kind, description) => ({ error: kind, error_description: description });
const EXPIRED = error("invalid_request", "The access token expired");
const REVOKED = error("invalid_request", "The access token revoked");
const NOT_JWS = error("invalid_request", "The access token not JWS");
const OPAQUE_INVALID = error("invalid_request", "access_token invalid");
const OPAQUE_FORMAT = error("invalid_request", "access_token in invalid format");

const baseURL = process.env.TEGATA_URL;
const client = new channelAccessToken.ChannelAccessTokenClient({ baseURL });

// A server that stops answering is a failure, not a hang.
setTimeout(() => {
  console.log(`FAILED  ${current}: no end after five minutes`);
  process.exit(1);
}, 300_000).unref();

let current;
let checks = 0;
try {
  let walk;
  await step("a channel of its own, with an assertion key", async () => {
    walk = await prepare();
  });
  await jwtTokens(walk);
  await wrongAssertions(walk);
  await statelessTokens(walk);
  await shortLivedTokens(walk);
  await longLivedTokens(walk);
} catch (failure) {
  console.error(failure);
  console.log(`FAILED  ${current}: ${failure.message}`);
  process.exit(1);
}
const sdk = `@line/bot-sdk ${require("@line/bot-sdk/package.json").version} on Node.js ${process.versions.node}`;
console.log(JSON.stringify({ sdk, checks }));

// the life of each kind -------------------------------------------------------

async function jwtTokens({ channelId, secret, assertion }) {
  const issue = async () =>
    client.issueChannelTokenByJWT(GRANT, ASSERTION_TYPE, await assertion());
  const verify = (token) => client.verifyChannelTokenByJWT(token);
  const revoke = (token) => client.revokeChannelTokenByJWT(channelId, secret, token);
  const checkKids = async (tokens) => {
    const { kids } = await client.getsAllValidChannelAccessTokenKeyIds(ASSERTION_TYPE, await assertion());
    checkSame(kids.toSorted(), tokens.map((token) => token.key_id).toSorted(), "key ids");
  };

  let first;
  let sameAssertion;
  await step("v2.1: issued for the time asked for", async () => {
    sameAssertion = await assertion({ token_exp: 60 });
    const { httpResponse, body } = await client.issueChannelTokenByJWTWithHttpInfo(
      GRANT,
      ASSERTION_TYPE,
      sameAssertion,
    );
    first = body;
    checkSame(httpResponse.status, 200, "status");
    check(UUID.test(httpResponse.headers.get("x-line-request-id")), "no X-Line-Request-Id");
    checkMembers(first, ["access_token", "expires_in", "key_id", "token_type"]);
    checkSame(first.expires_in, 60, "expires_in");
    checkSame(first.token_type, "Bearer", "token_type");
    check(/^ey[\w-]+\.[\w-]+\.[\w-]+$/.test(first.access_token), "not a compact JWS");
    check(/^[\w-]{22}$/.test(first.key_id), `key_id ${first.key_id}`);
  });

  await step("v2.1: verified", async () => {
    checkVerified(await verify(first.access_token), channelId, 60, "profile chat_message.write");
  });

  await step("v2.1: the same assertion asks for another token", async () => {
    const second = await client.issueChannelTokenByJWT(GRANT, ASSERTION_TYPE, sameAssertion);
    check(second.access_token !== first.access_token, "the same token");
    await checkKids([first, second]);
  });

  await step("v2.1: gone once expired", async () => {
    await advance(61);
    await refused(verify(first.access_token), 400, EXPIRED);
    await checkKids([]);
    await revoke(first.access_token);
  });

  const tokens = [];
  await step("v2.1: thirty at once", async () => {
    for (let n = 0; n < 30; n++) tokens.push(await issue());
    check(tokens.every((token) => token.expires_in === MONTH), "not all for 30 days");
    await checkKids(tokens);
  });

  await step("v2.1: the 31st is refused and all thirty stay", async () => {
    await refused(issue(), 400, FULL);
    for (const token of tokens) await verify(token.access_token);
    await checkKids(tokens);
  });

  await step("v2.1: a full channel still has room for other kinds", async () => {
    const other = await client.issueChannelToken(GRANT, channelId, secret);
    await client.revokeChannelToken(other.access_token);
  });

  await step("v2.1: a wrong secret revokes nothing", async () => {
    const [{ access_token }] = tokens;
    await refused(
      client.revokeChannelTokenByJWT(channelId, "0".repeat(32), access_token),
      400,
      (body) => body.error === "invalid_client",
    );
    await verify(access_token);
  });

  await step("v2.1: revoked, and twice is the same as once", async () => {
    const ended = tokens.shift();
    for (let n = 0; n < 2; n++) {
      const { httpResponse, body } = await client.revokeChannelTokenByJWTWithHttpInfo(
        channelId,
        secret,
        ended.access_token,
      );
      checkSame([httpResponse.status, body], [200, null], "answer");
    }
    await refused(verify(ended.access_token), 400, REVOKED);
    await checkKids(tokens);
  });

  await step("v2.1: the place is free again", async () => {
    tokens.push(await issue());
    await refused(issue(), 400, FULL);
  });

  await step("v2.1: a text that is not a JWS gets its error", async () => {
    for (const notJws of ["not-a-token", "W1TeHCgfH2Liwa+/"]) {
      await refused(verify(notJws), 400, NOT_JWS);
      await refused(revoke(notJws), 400, NOT_JWS);
    }
    await refused(client.verifyChannelToken(tokens[0].access_token), 400, OPAQUE_FORMAT);
  });

  await step("v2.1: all revoked", async () => {
    for (const token of tokens) await revoke(token.access_token);
    await checkKids([]);
  });
}

async function wrongAssertions({ channelId, assertion, kid }) {
  const issue = (wrong) => client.issueChannelTokenByJWT(GRANT, ASSERTION_TYPE, wrong);
  const list = (wrong) => client.getsAllValidChannelAccessTokenKeyIds(ASSERTION_TYPE, wrong);

  await step("assertions: an unknown key is not found", async () => {
    const unknown = await assertion({}, { kid: randomUUID() });
    await refused(issue(unknown), 404, NO_SUCH_KEY);
    await refused(list(unknown), 404, NO_SUCH_KEY);
    await refused(client.issueStatelessChannelTokenByJWTAssertion(unknown), 404, NO_SUCH_KEY);
  });

  await step("assertions: an expired one is refused", async () => {
    const expired = await assertion({ exp: (await now()) - 60 });
    const said = error("invalid_client", "Invalid exp");
    await refused(issue(expired), 400, said);
    await refused(list(expired), 400, said);
  });

  await step("assertions: anything else wrong is refused, with a reason", async () => {
    for (const wrong of [
      await assertion({}, { kid, privateKey: keyPair().privateKey }),
      await assertion({ sub: "1" }),
      await assertion({ aud: "https://example.com/" }),
      await assertion({ exp: (await now()) + 2 * 60 * 60 }),
    ]) {
      await refused(issue(wrong), 400, (body) => body.error === "invalid_client" && body.error_description);
    }
    for (const token_exp of [undefined, 0, MONTH + 1, "60"]) {
      await refused(issue(await assertion({ token_exp })), 400);
    }
    const { kids } = await list(await assertion());
    checkSame(kids, [], "key ids");
  });
}

async function statelessTokens({ channelId, secret, assertion }) {
  const verify = (token) => client.verifyChannelTokenByJWT(token);

  let issued;
  await step("stateless: issued in all four ways, and verified", async () => {
    issued = [
      await client.issueStatelessChannelTokenByClientSecret(channelId, secret),
      await client.issueStatelessChannelTokenByJWTAssertion(await assertion()),
      await client.issueStatelessChannelToken(GRANT, undefined, undefined, channelId, secret),
      await client.issueStatelessChannelToken(GRANT, ASSERTION_TYPE, await assertion()),
      // What older SDKs send: the unused pair, empty.
      await client.issueStatelessChannelToken(GRANT, "", "", channelId, secret),
    ];
    for (const token of issued) {
      checkMembers(token, ["access_token", "expires_in", "token_type"]);
      checkSame(token.token_type, "Bearer", "token_type");
      check([899, 900].includes(token.expires_in), `expires_in ${token.expires_in}`);
      check(token.access_token.startsWith("ey"), "not a JWS");
      checkVerified(await verify(token.access_token), channelId, 900, "profile chat_message.write");
    }
  });

  await step("stateless: not counted and not listed", async () => {
    for (let n = 0; n < 31; n++) await client.issueStatelessChannelTokenByClientSecret(channelId, secret);
    const { kids } = await client.getsAllValidChannelAccessTokenKeyIds(ASSERTION_TYPE, await assertion());
    checkSame(kids, [], "key ids");
  });

  await step("stateless: a wrong secret is refused", async () => {
    await refused(
      client.issueStatelessChannelTokenByClientSecret(channelId, "0".repeat(32)),
      400,
      error("invalid_request", "Invalid 'client_credentials'."),
    );
  });

  await step("stateless: revoked alone", async () => {
    const revoked = issued.shift();
    await client.revokeChannelTokenByJWT(channelId, secret, revoked.access_token);
    await refused(verify(revoked.access_token), 400, (body) => body.error === "invalid_request");
    for (const token of issued) await verify(token.access_token);
  });

  await step("stateless: gone after 15 minutes", async () => {
    await advance(901);
    for (const token of issued) await refused(verify(token.access_token), 400, EXPIRED);
  });
}

async function shortLivedTokens({ channelId, secret }) {
  const issue = () => client.issueChannelToken(GRANT, channelId, secret);
  const verify = (token) => client.verifyChannelToken(token);

  let first;
  await step("short-lived: issued for 30 days, and verified", async () => {
    const { httpResponse, body } = await client.issueChannelTokenWithHttpInfo(GRANT, channelId, secret);
    first = body;
    checkSame(httpResponse.status, 200, "status");
    check(UUID.test(httpResponse.headers.get("x-line-request-id")), "no X-Line-Request-Id");
    checkMembers(first, ["access_token", "expires_in", "token_type"]);
    checkSame(first.expires_in, MONTH, "expires_in");
    checkSame(first.token_type, "Bearer", "token_type");
    checkVerified(await verify(first.access_token), channelId, MONTH, "P CM");
  });

  await step("short-lived: wrong credentials are refused", async () => {
    await refused(
      client.issueChannelToken(GRANT, channelId, "0".repeat(32)),
      400,
      error("invalid_client", "invalid client_secret"),
    );
    await refused(client.issueChannelToken(GRANT, "0000000000", secret), 400);
  });

  await step("short-lived: a token of another form gets its error", async () => {
    await refused(verify("not-a-token"), 400, OPAQUE_FORMAT);
    await refused(client.verifyChannelTokenByJWT(first.access_token), 400, NOT_JWS);
    await refused(client.revokeChannelToken("not-a-token"), 400, { error: "invalid_request" });
  });

  await step("short-lived: revoked, and twice is the same as once", async () => {
    for (let n = 0; n < 2; n++) {
      const { httpResponse, body } = await client.revokeChannelTokenWithHttpInfo(first.access_token);
      checkSame([httpResponse.status, body], [200, null], "answer");
    }
    await refused(verify(first.access_token), 400, OPAQUE_INVALID);
  });

  const tokens = [];
  await step("short-lived: thirty at once", async () => {
    for (let n = 0; n < 30; n++) tokens.push(await issue());
    for (const token of tokens) await verify(token.access_token);
  });

  await step("short-lived: the 31st ends the oldest and no other", async () => {
    tokens.push(await issue());
    await refused(verify(tokens.shift().access_token), 400, OPAQUE_INVALID);
    for (const token of tokens) await verify(token.access_token);
  });

  await step("short-lived: gone after 30 days", async () => {
    await advance(MONTH);
    for (const token of tokens) await refused(verify(token.access_token), 400, OPAQUE_INVALID);
  });

  await step("short-lived: all revoked", async () => {
    tokens.push(await issue());
    for (const token of tokens) await client.revokeChannelToken(token.access_token);
    await refused(verify(tokens.at(-1).access_token), 400, OPAQUE_INVALID);
  });
}

async function longLivedTokens({ channelId }) {
  const verify = (issued) => client.verifyChannelToken(issued.access_token);
  const issue = async (body) => {
    const issued = await admin(`/channels/${channelId}/long-lived-token`, body);
    checkSame(issued.token_type, "Bearer", "token_type");
    return issued;
  };
  const checkWithoutEnd = async (issued) => {
    const verified = await verify(issued);
    checkSame(verified.client_id, channelId, "client_id");
    check(Number.isSafeInteger(verified.expires_in), `expires_in ${verified.expires_in}`);
    check(verified.expires_in > I32_MAX, `expires_in ${verified.expires_in} fits an i32`);
  };

  let first;
  await step("long-lived: issued by an administrator, and verified", async () => {
    first = await issue({});
    checkSame(first.previous_valid_until, null, "previous_valid_until");
    await checkWithoutEnd(first);
  });

  let second;
  await step("long-lived: reissued with a delay, both live", async () => {
    second = await issue({ delay_seconds: 3600 });
    const until = Date.parse(second.previous_valid_until) / 1000;
    check(Math.abs(until - (await now()) - 3600) < 60, `previous until ${second.previous_valid_until}`);
    checkVerified(await verify(first), channelId, 3600, "P CM");
    await checkWithoutEnd(second);
  });

  await step("long-lived: only the new one lives after the delay", async () => {
    await advance(3601);
    await refused(verify(first), 400, OPAQUE_INVALID);
    await checkWithoutEnd(second);
  });

  let third;
  await step("long-lived: reissued without a delay, the old one is gone at once", async () => {
    third = await issue({});
    await refused(verify(second), 400, OPAQUE_INVALID);
    await checkWithoutEnd(third);
  });

  await step("long-lived: lives on through the months", async () => {
    await advance(12 * MONTH);
    await checkWithoutEnd(third);
  });

  await step("long-lived: revoked, and twice is the same as once", async () => {
    for (let n = 0; n < 2; n++) await client.revokeChannelToken(third.access_token);
    await refused(verify(third), 400, OPAQUE_INVALID);
  });
}

// the server under test -------------------------------------------------------

/** A provider, a channel and an assertion key, and what signs with it. */
async function prepare() {
  const { provider_id } = await admin("/providers", { name: "SDK for Node.js" });
  const channel = await admin(`/providers/${provider_id}/channels`, {
    name: "Every kind",
    type: "messaging-api",
  });
  const channelId = channel.channel_id;
  const registered = keyPair();
  const { kty, n, e } = registered.publicKey.export({ format: "jwk" });
  const { kid } = await admin(`/channels/${channelId}/assertion-keys`, {
    jwk: { kty, n, e, alg: "RS256", use: "sig" },
  });

  /** An assertion as LINE's guide writes it; `claims` replace or, if undefined, remove. */
  const assertion = async (claims = {}, key = {}) => {
    const header = { alg: "RS256", typ: "JWT", kid: key.kid ?? kid };
    const payload = {
      iss: channelId,
      sub: channelId,
      aud: "https://api.line.me/",
      exp: (await now()) + 30 * 60,
      token_exp: MONTH,
      ...claims,
    };
    const input = [header, payload]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    const signature = sign("sha256", Buffer.from(input), key.privateKey ?? registered.privateKey);
    return `${input}.${signature.toString("base64url")}`;
  };
  return { channelId, secret: channel.channel_secret, kid, assertion };
}

function keyPair() {
  return generateKeyPairSync("rsa", { modulusLength: 2048 });
}

function admin(path, body) {
  return call("POST", `/admin/v1${path}`, body, 201, {
    authorization: `Bearer ${process.env.TEGATA_ADMIN_TOKEN}`,
  });
}

async function now() {
  return (await call("GET", "/dev/clock", undefined, 200)).now_unix;
}

async function advance(seconds) {
  await call("POST", "/dev/clock", { advance_seconds: seconds }, 200);
}

async function call(method, path, body, status, headers = {}) {
  const answer = await fetch(new URL(path, baseURL), {
    method,
    headers: body ? { ...headers, "content-type": "application/json" } : headers,
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  check(answer.status === status, `${method} ${path}: ${answer.status} ${text}, expected ${status}`);
  return JSON.parse(text);
}

// checking --------------------------------------------------------------------

async function step(name, run) {
  current = name;
  await run();
  console.log(`ok      ${name}`);
}

function check(holds, otherwise) {
  checks++;
  if (!holds) throw new Error(otherwise);
}

function checkSame(found, expected, what) {
  check(
    isDeepStrictEqual(found, expected),
    `${what} ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`,
  );
}

function checkMembers(body, names) {
  checkSame(Object.keys(body).toSorted(), names, "members");
  for (const name of names) {
    checkSame(typeof body[name], name === "expires_in" ? "number" : "string", `type of ${name}`);
  }
}

function checkVerified(verified, channelId, atMost, scope) {
  checkMembers(verified, ["client_id", "expires_in", "scope"]);
  checkSame(verified.client_id, channelId, "client_id");
  const left = verified.expires_in;
  check(Number.isInteger(left) && atMost - 30 < left && left <= atMost, `expires_in ${left} of ${atMost}`);
  checkSame(verified.scope, scope, "scope");
}

/** The SDK throws its own error, with this status and this JSON body, or one
 *  that the function `body` finds right. */
async function refused(answer, status, body = () => true) {
  let refusal;
  try {
    await answer;
  } catch (thrown) {
    refusal = thrown;
  }
  check(refusal !== undefined, `answered, expected ${status}`);
  if (!(refusal instanceof HTTPFetchError)) throw refusal;
  checkSame(refusal.status, status, `status, with ${refusal.body},`);
  check(UUID.test(refusal.headers.get("x-line-request-id")), "no X-Line-Request-Id");
  const said = JSON.parse(refusal.body);
  if (typeof body === "function") check(body(said), `${status} ${refusal.body}, expected another`);
  else checkSame(said, body, "body");
}
