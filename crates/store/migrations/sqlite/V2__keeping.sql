-- What tells a store that went backwards (restored, or copied back) from one that
-- went on. The mark is a small file outside of the database: see `sqlite/mark.rs`.

-- 16 bytes, drawn at the first start; every copy has the same.
ALTER TABLE authority ADD COLUMN identity BLOB;
-- 16 bytes, drawn at each start, here and in the mark; empty in a backup.
ALTER TABLE authority ADD COLUMN guard BLOB;
-- While the mark is being renewed: what it bore before (empty: there was none).
ALTER TABLE authority ADD COLUMN guard_before BLOB;
-- The last commit that held something for the endings log.
ALTER TABLE authority ADD COLUMN last_revocation INTEGER NOT NULL DEFAULT 0;
