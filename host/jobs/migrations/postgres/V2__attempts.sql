-- What owners tell of their work while they are at it.
ALTER TABLE jobs ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failing BIGINT NOT NULL DEFAULT 0;
