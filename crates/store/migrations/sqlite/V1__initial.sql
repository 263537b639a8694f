-- The authority's state. Times are whole seconds since 1970 UTC. An "immutable"
-- column never changes once it is written; every other one says when it does.

-- One row: the head of the change log, and what identifies the store.
CREATE TABLE authority (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    epoch            INTEGER NOT NULL,            -- a restore begins a new one
    position         INTEGER NOT NULL DEFAULT 0,  -- number of the last change; locked last
    written_at       INTEGER NOT NULL DEFAULT 0,  -- the highest time written; never decreases
    commits          INTEGER NOT NULL DEFAULT 0,  -- number of commits of any sort
    dev              INTEGER NOT NULL,            -- created with --dev; immutable
    clock_offset     INTEGER NOT NULL DEFAULT 0,  -- seconds that the development clock was moved
    -- What distinguishes a store that went backwards (restored, or copied back) from one
    -- that went on. The rollback guard is a small file outside of the database.
    identity         BLOB,                        -- 16 random bytes of the first start; copies share it
    guard            BLOB,                        -- 16 random bytes of this start, as in the file; empty in a backup
    guard_before     BLOB,                        -- while the file is renewed: its bytes before (empty: none)
    last_revocation  INTEGER NOT NULL DEFAULT 0   -- last commit with a line in the revocation journal
);

CREATE TABLE provider (
    number      INTEGER PRIMARY KEY,              -- grows; the order of lists
    id          INTEGER NOT NULL UNIQUE,          -- ten digits; immutable
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    deleted     INTEGER NOT NULL DEFAULT 0,       -- 1: final; deleted channels still name it
    revocations INTEGER NOT NULL DEFAULT 0        -- how many of all its tokens were begun
);

CREATE TABLE channel (
    number                   INTEGER PRIMARY KEY, -- grows; the order of lists
    id                       INTEGER NOT NULL UNIQUE, -- ten digits; immutable, reserved after deletion
    provider                 INTEGER NOT NULL REFERENCES provider (id),  -- immutable
    name                     TEXT NOT NULL,
    type                     TEXT NOT NULL,       -- immutable
    created_at               INTEGER NOT NULL,
    state                    TEXT NOT NULL,       -- active, suspended, deleted (final)
    rules                    TEXT NOT NULL,       -- current, legacy-2020
    group_cap                INTEGER NOT NULL,
    group_when_full          TEXT NOT NULL,       -- evict-oldest, deny
    own_audience_only        INTEGER NOT NULL,
    single_use               INTEGER NOT NULL,
    on_leak                  TEXT NOT NULL DEFAULT 'revoke', -- revoke, flag
    secret                   BLOB NOT NULL,       -- SHA-256
    previous_secret          BLOB,                -- SHA-256; accepted until previous_until
    previous_until           INTEGER,
    limits                   TEXT NOT NULL DEFAULT '{}', -- JSON: where they differ from the server's
    -- The audit row of the act that set the state, written in its transaction.
    state_act                INTEGER,
    -- When each secret last authenticated; written by a job, so a little late.
    secret_used_at           INTEGER,
    previous_secret_used_at  INTEGER,
    -- How many revocations of all tokens of its provider were begun before it: they leave it out.
    revocations_before       INTEGER NOT NULL DEFAULT 0 -- immutable
);
CREATE INDEX channel_by_provider ON channel (provider, number);
-- The order in which a revocation of all tokens of a provider goes on.
CREATE INDEX channel_by_provider_and_id ON channel (provider, id);

-- What every issue reads and writes of its channel, in a row as narrow as possible,
-- so that a commit of many channels touches few pages.
CREATE TABLE channel_count (
    channel      INTEGER PRIMARY KEY,
    serial       INTEGER NOT NULL,                -- last one assigned; grows
    bulk_serial  INTEGER NOT NULL,                -- last one that a cutoff was set at
    revision     INTEGER NOT NULL                 -- counts changes of what requests are authorized by
);

CREATE TABLE assertion_key (
    number        INTEGER PRIMARY KEY,
    id            BLOB NOT NULL UNIQUE,           -- 16 bytes, a UUID; immutable
    channel       INTEGER NOT NULL,
    grp           TEXT,                           -- the group that it is bound to; immutable
    modulus       BLOB NOT NULL,                  -- of an RSA key with exponent 65537
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER                         -- last valid assertion; written by a job, so a little late
);
CREATE INDEX assertion_key_by_channel ON assertion_key (channel);

