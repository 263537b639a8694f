/** Verifies the bearer token of each request of Express, Connect or `node:http`. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Conditions, Verifier } from "./index.js";

/** Lets requests through whose bearer token is active, with the `Token` as `request.tegata`. The
 *  others are answered with 401, with 403 if the token does not meet the conditions, and with 503
 *  if its state is not known. */
export function middleware(
  verifier: Verifier,
  conditions?: Conditions,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/** A function for the option `isRevoked` of express-jwt. It throws `Unknown`, whose status is 503,
 *  if the state of a token is not known.
 *
 *  `token` returns the text of the request's token; without it, that is the `Authorization` header's. */
export function isRevoked<Request extends IncomingMessage>(
  verifier: Verifier,
  token?: (request: Request) => string,
): (request: Request, decoded: any) => Promise<boolean>;
