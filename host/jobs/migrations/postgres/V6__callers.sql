-- A caller's jobs are listed, and what they take is added up at each submission: from this index alone.
CREATE INDEX jobs_by_caller ON jobs (caller, id, state, bytes, expires) WHERE state <> 'expired';
-- Answers are read in parts: not packed, any part of one is found without the others.
ALTER TABLE jobs ALTER COLUMN result SET STORAGE EXTERNAL;