-- Only groups with settings of their own have a row.
CREATE TABLE channel_group (
    channel    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    settings   TEXT NOT NULL,                     -- JSON
    PRIMARY KEY (channel, name)
) WITHOUT ROWID;

-- Groups that stateless tokens were issued for, which leave no row of their own, and
-- groups that were deleted. A row is written at a group's first use, and renewed at
-- most once a day; a revocation may name the group until then.
CREATE TABLE group_use (
    channel  INTEGER NOT NULL,
    name     TEXT NOT NULL,
    until    INTEGER NOT NULL,                    -- by then its last token has expired
    deleted  INTEGER NOT NULL,                    -- 1: does not count among the channel's groups
    PRIMARY KEY (channel, name)
) WITHOUT ROWID;

-- Assertion keys that were deleted, as long as a token issued for them may be active.
CREATE TABLE deleted_key (
    channel  INTEGER NOT NULL,
    id       BLOB NOT NULL,                       -- 16 bytes, as in assertion_key
    until    INTEGER NOT NULL,
    PRIMARY KEY (channel, id)
) WITHOUT ROWID;

CREATE TABLE signing_key (
    number           INTEGER PRIMARY KEY,
    id               BLOB NOT NULL UNIQUE,        -- 8 bytes; immutable
    public           BLOB NOT NULL,               -- 32 bytes; immutable
    wrapped          BLOB NOT NULL,               -- private half, encrypted with the master key; empty: revoked
    state            TEXT NOT NULL,               -- pending, active, retired, revoked
    issued_before    INTEGER,                     -- of a retired key: only tokens issued before are valid
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    key_revoked_act  INTEGER,                     -- audit row of the act that revoked it
    key_revoked_by   TEXT,                        -- the actor that revoked it
    key_reason       TEXT                         -- the reason, if one was given
);

-- The public addresses under which tokens were issued: part of their wire form.
CREATE TABLE form (
    number   INTEGER PRIMARY KEY,
    version  INTEGER NOT NULL,
    issuer   TEXT NOT NULL,
    UNIQUE (version, issuer)
);

-- What is known of a stored token; the token itself is kept nowhere. The primary key
-- grows, so that a batch of issues fills one page after the other.
CREATE TABLE token (
    number         INTEGER PRIMARY KEY,
    channel        INTEGER NOT NULL,              -- immutable, as all down to `parameters`
    serial         INTEGER NOT NULL,
    id             BLOB NOT NULL,                 -- 16 bytes
    kind           TEXT NOT NULL,
    grp            TEXT,
    assertion_key  BLOB,
    signing_key    INTEGER NOT NULL,              -- a number of signing_key
    form           INTEGER NOT NULL,              -- a number of form
    issued_at      INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    idempotency    BLOB,                          -- SHA-256 of key and scope
    parameters     TEXT,                          -- what a retry must have the same
    ends_at        INTEGER,                       -- revoked from then on; only decreases
    revoked_at     INTEGER,                       -- set once
    cause          TEXT,                          -- requested, evicted, reissued
    replaced_by    INTEGER,                       -- the serial that took its place
    past           INTEGER NOT NULL DEFAULT 0,    -- 1: revoked, or found expired; set once
    last_used_at   INTEGER,
    revoked_act    INTEGER,                       -- audit row of the act that revoked it
    revoked_by     TEXT,                          -- the actor that revoked it; null if evicted
    reason         TEXT                           -- the reason, if one was given
);
-- A row is in one of these two, so that an issue touches one page of them. The first
-- lists the active tokens of a channel by itself, however many there have been.
CREATE UNIQUE INDEX token_live
    ON token (channel, serial, expires_at, kind, grp, signing_key, issued_at, ends_at)
    WHERE past = 0;
CREATE UNIQUE INDEX token_past ON token (channel, serial) WHERE past = 1;
CREATE UNIQUE INDEX token_by_idempotency ON token (channel, idempotency)
    WHERE idempotency IS NOT NULL;

-- Recent uses of a token, apart from its row, which stays narrow. Written by a job.
CREATE TABLE token_use (
    token       INTEGER PRIMARY KEY,              -- a number of token
    newest_day  INTEGER NOT NULL,                 -- day since 1970 of the newest use
    uses        TEXT NOT NULL                     -- JSON: [[source, start of the minute, count], ...], newest first
);
CREATE INDEX token_use_by_age ON token_use (newest_day);

