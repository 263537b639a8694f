-- The authority's state. Times are whole seconds since 1970 UTC. "Immutable"
-- columns never change once written; all others say when they do.

-- One row: the last position of the log and the store's own state.
CREATE TABLE authority (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    epoch         INTEGER NOT NULL,            -- increases with each restore
    position      INTEGER NOT NULL DEFAULT 0,  -- number of the last log entry; locked last
    written_at    INTEGER NOT NULL DEFAULT 0,  -- the highest time ever written; never decreases
    commits       INTEGER NOT NULL DEFAULT 0,  -- how many commits there were, of any sort
    dev           INTEGER NOT NULL,            -- made with --dev; immutable
    clock_offset  INTEGER NOT NULL DEFAULT 0   -- of the development clock, in seconds
);

CREATE TABLE provider (
    number      INTEGER PRIMARY KEY,           -- grows; the order of lists
    id          INTEGER NOT NULL UNIQUE,       -- ten digits; immutable
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL
);

CREATE TABLE channel (
    number              INTEGER PRIMARY KEY,   -- grows; the order of lists
    id                  INTEGER NOT NULL UNIQUE, -- ten digits; immutable, not reused after deletion
    provider            INTEGER NOT NULL REFERENCES provider (id),  -- immutable
    name                TEXT NOT NULL,
    type                TEXT NOT NULL,         -- immutable
    created_at          INTEGER NOT NULL,
    state               TEXT NOT NULL,         -- active, suspended, deleted (permanently)
    rules               TEXT NOT NULL,
    group_cap           INTEGER NOT NULL,
    group_when_full     TEXT NOT NULL,
    own_audience_only   INTEGER NOT NULL,
    single_use          INTEGER NOT NULL,
    secret              BLOB NOT NULL,         -- SHA-256
    previous_secret     BLOB,                  -- SHA-256; accepted until previous_until
    previous_until      INTEGER
);
CREATE INDEX channel_by_provider ON channel (provider, number);

-- What every issue reads and writes of its channel, in a row as narrow as possible,
-- so that a commit of many channels writes few pages.
CREATE TABLE channel_count (
    channel      INTEGER PRIMARY KEY,
    serial       INTEGER NOT NULL,             -- the last one used; increases
    bulk_serial  INTEGER NOT NULL,             -- that of the last bulk revocation
    revision     INTEGER NOT NULL              -- counts changes that matter to authorization
);

CREATE TABLE assertion_key (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,          -- 16 bytes, a UUID; immutable
    channel     INTEGER NOT NULL,
    grp         TEXT,                          -- the group that it is bound to; immutable
    modulus     BLOB NOT NULL,                 -- of an RSA key with exponent 65537
    created_at  INTEGER NOT NULL
);
CREATE INDEX assertion_key_by_channel ON assertion_key (channel);

-- Only groups with settings of their own have a row.
CREATE TABLE channel_group (
    channel    INTEGER NOT NULL,
    name       TEXT NOT NULL,
    settings   TEXT NOT NULL,                  -- JSON
    PRIMARY KEY (channel, name)
) WITHOUT ROWID;

CREATE TABLE signing_key (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,          -- 8 bytes; immutable
    public      BLOB NOT NULL,                 -- 32 bytes; immutable
    wrapped     BLOB NOT NULL,                 -- the private half under the master key
    state       TEXT NOT NULL,                 -- pending, active, retired, bounded, revoked
    bound       INTEGER,                       -- of a bounded key: issued until then
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
);

-- The public addresses under which tokens were issued: part of their form.
CREATE TABLE form (
    number   INTEGER PRIMARY KEY,
    version  INTEGER NOT NULL,
    issuer   TEXT NOT NULL,
    UNIQUE (version, issuer)
);

-- The facts of a stored token; the token itself is not stored. The key increases, so
-- a batch of issues fills one page after the other.
CREATE TABLE token (
    number         INTEGER PRIMARY KEY,
    channel        INTEGER NOT NULL,           -- immutable, as all down to `parameters`
    serial         INTEGER NOT NULL,
    id             BLOB NOT NULL,              -- 16 bytes
    kind           TEXT NOT NULL,
    grp            TEXT,
    assertion_key  BLOB,
    signing_key    INTEGER NOT NULL,           -- a number of signing_key
    form           INTEGER NOT NULL,           -- a number of form
    issued_at      INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    idempotency    BLOB,                       -- SHA-256 of key and scope
    parameters     TEXT,                       -- what a retry must repeat
    ends_at        INTEGER,                    -- a scheduled revocation; only decreases
    revoked_at     INTEGER,                    -- set once
    cause          TEXT,                       -- requested, evicted, reissued
    replaced_by    INTEGER,                    -- the serial that replaced it
    past           INTEGER NOT NULL DEFAULT 0, -- 1: revoked, or was found to be expired; set once
    last_used_at   INTEGER
);
-- A row is in one of these two indexes, so that an issue writes one page of them. The
-- first contains every active token of a channel, however many were issued before.
CREATE UNIQUE INDEX token_live
    ON token (channel, serial, expires_at, kind, grp, signing_key, issued_at, ends_at)
    WHERE past = 0;
CREATE UNIQUE INDEX token_past ON token (channel, serial) WHERE past = 1;
CREATE UNIQUE INDEX token_by_idempotency ON token (channel, idempotency)
    WHERE idempotency IS NOT NULL;

-- A channel's revocations in the view: see `ChannelRevocations`.
CREATE TABLE channel_revocations (
    channel      INTEGER PRIMARY KEY,
    revocations  TEXT NOT NULL,                -- JSON after a checksum
    first_until  INTEGER NOT NULL              -- when the first of them can be dropped
);
CREATE INDEX channel_facts_by_age ON channel_revocations (first_until);

CREATE TABLE change_log (
    number   INTEGER PRIMARY KEY,              -- the position's number within the epoch
    at       INTEGER NOT NULL,
    provider INTEGER,                          -- NULL: of no channel
    channel  INTEGER,
    change   TEXT NOT NULL                     -- JSON: see `Change`
);

-- Used assertions of channels that accept each one once.
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
    detail    TEXT NOT NULL,                   -- JSON, never a secret
    epoch     INTEGER,                         -- with `position`: the position in the log
    position  INTEGER
);
CREATE INDEX audit_by_channel ON audit (channel, id);
