/** Verifies the bearer token of each request of Express, Connect or `node:http`: see
 *  `express.d.ts`. */
"use strict";

const { Invalid } = require("./index.js");

function middleware(verifier, conditions) {
  const gate = verifier.gate(conditions);
  return (request, response, next) => {
    gate.decide(request).then(({ token, refused }) => {
      if (token) {
        request.tegata = token;
        return next();
      }
      response.statusCode = refused.status;
      for (const { name, value } of refused.headers) response.setHeader(name, value);
      response.end(refused.body);
    }, next);
  };
}

function isRevoked(verifier, token = fromHeader) {
  return async (request, decoded) => {
    try {
      const found = await verifier.verify(token(request), request.socket?.remoteAddress);
      // Another token than the one that was decoded says nothing about that one.
      return found.id !== decoded?.payload.jti;
    } catch (error) {
      if (error instanceof Invalid) return true;
      throw error;
    }
  };
}

function fromHeader(request) {
  return (request.headers.authorization ?? "").replace(/^Bearer +/i, "");
}

module.exports = { isRevoked, middleware };
