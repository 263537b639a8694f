-- When each secret was last accepted; written by a job, so with a delay. For one secret
-- it only increases; a new secret was never used.
ALTER TABLE channel ADD COLUMN secret_used_at INTEGER;
ALTER TABLE channel ADD COLUMN previous_secret_used_at INTEGER;
