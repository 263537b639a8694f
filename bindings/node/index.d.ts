/** Verifies channel access tokens of Tegata in memory. */

import type { IncomingMessage } from "node:http";

/** A token is not accepted; `status` is that of the response to its request. */
export class NotAccepted extends Error {
  status: number;
}

/** The token is not active: it has expired, was revoked, or is none. The status is 401. */
export class Invalid extends NotAccepted {}

/** It is not known whether the token is active, since the authority did not respond for longer
 *  than the staleness. The status is 503; the client may repeat its request. */
export class Unknown extends NotAccepted {}

/** A token that is active. Its text is not kept. */
export class Token {
  private constructor();
  /** Its id, which a JWT has as `jti`. */
  readonly id: string;
  /** Its kind. */
  readonly kind: "v2.1" | "stateless" | "short-lived" | "long-lived";
  /** The id of the channel that it gives access to. */
  readonly channel: string;
  /** The id of the provider that owns the channel. */
  readonly provider: string;
  /** The group within the channel that holds it. */
  readonly group: string | null;
  /** When it was issued, in Unix seconds. */
  readonly issuedAt: number;
  /** The first moment at which it is no longer active, as far as is known now. */
  readonly until: number;
  /** Why the view is stale, which `onStale: "allow"` permits; else null. */
  readonly stale: string | null;
}

/** Settings of a verifier. */
export interface Options {
  /** The age in seconds up to which the view may be used; default 60. A revoked token is accepted
   *  for at most this long, whatever fails. */
  staleness?: number;
  /** What is done with an older view: `deny` (default) throws `Unknown`, `ask` asks the authority
   *  about each token, `allow` uses the view. */
  onStale?: "deny" | "ask" | "allow";
  /** The certificate authorities to trust, as PEM. */
  authorityCa?: string;
  /** A file for a copy of the view, which one process may use. */
  copy?: string;
  /** Whether the authority learns when tokens were last used; default true. */
  reportUses?: boolean;
  /** Number of tokens whose signature check is kept; default 10,000. */
  cachedTokens?: number;
}

/** Conditions: a token must match one of each list; an empty list is no condition. */
export interface Conditions {
  kinds?: string[];
  channels?: string[];
  groups?: string[];
}

/** The response to a request that is not let through. */
export interface Refused {
  status: number;
  headers: { name: string; value: string }[];
  body: string;
}

/** The health of a verifier. `stale` is absent as long as the view can be relied on. */
export interface Health {
  age?: number;
  stale?: string;
  rejected?: string;
  failure?: string;
  cannot?: string;
  copyProblem?: string;
  position?: string;
  keys: number;
  channels: number;
  revocations: number;
}

/** Verifies tokens from memory. The follower is a thread of its own: a blocked event loop does not
 *  delay it, and it does not keep the process from exiting. */
export class Verifier {
  constructor(authority: string, verifierToken: string, options?: Options);
  /** Verifies a token. Waits for the authority, for a second at most, only if memory does not
   *  answer: without a view yet, for an unknown key or a suspended channel, and with
   *  `onStale: "ask"`. No thread waits, and at most 1,024 verifications do. Counts a use of the
   *  token, for the authority's record of when it was last used; `source` is the client's IP
   *  address. Throws `Invalid` or `Unknown`. */
  verify(token: string, source?: string): Promise<Token>;
  /** Verifies a token from memory alone, and counts its use; null if that does not answer. Throws
   *  `Invalid` or `Unknown`. */
  recall(token: string, source?: string): Token | null;
  /** Waits until there is a view, for at most this many seconds (default 1); resolves to whether
   *  there is one. */
  ready(seconds?: number): Promise<boolean>;
  /** The age of the view in seconds; null without a view. */
  age(): number | null;
  /** The health at this moment. */
  health(): Health | null;
  /** Stops: every later verification throws `Unknown`, and the authority learns that this process
   *  is gone. Waits for its response for at most this many seconds (default 1). */
  close(seconds?: number): Promise<void>;
  /** The decision about requests, for middlewares. */
  gate(conditions?: Conditions): {
    decide(request: IncomingMessage): Promise<{ token: Token } | { refused: Refused }>;
  };
}

/** Starts to follow the feed of an authority, and returns at once. `verifierToken` is what
 *  `tegata verifier create` printed. Throws if a setting is wrong; that the authority cannot be
 *  reached is no error: until then, `verify` throws `Unknown`. */
export function connect(authority: string, verifierToken: string, options?: Options): Verifier;
