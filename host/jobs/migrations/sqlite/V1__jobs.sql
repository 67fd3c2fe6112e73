-- Times are Unix milliseconds. Large columns stand last: what reads the others then skips them.
CREATE TABLE jobs (
    num            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    state          TEXT    NOT NULL,
    app            TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    floor          TEXT    NOT NULL,
    required       TEXT    NOT NULL,
    run_timeout_ms INTEGER NOT NULL,
    retention_ms   INTEGER NOT NULL,
    share          INTEGER NOT NULL,
    caller         TEXT,
    created        INTEGER NOT NULL,
    -- Since when it waits: from its submission, or from its redrive.
    queued         INTEGER NOT NULL,
    started        INTEGER,
    finished       INTEGER,
    expires        INTEGER,
    owner          TEXT,
    epoch          INTEGER NOT NULL DEFAULT 0,
    lease_until    INTEGER,
    -- Asked to stop: 1 to keep what has arrived, 0 to drop it.
    cancel         INTEGER,
    planned        INTEGER NOT NULL DEFAULT 0,
    partitions     INTEGER NOT NULL DEFAULT 0,
    weight         INTEGER NOT NULL DEFAULT 0,
    done           INTEGER NOT NULL DEFAULT 0,
    degraded       INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    settled_weight INTEGER NOT NULL DEFAULT 0,
    leaf_ms        INTEGER NOT NULL DEFAULT 0,
    last_event     INTEGER NOT NULL DEFAULT 0,
    idem_scope     TEXT,
    idem_key       TEXT,
    idem_print     BLOB,
    -- How it ended, which its tombstone still knows.
    outcome        TEXT,
    reason         TEXT,
    coverage       TEXT,
    content_type   TEXT,
    -- The answer: its size, and either its bytes or the digest of the file that holds them.
    result_size    INTEGER,
    result_blob    TEXT,
    query          BLOB,
    planned_query  BLOB,
    result         BLOB
) STRICT;

CREATE UNIQUE INDEX jobs_by_key ON jobs (idem_scope, idem_key) WHERE idem_key IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state, queued);
CREATE INDEX jobs_by_expiry ON jobs (state, expires);
CREATE INDEX jobs_by_app ON jobs (app, version, finished) WHERE outcome = 'succeeded';
CREATE INDEX jobs_by_blob ON jobs (result_blob) WHERE result_blob IS NOT NULL;

CREATE TABLE partitions (
    job        INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
    idx        INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    weight     INTEGER NOT NULL,
    -- Where its content is: a text, or the bytes themselves.
    elsewhere  TEXT,
    state      TEXT    NOT NULL DEFAULT 'pending',
    attempts   INTEGER NOT NULL DEFAULT 0,
    run_ms     INTEGER NOT NULL DEFAULT 0,
    failure    TEXT,
    -- The partial, as the answer above.
    size       INTEGER,
    blob       TEXT,
    inline     BLOB,
    partial    BLOB,
    PRIMARY KEY (job, idx)
) STRICT;

CREATE INDEX partitions_by_blob ON partitions (blob) WHERE blob IS NOT NULL;

CREATE TABLE events (
    job  INTEGER NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
    seq  INTEGER NOT NULL,
    line TEXT    NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
