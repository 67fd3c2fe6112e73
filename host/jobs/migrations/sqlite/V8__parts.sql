-- Partials of parts of partitions. A partial covers the units from `begins` to `ends`; the answer does not need those from there to `until`.
-- A partial in the row of its partition, like all earlier ones, covers the whole partition.
CREATE TABLE parts (
    job     INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    begins  INTEGER NOT NULL,
    ends    INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    -- The attempt that made it: only another partial of the same one replaces it.
    epoch   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    run_ms  INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    blob    TEXT,
    partial BLOB,
    PRIMARY KEY (job, idx, begins),
    FOREIGN KEY (job, idx) REFERENCES partitions (job, idx) ON DELETE CASCADE
) STRICT;

CREATE INDEX parts_by_blob ON parts (blob) WHERE blob IS NOT NULL;

-- Once a part is stored: all units of the partition, and those that the stored parts account for. `size` is then that of all parts.
ALTER TABLE partitions ADD COLUMN units INTEGER;
ALTER TABLE partitions ADD COLUMN covered INTEGER NOT NULL DEFAULT 0;
