-- What owners tell of their work while they are at it.
ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failing INTEGER NOT NULL DEFAULT 0;
