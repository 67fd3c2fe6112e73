-- Lives since something of the job was last kept; what its owners have told of them, as JSON.
ALTER TABLE jobs ADD COLUMN strikes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN account TEXT;
-- Bytes kept of it: query, plan, partials, answer. Its events are not counted.
ALTER TABLE jobs ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
-- 1 once nothing is kept that nobody can ask for: partitions of succeeded jobs, events of tombstones too.
ALTER TABLE jobs ADD COLUMN trimmed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX jobs_to_trim ON jobs (num) WHERE trimmed = 0 AND state IN ('succeeded', 'expired');

UPDATE jobs SET bytes = COALESCE(length(query), 0) + COALESCE(length(planned_query), 0) + COALESCE(result_size, 0)
    + (SELECT COALESCE(sum(COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0)), 0)
       FROM partitions WHERE job = num);
UPDATE jobs SET trimmed = 1 WHERE state = 'expired';
