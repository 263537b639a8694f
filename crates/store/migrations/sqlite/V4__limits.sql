-- A channel's own limits, which override the server's: JSON.
ALTER TABLE channel ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
