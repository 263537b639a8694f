-- How fast a channel may be used, where that is not the server's usual: JSON.
ALTER TABLE channel ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
