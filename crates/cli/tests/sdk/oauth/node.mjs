// Walks through discovery, issue, introspection and revocation, and every error that the RFCs
// name, with the OAuth clients `openid-client` and `oauth4webapi` and the JWT library `jose`,
// all unmodified.
//
//     TEGATA_URL=http://127.0.0.1:8080 TEGATA_ADMIN_TOKEN=... node node.mjs
//
// The server must run with `--dev`, whose faults are asked for. Makes a provider, a channel and
// an assertion key of its own. Prints a line for each step and, at the end, a JSON line with the
// count of checks; ends with 1 at the first check that fails.

import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

// `import` would look for packages beside this file; they are where
// `cargo xtask test` installs them.
const require = createRequire(new URL("../../../../../target/test-parts/oauth-node/", import.meta.url));
const openid = require("openid-client");
const oauth = require("oauth4webapi");
const jose = require("jose");

const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE = "profile chat_message.write";
const url = process.env.TEGATA_URL;

// A server that stops answering is a failure, not a hang.
setTimeout(() => {
  console.log(`FAILED  ${current}: no end after five minutes`);
  process.exit(1);
}, 300_000).unref();

let current;
let checks = 0;
try {
  await withOpenidClient(await prepare());
  await withOauth4webapi(await prepare());
} catch (failure) {
  console.error(failure);
  console.log(`FAILED  ${current}: ${failure.message}`);
  process.exit(1);
}
const version = (name) => `${name} ${require(`${name}/package.json`).version}`;
const sdk = [...["openid-client", "oauth4webapi", "jose"].map(version), `Node.js ${process.versions.node}`];
console.log(JSON.stringify({ sdk: sdk.join(", "), checks }));

