-- Groups that stateless tokens were issued for, which have no row of their own, and
-- groups that were deleted. A row is written at a group's first use, and renewed at
-- most once a day; a revocation may name the group until then.
CREATE TABLE group_use (
    channel  INTEGER NOT NULL,
    name     TEXT NOT NULL,
    until    INTEGER NOT NULL,                 -- by then its last token has expired
    deleted  INTEGER NOT NULL,                 -- 1: it does not count as a group
    PRIMARY KEY (channel, name)
) WITHOUT ROWID;

-- Assertion keys that were deleted, for as long as a token of theirs may be active.
CREATE TABLE deleted_key (
    channel  INTEGER NOT NULL,
    id       BLOB NOT NULL,                    -- 16 bytes, as in assertion_key
    until    INTEGER NOT NULL,
    PRIMARY KEY (channel, id)
) WITHOUT ROWID;
