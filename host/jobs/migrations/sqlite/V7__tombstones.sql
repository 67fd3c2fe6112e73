-- The oldest tombstones of a caller are found, and removed, when there is one more. Jobs without a caller count as those of one.
CREATE INDEX jobs_by_tombstone ON jobs ((COALESCE('=' || caller, '')), expires, num) WHERE state = 'expired';
-- The keys that a job required may be long.
UPDATE jobs SET required = '[]' WHERE state = 'expired';
