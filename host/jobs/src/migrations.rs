//! Schema migrations, each a file in `migrations/`. A released file is never changed: the next
//! change is the next file, and is added to the lists here.

use refinery::{Migration, Runner};

use crate::store::{StoreError, StoreResult, cause};

/// Table in which refinery records the applied migrations.
pub(crate) const TABLE: &str = "refinery_schema_history";

/// Tables of the PostgreSQL store; the database role needs rights on them.
#[cfg(feature = "postgres")]
pub(crate) const TABLES: [&str; 7] = ["jobs", "partitions", "parts", "events", "artifacts", "blobs", "artifact_blobs"];

pub(crate) const SQLITE: [(&str, &str); 6] = [
    ("V1__jobs", include_str!("../migrations/sqlite/V1__jobs.sql")),
    ("V2__attempts", include_str!("../migrations/sqlite/V2__attempts.sql")),
    ("V3__lives", include_str!("../migrations/sqlite/V3__lives.sql")),
    ("V6__callers", include_str!("../migrations/sqlite/V6__callers.sql")),
    ("V7__tombstones", include_str!("../migrations/sqlite/V7__tombstones.sql")),
    ("V8__parts", include_str!("../migrations/sqlite/V8__parts.sql")),
];

#[cfg(feature = "postgres")]
pub(crate) const POSTGRES: [(&str, &str); 7] = [
    ("V1__jobs", include_str!("../migrations/postgres/V1__jobs.sql")),
    ("V2__attempts", include_str!("../migrations/postgres/V2__attempts.sql")),
    ("V3__lives", include_str!("../migrations/postgres/V3__lives.sql")),
    ("V5__artifacts", include_str!("../migrations/postgres/V5__artifacts.sql")),
    ("V6__callers", include_str!("../migrations/postgres/V6__callers.sql")),
    ("V7__tombstones", include_str!("../migrations/postgres/V7__tombstones.sql")),
    ("V8__parts", include_str!("../migrations/postgres/V8__parts.sql")),
];

/// Returns the runner of the migrations. It takes no lock; the caller must.
pub(crate) fn runner(files: &[(&str, &str)]) -> StoreResult<Runner> {
    let migrations: Result<Vec<_>, _> = files.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    Ok(Runner::new(&migrations.map_err(|error| StoreError::Other(cause(error)))?))
}

/// Refuses a database whose version is newer than these files.
pub(crate) fn check(files: &[(&str, &str)], found: i64) -> StoreResult<()> {
    let known = latest(files);
    match u32::try_from(found).unwrap_or(u32::MAX) {
        found if found > known => Err(StoreError::Newer { found, known }),
        _ => Ok(()),
    }
}

/// Latest version of these files; version numbers may have gaps.
pub(crate) fn latest(files: &[(&str, &str)]) -> u32 {
    files.last().map_or(0, |(name, _)| version_of(name))
}

/// Version of a file named `V5__name`.
fn version_of(name: &str) -> u32 {
    name.trim_start_matches('V').split('_').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
