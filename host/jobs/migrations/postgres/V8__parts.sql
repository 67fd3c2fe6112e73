-- Partials of parts of partitions. A partial covers the units from `begins` to `ends`; the answer does not need those from there to `until`.
-- A partial in the row of its partition, like all earlier ones, covers the whole partition.
CREATE TABLE parts (
    job     BIGINT NOT NULL,
    idx     BIGINT NOT NULL,
    begins  BIGINT NOT NULL,
    ends    BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    -- The attempt that made it: only another partial of the same one replaces it.
    epoch   BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    run_ms  BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    partial BYTEA,
    PRIMARY KEY (job, idx, begins),
    FOREIGN KEY (job, idx) REFERENCES partitions (job, idx) ON DELETE CASCADE
);

-- Once a part is stored: all units of the partition, and those that the stored parts account for. `size` is then that of all parts.
ALTER TABLE partitions ADD COLUMN units BIGINT;
ALTER TABLE partitions ADD COLUMN covered BIGINT NOT NULL DEFAULT 0;
