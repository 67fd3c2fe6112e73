//! Forgetting what was promised to be kept only for some time.

use rusqlite::{Connection, OptionalExtension, params};

use crate::job::{Move, UnixMs};
use crate::store::rows::{HEAD, head_of};
use crate::store::rules::{sql, unsigned};
use crate::store::{Stored, TOMBSTONE_MS};

/// Makes a tombstone of one job whose time is over. Returns the bytes that go with it; `None` when there is no such job.
pub(super) fn expire(connection: &Connection, now: UnixMs) -> Stored<Option<u64>> {
    let mut select = connection
        .prepare_cached(&format!("SELECT {HEAD} FROM jobs WHERE state IN ('succeeded', 'partial', 'failed', 'cancelled') AND expires <= ?1 LIMIT 1"))?;
    let mut rows = select.query([sql(now.0)])?;
    let Some(head) = rows.next()?.map(head_of).transpose()? else {
        return Ok(None);
    };
    let expired = head.next(Move::Expire)?;
    let bytes: i64 = connection.query_row(
        "SELECT COALESCE(length(query), 0) + COALESCE(length(planned_query), 0) + COALESCE(result_size, 0) + \
         (SELECT COALESCE(sum(size), 0) FROM partitions WHERE job = ?1) FROM jobs WHERE num = ?1",
        [head.num],
        |row| row.get(0),
    )?;
    connection.execute("DELETE FROM partitions WHERE job = ?1", [head.num])?;
    connection.execute("DELETE FROM events WHERE job = ?1", [head.num])?;
    connection.execute(
        "UPDATE jobs SET state = ?2, expires = ?3, cancel = NULL, idem_scope = NULL, idem_key = NULL, \
         idem_print = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, \
         result_blob = NULL, query = NULL, planned_query = NULL, result = NULL WHERE num = ?1",
        params![head.num, expired.slug(), sql(now.0)],
    )?;
    Ok(Some(unsigned(bytes)))
}

/// Drops old tombstones, and gives free pages back to the disk. Returns how many tombstones.
pub(super) fn forget(connection: &Connection, now: UnixMs) -> Stored<u64> {
    let forgotten = connection
        .execute("DELETE FROM jobs WHERE state = 'expired' AND expires <= ?1", [sql(now.0) - sql(TOMBSTONE_MS)])?;
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(forgotten as u64)
}

/// True when a row refers to the file.
pub(super) fn is_used(connection: &Connection, digest: &str) -> Stored<bool> {
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM partitions WHERE blob = ?1 UNION ALL SELECT 1 FROM jobs WHERE result_blob = ?1 LIMIT 1",
    )?;
    Ok(select.query_row([digest], |_| Ok(())).optional()?.is_some())
}