async function withOpenidClient({ channelId, secret, key, kid, otherToken }) {
  const discover = (authentication, id = channelId) =>
    openid.discovery(new URL(url), id, undefined, authentication, {
      algorithm: "oauth2",
      execute: [openid.allowInsecureRequests],
    });

  let basic;
  await step("openid-client: discovery needs the address alone", async () => {
    basic = await discover(openid.ClientSecretBasic(secret));
    const server = basic.serverMetadata();
    checkSame(server.issuer, url, "issuer");
    checkSame(server.token_endpoint, `${url}/oauth2/token`, "token_endpoint");
  });
  const post = await discover(openid.ClientSecretPost(secret));
  const jwt = await discover(openid.PrivateKeyJwt({ key, kid }));
  const jwtWithoutKid = await discover(openid.PrivateKeyJwt(key));

  for (const [name, config] of Object.entries({ basic, post, jwt, jwtWithoutKid })) {
    await step(`openid-client: issue, introspect and revoke, ${name}`, async () => {
      const issued = await openid.clientCredentialsGrant(config);
      checkSame(issued.token_type, "bearer", "token_type");
      check(issued.expires_in > 890 && issued.expires_in <= 900, `expires_in ${issued.expires_in}`);
      checkSame(issued.scope, SCOPE, "scope");
      const about = await openid.tokenIntrospection(config, issued.access_token);
      const { active, client_id, sub, iss, aud, token_type, kind, scope } = about;
      checkSame(
        { active, client_id, sub, iss, aud, token_type, kind, scope },
        { active: true, client_id: channelId, sub: channelId, iss: url, aud: url, token_type: "Bearer", kind: "stateless", scope: SCOPE },
        "introspection",
      );
      checkSame((await openid.tokenIntrospection(config, otherToken)).active, false, "another channel's");
      await openid.tokenRevocation(config, issued.access_token);
      await openid.tokenRevocation(config, issued.access_token, { token_type_hint: "refresh_token" });
      checkSame((await openid.tokenIntrospection(config, issued.access_token)).active, false, "after revocation");
      await openid.tokenRevocation(config, "unknown");
    });
  }

  await step("openid-client: kinds and groups", async () => {
    const short = await openid.clientCredentialsGrant(basic, { kind: "short-lived", group: "kitchen", scope: "P" });
    check(short.access_token.startsWith("tgs_"), "no short-lived token");
    checkSame((await openid.tokenIntrospection(basic, short.access_token)).group, "kitchen", "group");
    const v21 = await openid.clientCredentialsGrant(jwt, { kind: "v2.1", token_exp: "3600" });
    checkSame(v21.expires_in, 3600, "expires_in");
    checkSame((await openid.tokenIntrospection(jwt, v21.access_token)).kind, "v2.1", "kind");
  });

  const assertion = (changed = {}, header = {}) =>
    new jose.SignJWT({ iss: channelId, sub: channelId, aud: url, ...changed })
      .setProtectedHeader({ alg: "RS256", kid, ...header })
      .setExpirationTime("10m")
      .sign(key);
  const anonymous = await discover(openid.None());
  await step("openid-client: an assertion as grant, alone and with the secret", async () => {
    for (const config of [anonymous, basic, post]) {
      const grant = { assertion: await assertion() };
      const issued = await openid.genericGrantRequest(config, JWT_BEARER, grant);
      checkSame((await openid.tokenIntrospection(basic, issued.access_token)).active, true, "active");
    }
  });

  const named = async (call, status, error) => {
    const failure = await rejected(call);
    check(failure instanceof openid.ResponseBodyError, `${failure.name}: ${failure.message}`);
    checkSame([failure.status, failure.error], [status, error], "the error");
    check(failure.error_description, "no error_description");
    return failure;
  };
  await step("openid-client: every error that the RFCs name", async () => {
    const wrongBasic = await discover(openid.ClientSecretBasic("wrong%+ :secret"));
    for (const call of [
      () => openid.clientCredentialsGrant(wrongBasic),
      () => openid.tokenIntrospection(wrongBasic, "t"),
      () => openid.tokenRevocation(wrongBasic, "t"),
    ]) {
      const failure = await rejected(call());
      check(failure instanceof openid.WWWAuthenticateChallengeError, `${failure.name}: ${failure.message}`);
      checkSame([failure.status, failure.cause[0].scheme], [401, "basic"], "the challenge");
    }
    const wrongPost = await discover(openid.ClientSecretPost("wrong"));
    await named(openid.clientCredentialsGrant(wrongPost), 401, "invalid_client");
    await named(openid.tokenRevocation(wrongPost, "t"), 401, "invalid_client");
    await named(openid.tokenIntrospection(wrongPost, "t"), 401, "invalid_client");
    const { privateKey } = await jose.generateKeyPair("RS256");
    const forged = await discover(openid.PrivateKeyJwt({ key: privateKey, kid }));
    const refusal = await named(openid.clientCredentialsGrant(forged), 401, "invalid_client");
    check(refusal.error_description.startsWith("Invalid signature"), refusal.error_description);
    const grant = (assertion) => openid.genericGrantRequest(anonymous, JWT_BEARER, { assertion });
    await named(grant(await assertion({ aud: "https://other.example" })), 400, "invalid_grant");
    await named(grant("junk"), 400, "invalid_grant");
    await named(openid.genericGrantRequest(basic, "password", {}), 400, "unsupported_grant_type");
    await named(openid.genericGrantRequest(basic, JWT_BEARER, {}), 400, "invalid_request");
    await named(openid.clientCredentialsGrant(basic, { scope: "openid" }), 400, "invalid_scope");
    await named(openid.clientCredentialsGrant(basic, { kind: "v2.1" }), 400, "unauthorized_client");
    await named(openid.clientCredentialsGrant(basic, { kind: "v3" }), 400, "invalid_request");
    await named(openid.clientCredentialsGrant(post, await both(assertion)), 400, "invalid_request");
    const repeated = new URLSearchParams([["kind", "stateless"], ["kind", "stateless"]]);
    await named(openid.clientCredentialsGrant(basic, repeated), 400, "invalid_request");
    await named(openid.tokenRevocation(basic, otherToken), 400, "unauthorized_client");
    checkSame((await openid.tokenIntrospection(basic, "x")).active, false, "an unknown token");
  });

  await step("openid-client: an answer that is not known is 503, and too many requests are 429", async () => {
    const calls = [
      () => openid.clientCredentialsGrant(post),
      () => openid.tokenIntrospection(post, "t"),
      () => openid.tokenRevocation(post, "t"),
    ];
    await post_json("/dev/faults", { status: 429, count: calls.length, path: "/oauth2/" });
    for (const call of calls) {
      const failure = await named(call(), 429, "temporarily_unavailable");
      check(Number(failure.response.headers.get("retry-after")) >= 1, "no Retry-After");
    }
    await post_json("/dev/faults", { status: 503, count: calls.length, path: "/oauth2/" });
    for (const call of calls) {
      // The client reads the bodies of 4xx alone.
      const { cause } = await rejected(call());
      const { error } = await cause.json();
      checkSame([cause.status, error], [503, "temporarily_unavailable"], "unknown");
      check(Number(cause.headers.get("retry-after")) >= 1, "no Retry-After");
    }
  });
}

