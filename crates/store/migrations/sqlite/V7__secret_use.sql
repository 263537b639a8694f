-- When each secret was last shown and taken; flushed by a job, so a little late. Of
-- one secret it only grows; a new secret was never used.
ALTER TABLE channel ADD COLUMN secret_used_at INTEGER;
ALTER TABLE channel ADD COLUMN previous_secret_used_at INTEGER;
