-- Times are Unix milliseconds. The columns are those of the store in SQLite, but for blobs: here, bytes are in the row.
CREATE TABLE jobs (
    num            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             TEXT COLLATE "C" NOT NULL UNIQUE,
    state          TEXT    NOT NULL,
    app            TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    floor          TEXT    NOT NULL,
    required       TEXT    NOT NULL,
    run_timeout_ms BIGINT NOT NULL,
    retention_ms   BIGINT NOT NULL,
    share          BIGINT NOT NULL,
    caller         TEXT,
    created        BIGINT NOT NULL,
    -- Since when it waits: from its submission, or from its redrive.
    queued         BIGINT NOT NULL,
    started        BIGINT,
    finished       BIGINT,
    expires        BIGINT,
    owner          TEXT,
    epoch          BIGINT NOT NULL DEFAULT 0,
    lease_until    BIGINT,
    -- Asked to stop: 1 to keep what has arrived, 0 to drop it.
    cancel         BIGINT,
    planned        BIGINT NOT NULL DEFAULT 0,
    partitions     BIGINT NOT NULL DEFAULT 0,
    weight         BIGINT NOT NULL DEFAULT 0,
    done           BIGINT NOT NULL DEFAULT 0,
    degraded       BIGINT NOT NULL DEFAULT 0,
    failed         BIGINT NOT NULL DEFAULT 0,
    settled_weight BIGINT NOT NULL DEFAULT 0,
    leaf_ms        BIGINT NOT NULL DEFAULT 0,
    last_event     BIGINT NOT NULL DEFAULT 0,
    idem_scope     TEXT,
    idem_key       TEXT,
    idem_print     BYTEA,
    -- How it ended, which its tombstone still knows.
    outcome        TEXT,
    reason         TEXT,
    coverage       TEXT,
    content_type   TEXT,
    result_size    BIGINT,
    query          BYTEA,
    planned_query  BYTEA,
    result         BYTEA
);

CREATE UNIQUE INDEX jobs_by_key ON jobs (idem_scope, idem_key) WHERE idem_key IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state, queued);
CREATE INDEX jobs_by_expiry ON jobs (state, expires);
CREATE INDEX jobs_by_app ON jobs (app, version, finished) WHERE outcome = 'succeeded';

CREATE TABLE partitions (
    job        BIGINT NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
    idx        BIGINT NOT NULL,
    key        TEXT    NOT NULL,
    weight     BIGINT NOT NULL,
    -- Where its content is: a text, or the bytes themselves.
    elsewhere  TEXT,
    state      TEXT    NOT NULL DEFAULT 'pending',
    attempts   BIGINT NOT NULL DEFAULT 0,
    run_ms     BIGINT NOT NULL DEFAULT 0,
    failure    TEXT,
    size       BIGINT,
    inline     BYTEA,
    partial    BYTEA,
    PRIMARY KEY (job, idx)
);

CREATE TABLE events (
    job  BIGINT NOT NULL REFERENCES jobs (num) ON DELETE CASCADE,
    seq  BIGINT NOT NULL,
    line TEXT    NOT NULL,
    PRIMARY KEY (job, seq)
);