async function withOauth4webapi({ channelId, secret, key, kid, verifierToken }) {
  const insecure = { [oauth.allowInsecureRequests]: true };
  const issuer = new URL(url);
  const discovered = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
  const server = await oauth.processDiscoveryResponse(issuer, discovered);
  const client = { client_id: channelId, introspection_signed_response_alg: "EdDSA" };
  const jwks = jose.createRemoteJWKSet(new URL(server.jwks_uri));

  for (const [name, authentication] of Object.entries({
    basic: oauth.ClientSecretBasic(secret),
    post: oauth.ClientSecretPost(secret),
    jwt: oauth.PrivateKeyJwt({ key, kid }),
  })) {
    await step(`oauth4webapi: issue, verify, signed introspection and revocation, ${name}`, async () => {
      const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, {}, insecure);
      checkSame(response.headers.get("cache-control"), "no-store", "Cache-Control");
      checkSame(response.headers.get("pragma"), "no-cache", "Pragma");
      const { access_token } = await oauth.processClientCredentialsResponse(server, client, response);
      const api = new Request("https://api.example/", { headers: { authorization: `Bearer ${access_token}` } });
      const claims = await oauth.validateJwtAccessToken(server, api, url, insecure);
      checkSame([claims.sub, claims.client_id], [channelId, channelId], "RFC 9068");
      const ask = async () => {
        const answer = await oauth.introspectionRequest(server, client, authentication, access_token, insecure);
        checkSame(answer.headers.get("content-type"), "application/token-introspection+jwt", "RFC 9701");
        const text = await answer.clone().text();
        const about = await oauth.processIntrospectionResponse(server, client, answer);
        await oauth.validateApplicationLevelSignature(server, answer, insecure);
        const options = { issuer: url, audience: channelId, typ: "token-introspection+jwt" };
        const { payload } = await jose.jwtVerify(text, jwks, options);
        checkSame(payload.token_introspection, about, "jose");
        await rejected(jose.jwtVerify(text, jwks, { ...options, typ: "at+jwt" }));
        return about.active;
      };
      checkSame(await ask(), true, "active");
      const revoked = await oauth.revocationRequest(server, client, authentication, access_token, insecure);
      checkSame(await oauth.processRevocationResponse(revoked), undefined, "revocation");
      checkSame(await ask(), false, "after revocation");
    });
  }

  await step("jose: both kinds of JWS verify with the JWKS, and a changed one does not", async () => {
    for (const parameters of [{}, { kind: "v2.1", token_exp: "60" }]) {
      const authentication = oauth.PrivateKeyJwt({ key });
      const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, parameters, insecure);
      const { access_token } = await oauth.processClientCredentialsResponse(server, client, response);
      const options = { issuer: url, audience: url, typ: "at+jwt", subject: channelId, requiredClaims: ["exp", "iat", "jti"] };
      const { payload, protectedHeader } = await jose.jwtVerify(access_token, jwks, options);
      checkSame([protectedHeader.alg, payload.scope], ["EdDSA", SCOPE], "claims");
      const [header, , signature] = access_token.split(".");
      const changed = jose.base64url.encode(JSON.stringify({ ...payload, sub: "0000000000" }));
      const failure = await rejected(jose.jwtVerify([header, changed, signature].join("."), jwks));
      checkSame(failure.code, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "a changed token");
    }
  });

  await step("oauth4webapi: a verifier asks with its token about any channel's", async () => {
    const bearer = (token) => (_server, _client, _body, headers) => headers.set("authorization", `Bearer ${token}`);
    const response = await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretPost(secret), {}, insecure);
    const { access_token } = await oauth.processClientCredentialsResponse(server, client, response);
    const plain = { client_id: channelId };
    const asked = await oauth.introspectionRequest(server, plain, bearer(verifierToken), access_token, insecure);
    checkSame((await oauth.processIntrospectionResponse(server, plain, asked)).active, true, "active");
    const refused = await oauth.introspectionRequest(server, plain, bearer(access_token), access_token, insecure);
    const failure = await rejected(oauth.processIntrospectionResponse(server, plain, refused));
    const [{ scheme, parameters }] = failure.cause;
    checkSame([failure.status, scheme, parameters.error], [401, "bearer", "invalid_token"], "RFC 6750");
  });
}

// The parameters of a request that authenticates a second time.
async function both(assertion) {
  return {
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: await assertion(),
  };
}

// A channel with a key, a token of another channel, and a verifier.
async function prepare() {
  const provider = await create("/providers", { name: "OAuth" });
  const channel = async (name) =>
    create(`/providers/${provider.provider_id}/channels`, { name, type: "messaging-api" });
  const { channel_id: channelId, channel_secret: secret } = await channel("own");
  const { publicKey, privateKey: key } = await jose.generateKeyPair("RS256");
  const jwk = { ...(await jose.exportJWK(publicKey)), alg: "RS256", use: "sig" };
  const { kid } = await create(`/channels/${channelId}/assertion-keys`, { jwk });
  const { verifier_token: verifierToken } = await create("/verifiers", { name: "gateway" });
  const other = await channel("other");
  const config = await openid.discovery(new URL(url), other.channel_id, other.channel_secret, undefined, {
    algorithm: "oauth2",
    execute: [openid.allowInsecureRequests],
  });
  const { access_token: otherToken } = await openid.clientCredentialsGrant(config);
  return { channelId, secret, key, kid, otherToken, verifierToken };
}

async function create(path, body) {
  const response = await post_json(`/admin/v1${path}`, body);
  checkSame(response.status, 201, path);
  return response.json();
}

function post_json(path, body) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${process.env.TEGATA_ADMIN_TOKEN}` };
  return fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function step(name, work) {
  current = name;
  await work();
  console.log(`ok  ${name}`);
}

function check(holds, message) {
  checks += 1;
  if (!holds) throw new Error(message);
}

function checkSame(found, expected, what) {
  const show = JSON.stringify;
  check(isDeepStrictEqual(found, expected), `${what}: ${show(found)} instead of ${show(expected)}`);
}

// The error with which it fails.
async function rejected(promise) {
  const failure = await promise.then(() => undefined, (failure) => failure);
  check(failure !== undefined, "it was not refused");
  return failure;
}
