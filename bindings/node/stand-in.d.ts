/** A server for tests, on a free port, with a channel and a clock that can be moved forward. */

import type { Options, Verifier } from "./index.js";

/** The server has answered a request with an error. */
export class RequestFailed extends Error {
  status: number;
  body: string;
}

/** A channel with its credentials. */
export interface Channel {
  id: string;
  secret: string;
  /** The id of its assertion key. */
  keyId: string;
  /** The file with its private assertion key, as JWK. */
  keyFile: string;
}

/** The kind of a token. */
export type Kind = "stateless" | "short-lived" | "long-lived" | "v2.1";

/** A development server with a channel. */
export class StandIn {
  private constructor();
  /** Starts a server. */
  static start(): Promise<StandIn>;
  /** Its address, as `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** The administrator's token, for the admin API. */
  readonly adminToken: string;
  readonly channel: Channel;
  /** The server's time, in Unix seconds. */
  now(): Promise<number>;
  /** Moves the server's clock forward; resolves to its time. Tokens expire by it, also for the
   *  verifiers of `connect` once this resolves. */
  advance(seconds: number): Promise<number>;
  /** Waits until every verifier has applied what the server has done: evictions, too, which have no
   *  receipt. */
  settle(): Promise<void>;
  /** Makes the server answer the next `count` requests, of the paths that begin with `path`, with
   *  a status of 429, 500 or 503, `delay` seconds late. A verifier's requests count, too, unless
   *  `path` is another one. */
  fault(status?: 429 | 500 | 503, options?: { count?: number; delay?: number; path?: string }): Promise<void>;
  /** Removes the faults that are still to come. */
  clearFaults(): Promise<void>;
  /** Issues a token of the channel. `lifetime`, in seconds, is for `v2.1`, whose assertion is signed
   *  for the present time: after `advance`, sign one yourself with the key in `channel.keyFile`. */
  issue(kind?: Kind, options?: { group?: string; lifetime?: number }): Promise<string>;
  /** Revokes a token, whatever its kind; resolves once every verifier has applied it. */
  revoke(token: string): Promise<void>;
  /** Whether the server accepts a token now, as a gateway asks it. */
  isActive(token: string): Promise<boolean>;
  /** A verifier that follows this server, with a view already; it is closed with the server. */
  connect(options?: Options): Promise<Verifier>;
  /** Calls the admin API; `path` is what follows `/admin/v1`. Throws `RequestFailed`. */
  admin(method: string, path: string, body?: object): Promise<any>;
  /** Kills the server and deletes its files; can be called again. */
  stop(): Promise<void>;
}

/** A test with a server of its own, for `node:test`, vitest and other runners:
 *
 *      test("a token expires", withStandIn(async (server) => { … }));
 *
 *  The server is gone once the test has ended. */
export function withStandIn<Context extends unknown[], Result>(
  test: (server: StandIn, ...context: Context) => Promise<Result> | Result,
): (...context: Context) => Promise<Result>;
