-- What tells an older copy of a store (restored, or copied back) from the newest state.
-- The rollback guard is a small file outside the database: see `sqlite/guard.rs`.

-- 16 bytes, drawn at the first start; every copy has the same.
ALTER TABLE authority ADD COLUMN identity BLOB;
-- 16 bytes, drawn at each start, here and in the guard file; empty in a backup.
ALTER TABLE authority ADD COLUMN guard BLOB;
-- While the guard file is being renewed: its previous number (empty: there was none).
ALTER TABLE authority ADD COLUMN guard_before BLOB;
-- The last commit with a line in the revocation journal.
ALTER TABLE authority ADD COLUMN last_revocation INTEGER NOT NULL DEFAULT 0;
