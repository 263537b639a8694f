/** Verifies the bearer token of each request of Fastify: see `fastify.d.ts`. */
"use strict";

async function plugin(fastify, { verifier, ...conditions }) {
  const gate = verifier.gate(conditions);
  fastify.decorateRequest("tegata", null);
  fastify.addHook("onRequest", async (request, reply) => {
    const { token, refused } = await gate.decide(request.raw);
    if (refused) {
      for (const { name, value } of refused.headers) reply.header(name, value);
      return reply.code(refused.status).send(refused.body);
    }
    request.tegata = token;
  });
}

// The hook is for the routes of the instance that registers the plugin, not of a child alone.
plugin[Symbol.for("skip-override")] = true;

module.exports = plugin;
