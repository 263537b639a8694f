-- When the key last verified an assertion; written by a job, so with a delay. It only
-- increases.
ALTER TABLE assertion_key ADD COLUMN last_used_at INTEGER;

-- Warnings queued for the webhook. A row stays after it was sent, so that the warning
-- is not sent twice, until its subject is long past.
CREATE TABLE warning (
    number      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,          -- the subject and the lead time; immutable
    body        TEXT NOT NULL,                 -- JSON, never a secret; immutable
    keep_until  INTEGER NOT NULL,              -- immutable
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER                        -- when to try; NULL: sent, or given up
);
CREATE INDEX warning_due ON warning (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX warning_by_age ON warning (keep_until);
