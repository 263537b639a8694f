-- When an assertion was last checked with the key and found good; flushed by a
-- job, so a little late. It only grows.
ALTER TABLE assertion_key ADD COLUMN last_used_at INTEGER;

-- Warnings on their way to the webhook. A row stays after it was sent, so that
-- nobody is told twice, until what it warns of is long past.
CREATE TABLE warning (
    number      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,          -- what of, and how long before; immutable
    body        TEXT NOT NULL,                 -- JSON, never a secret; immutable
    keep_until  INTEGER NOT NULL,              -- immutable
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER                        -- when to try; NULL: sent, or given up
);
CREATE INDEX warning_due ON warning (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX warning_by_age ON warning (keep_until);
