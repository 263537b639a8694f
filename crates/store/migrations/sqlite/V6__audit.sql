-- Audit rows are covered by checkpoints in batches. Each checkpoint continues a hash
-- chain and is signed with a key whose private half is wrapped with the master key; it
-- outlasts its rows. See `crates/store/src/audit.rs`.
CREATE TABLE audit_checkpoint (
    number     INTEGER PRIMARY KEY,            -- 1, 2, 3 … without a gap
    epoch      INTEGER NOT NULL,
    first      INTEGER NOT NULL,               -- its rows, by their ids
    last       INTEGER NOT NULL,
    events     INTEGER NOT NULL,               -- how many rows there are
    kept_from  INTEGER NOT NULL,               -- rows of checkpoints below this one may be deleted
    at         INTEGER NOT NULL,
    chain      BLOB NOT NULL,                  -- SHA-256 over the chain before it and its rows
    signature  BLOB NOT NULL                   -- Ed25519
);

-- One row: the key that signs checkpoints.
CREATE TABLE audit_key (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    public  BLOB NOT NULL,                     -- 32 bytes; immutable
    wrapped BLOB NOT NULL                      -- the private half under the master key
);

-- The audit row of the act that revoked a token or a signing key, or set a channel's
-- state; written in that act's transaction.
ALTER TABLE token ADD COLUMN revoked_act INTEGER;
ALTER TABLE signing_key ADD COLUMN key_revoked_act INTEGER;
ALTER TABLE channel ADD COLUMN state_act INTEGER;

-- Revocations of all tokens of a provider that are not complete: see `sqlite/provider_revocation.rs`.
CREATE TABLE provider_revocation (
    number    INTEGER PRIMARY KEY,
    provider  INTEGER NOT NULL,
    through   INTEGER NOT NULL,                -- only channels with a row up to this one
    done_to   INTEGER NOT NULL DEFAULT 0,      -- channels up to this id are done
    revoked   INTEGER NOT NULL DEFAULT 0,      -- how many stored tokens it has revoked
    position  INTEGER NOT NULL DEFAULT 0,      -- of the last change
    actor     TEXT NOT NULL,
    source    TEXT,
    reason    TEXT
);
