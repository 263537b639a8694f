/** Verifies the bearer token of each request of Fastify. */

import type { Conditions, Verifier } from "./index.js";

/** Lets requests of this instance's routes through whose bearer token is active, with the `Token`
 *  as `request.tegata`. The others are answered with 401, with 403 if the token does not meet the
 *  conditions, and with 503 if its state is not known:
 *
 *      fastify.register(require("tegata/fastify"), { verifier, kinds: ["v2.1"] });
 */
declare function plugin(fastify: any, options: Conditions & { verifier: Verifier }): Promise<void>;

export = plugin;