-- A channel's part of the revocation view: see `ChannelRevocations`.
CREATE TABLE channel_revocations (
    channel      INTEGER PRIMARY KEY,
    revocations  TEXT NOT NULL,                   -- JSON
    first_until  INTEGER NOT NULL                 -- when the first of them can be forgotten
);
CREATE INDEX channel_revocations_by_age ON channel_revocations (first_until);

CREATE TABLE change_log (
    number    INTEGER PRIMARY KEY,                -- the position's number within the epoch
    at        INTEGER NOT NULL,
    provider  INTEGER,                            -- NULL: concerns no channel
    channel   INTEGER,
    change    TEXT NOT NULL                       -- JSON: see `Change`
);

-- Assertions of channels that accept each one once.
CREATE TABLE assertion_used (
    channel      INTEGER NOT NULL,
    fingerprint  BLOB NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (channel, fingerprint)
) WITHOUT ROWID;
CREATE INDEX assertion_used_by_age ON assertion_used (expires_at);

CREATE TABLE audit (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    source    TEXT,
    act       TEXT NOT NULL,
    provider  INTEGER,
    channel   INTEGER,
    detail    TEXT NOT NULL,                      -- JSON, never a secret
    epoch     INTEGER,                            -- with `position`: its last change
    position  INTEGER
);
CREATE INDEX audit_by_channel ON audit (channel, id);
CREATE INDEX audit_by_provider ON audit (provider, id);
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_act ON audit (act, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_source ON audit (source, id);
CREATE INDEX audit_by_group ON audit ((detail ->> '$.group'), id);
CREATE INDEX audit_by_token ON audit ((detail ->> '$.token_id'), id);

-- Each checkpoint continues a hash chain over a range of audit rows and is signed with a
-- key whose private half only the master key decrypts. It is kept longer than its rows.
-- See `crates/store/src/audit.rs`.
CREATE TABLE audit_checkpoint (
    number     INTEGER PRIMARY KEY,               -- 1, 2, 3 … without a gap
    epoch      INTEGER NOT NULL,
    first      INTEGER NOT NULL,                  -- its rows, by their ids
    last       INTEGER NOT NULL,
    events     INTEGER NOT NULL,                  -- how many they are
    kept_from  INTEGER NOT NULL,                  -- rows of checkpoints below this one may be deleted
    at         INTEGER NOT NULL,
    chain      BLOB NOT NULL,                     -- SHA-256 over the chain before it and its rows
    signature  BLOB NOT NULL                      -- Ed25519
);

-- One row: the key that signs checkpoints.
CREATE TABLE audit_key (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    public   BLOB NOT NULL,                       -- 32 bytes; immutable
    wrapped  BLOB NOT NULL                        -- private half, encrypted with the master key
);

-- Warnings on their way to the webhook. A row is kept after it was sent, so that it is
-- not sent twice, until what it warns of has long passed.
CREATE TABLE warning (
    number      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,             -- what it warns of, and how long before; immutable
    body        TEXT NOT NULL,                    -- JSON, never a secret; immutable
    keep_until  INTEGER NOT NULL,                 -- immutable
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER                           -- next attempt; NULL: sent, or given up
);
CREATE INDEX warning_due ON warning (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX warning_by_age ON warning (keep_until);

-- Running jobs that revoke all tokens of a provider.
CREATE TABLE provider_revocation (
    number    INTEGER PRIMARY KEY,
    provider  INTEGER NOT NULL,
    through   INTEGER NOT NULL,                   -- only channels with so many revocations before, or fewer
    done_to   INTEGER NOT NULL DEFAULT 0,         -- channels up to this id are done
    revoked   INTEGER NOT NULL DEFAULT 0,         -- stored tokens revoked so far
    position  INTEGER NOT NULL DEFAULT 0,         -- of the last change
    actor     TEXT NOT NULL,
    source    TEXT,
    reason    TEXT
);

-- Requests with an `Idempotency-Key`, for a day: a repeated one gets the response of the first.
CREATE TABLE request (
    key         BLOB PRIMARY KEY,                 -- digest of actor, call and key; immutable
    parameters  BLOB NOT NULL,                    -- digest of the body; immutable
    until       INTEGER NOT NULL,                 -- immutable
    response    BLOB                              -- encrypted with the master key; NULL: unknown
) WITHOUT ROWID;
CREATE INDEX request_by_age ON request (until);

-- Credentials of programs that verify tokens.
CREATE TABLE verifier (
    number         INTEGER PRIMARY KEY,           -- grows; the order of lists
    id             INTEGER NOT NULL UNIQUE,       -- ten digits; immutable
    name           TEXT NOT NULL,
    provider       INTEGER,                       -- NULL: all providers; immutable
    max_staleness  INTEGER NOT NULL,              -- milliseconds
    allow          INTEGER NOT NULL,              -- may accept tokens by a stale view
    token          BLOB NOT NULL UNIQUE,          -- SHA-256; immutable
    created_at     INTEGER NOT NULL,
    deleted_at     INTEGER                        -- its instances may have rows for longer
);

-- Running copies of programs that use a verifier. A row is written before the instance
-- gets its first answer.
CREATE TABLE instance (
    number         INTEGER PRIMARY KEY,
    verifier       INTEGER NOT NULL,              -- an id of verifier
    instance       TEXT NOT NULL,                 -- immutable
    staleness      INTEGER NOT NULL,              -- milliseconds; only grows
    on_stale       TEXT NOT NULL,                 -- deny, ask, allow; only more lenient
    registered_at  INTEGER NOT NULL,
    renewed_at     INTEGER NOT NULL,
    stopped        INTEGER NOT NULL,              -- it has reported its end
    address        TEXT,                          -- from which it was registered
    UNIQUE (verifier, instance)
);

-- Which instances have applied an act that takes something away. Kept as long as the
-- audit.
CREATE TABLE receipt (
    epoch         INTEGER NOT NULL,
    position      INTEGER NOT NULL,               -- of the act's last change
    at            INTEGER NOT NULL,
    provider      INTEGER,                        -- NULL: concerns all verifiers
    effective_at  INTEGER NOT NULL,
    complete      INTEGER NOT NULL,
    list          TEXT,                           -- JSON; NULL: not written yet
    PRIMARY KEY (epoch, position)
) WITHOUT ROWID;
CREATE INDEX receipt_open ON receipt (epoch, position) WHERE complete = 0;
CREATE INDEX receipt_by_time ON receipt (at);

-- People who administer the authority. A deleted person's row stays, since the audit
-- names its id.
CREATE TABLE person (
    number            INTEGER PRIMARY KEY,        -- grows; the order of lists
    id                INTEGER NOT NULL UNIQUE,    -- ten digits; immutable
    login             TEXT NOT NULL,              -- the name to sign in with; immutable
    name              TEXT NOT NULL,
    operator          TEXT,                       -- administrator, on-call, auditor
    providers         TEXT NOT NULL,              -- JSON: the role in each provider
    channels          TEXT NOT NULL,              -- JSON: the role in each channel
    disabled          INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    password          TEXT,                       -- argon2id; NULL: the invitation is not accepted
    totp              BLOB,                       -- second factor, encrypted with the master key
    totp_step         INTEGER NOT NULL DEFAULT 0, -- of the newest code that was used
    recovery          TEXT NOT NULL DEFAULT '[]', -- JSON: SHA-256 of each unused code
    invitation        BLOB UNIQUE,                -- SHA-256; accepted once
    invitation_until  INTEGER,
    identity_issuer   TEXT,                       -- the account at an identity provider, if one is linked
    identity_subject  TEXT,
    identity_at       INTEGER,                    -- when it was linked
    deleted_at        INTEGER
);
CREATE UNIQUE INDEX person_by_login ON person (login) WHERE deleted_at IS NULL;
CREATE INDEX person_operator ON person (operator)
    WHERE operator IS NOT NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX person_by_identity ON person (identity_issuer, identity_subject)
    WHERE deleted_at IS NULL AND identity_issuer IS NOT NULL;

-- At most a few of each person.
CREATE TABLE person_session (
    number      INTEGER PRIMARY KEY,
    token       BLOB NOT NULL UNIQUE,             -- SHA-256; immutable, as the rest
    person      INTEGER NOT NULL,                 -- an id of person
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX person_session_by_person ON person_session (person);

-- Personal administrator's tokens.
CREATE TABLE admin_token (
    number      INTEGER PRIMARY KEY,              -- grows; the order of lists
    id          INTEGER NOT NULL UNIQUE,          -- ten digits; immutable, as the rest
    person      INTEGER NOT NULL,                 -- an id of person
    name        TEXT NOT NULL,
    rights      TEXT NOT NULL,                    -- read, revoke, full
    token       BLOB NOT NULL UNIQUE,             -- SHA-256
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX admin_token_by_person ON admin_token (person);
