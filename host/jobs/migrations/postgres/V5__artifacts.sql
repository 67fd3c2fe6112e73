-- The versions of apps that jobs were planned with, for servers that lack them. Blobs are shared, by digest.
CREATE TABLE blobs (
    digest TEXT   PRIMARY KEY,
    size   BIGINT NOT NULL,
    bytes  BYTEA  NOT NULL
);

CREATE TABLE artifacts (
    app     TEXT   NOT NULL,
    version TEXT   NOT NULL,
    about   TEXT   NOT NULL,
    -- When a job was last planned with it.
    used    BIGINT NOT NULL,
    PRIMARY KEY (app, version)
);

CREATE TABLE artifact_blobs (
    app     TEXT NOT NULL,
    version TEXT NOT NULL,
    digest  TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (app, version, digest),
    FOREIGN KEY (app, version) REFERENCES artifacts (app, version) ON DELETE CASCADE
);

CREATE INDEX artifact_blobs_by_digest ON artifact_blobs (digest);
CREATE INDEX jobs_by_version ON jobs (app, version) WHERE planned = 1;
