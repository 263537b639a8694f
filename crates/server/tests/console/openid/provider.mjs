// An identity provider on loopback: npm's `oidc-provider`, with a page of its own that signs in
// every name.
//
// Prints its address, reads one line, the address that the client's browsers return to, and prints
// `serving`. The client is `tegata` with a secret, and must use PKCE.

import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const parts = new URL("../../../../../target/test-parts/openid/", import.meta.url);
const found = createRequire(parts).resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(found));

let serve = (request, response) => response.writeHead(503).end();
const server = createServer((request, response) => serve(request, response));
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);

const [redirectUri] = await once(createInterface({ input: process.stdin }), "line");

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "tegata",
      client_secret: "secret with a space, a colon: and a %",
      redirect_uris: [redirectUri],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  cookies: { keys: ["for tests"] },
  claims: { openid: ["sub"], profile: ["preferred_username"], email: ["email"] },
  conformIdTokenClaims: false,
  scopes: ["openid", "profile", "email"],
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  pkce: { required: () => true },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, preferred_username: `${sub} at the provider` }),
  }),
  // The person is asked nothing but the name.
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({
      clientId: oidc.client.clientId,
      accountId: oidc.session.accountId,
    });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
});

const form = `<!doctype html><html lang="en"><title>Provider</title>
<link rel="icon" href="data:,"><h1>The provider</h1>
<form method="post"><label>Name <input name="name"></label><button>Go</button>
<button name="cancel" value="yes">Cancel</button></form></html>`;

const body = async (request) => {
  let text = "";
  for await (const part of request) text += part;
  return new URLSearchParams(text);
};

const callback = provider.callback();
serve = async (request, response) => {
  if (!request.url.startsWith("/interaction/")) return callback(request, response);
  if (request.method === "GET") {
    return response.writeHead(200, { "content-type": "text/html" }).end(form);
  }
  const fields = await body(request);
  const result = fields.has("cancel")
    ? { error: "access_denied", error_description: "<b>no</b>" }
    : { login: { accountId: fields.get("name") } };
  await provider.interactionFinished(request, response, result);
};
console.log("serving");
