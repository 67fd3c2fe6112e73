//! Removal of expired jobs and unreachable rows.

use rusqlite::{Connection, OptionalExtension, params};

use crate::job::{JobId, JobState, Move, UnixMs};
use crate::store::rows::{Columns, HEAD, head_of, old_tombstones};
use crate::store::rules::{Head, sql, unsigned};
use crate::store::{StoreResult, TOMBSTONE_MS, TOMBSTONES};

use super::jobs::head;

/// Most partitions, and approximately most bytes of them, that one transaction removes, so that
/// others can write in between.
const CHUNK: (u32, u64) = (1_000, 32 << 20);
/// Most free pages that one transaction returns to the disk.
const PAGES: u32 = 4_096;

/// Makes a tombstone of one expired job. Returns the job's bytes; `None` if there is no such job.
pub(super) fn expire(connection: &Connection, now: UnixMs) -> StoreResult<Option<u64>> {
    let mut select = connection
        .prepare_cached(&format!("SELECT {HEAD} FROM jobs WHERE state IN ('succeeded', 'partial', 'failed', 'cancelled') AND expires <= ?1 LIMIT 1"))?;
    let mut rows = select.query([sql(now.0)])?;
    let due = rows.next()?.map(head_of).transpose()?;
    due.map(|head| entomb(connection, &head, now)).transpose()
}

/// Makes a tombstone of an ended job before its retention is over.
pub(super) fn delete(connection: &Connection, id: JobId, now: UnixMs) -> StoreResult<()> {
    entomb(connection, &head(connection, id)?.live()?, now)?;
    Ok(())
}

/// Makes a tombstone of the job. Its partitions and events are then unreachable; [`trim`] removes
/// them.
fn entomb(connection: &Connection, head: &Head, now: UnixMs) -> StoreResult<u64> {
    let expired = head.next(Move::Expire)?;
    let bytes: i64 = connection.query_row("SELECT bytes FROM jobs WHERE num = ?1", [head.num], |row| row.get(0))?;
    connection.execute(
        "UPDATE jobs SET state = ?2, expires = ?3, required = '[]', cancel = NULL, idem_scope = NULL, idem_key = NULL, \
         idem_print = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, \
         result_blob = NULL, query = NULL, planned_query = NULL, result = NULL, account = NULL, trimmed = 0, \
         bytes = (SELECT COALESCE(sum(COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0)), 0) \
                  FROM partitions WHERE job = ?1) WHERE num = ?1",
        params![head.num, expired.slug(), sql(now.0)],
    )?;
    Ok(unsigned(bytes))
}

/// Removes a chunk of unreachable partitions: those of a succeeded job or of a tombstone. After the
/// last chunk of a tombstone, removes the oldest ones of its caller beyond `kept`. Returns false if
/// there are no partitions left.
pub(super) fn trim(connection: &Connection, id: Option<JobId>, kept: u64) -> StoreResult<bool> {
    let mut select = connection.prepare_cached(
        "SELECT num, state FROM jobs WHERE trimmed = 0 AND state IN ('succeeded', 'expired') AND (?1 IS NULL OR id = ?1) LIMIT 1",
    )?;
    let mut rows = select.query([id.map(|id| id.to_string())])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let job = row.int("num")?;
    let state = row.word::<JobState>("state")?;
    drop(rows);
    let Some((last, bytes)) = chunk(connection, job)? else {
        connection.execute("UPDATE jobs SET trimmed = 1 WHERE num = ?1", [job])?;
        if state == JobState::Expired {
            connection.execute("DELETE FROM events WHERE job = ?1", [job])?;
            let forget = format!("DELETE FROM jobs WHERE num IN ({})", old_tombstones());
            connection.prepare_cached(&forget)?.execute(params![job, TOMBSTONES, sql(kept)])?;
        }
        return Ok(true);
    };
    connection.execute("DELETE FROM partitions WHERE job = ?1 AND idx <= ?2", params![job, last])?;
    connection.execute("UPDATE jobs SET bytes = max(bytes - ?2, 0) WHERE num = ?1", params![job, sql(bytes)])?;
    Ok(true)
}

/// Returns the last index of a job's next partitions to be removed, and their bytes; `None` if it
/// has none.
fn chunk(connection: &Connection, job: i64) -> StoreResult<Option<(u32, u64)>> {
    let mut select = connection.prepare_cached(
        "SELECT idx, COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0) AS bytes \
         FROM partitions WHERE job = ?1 ORDER BY idx LIMIT ?2",
    )?;
    let mut rows = select.query(params![job, CHUNK.0])?;
    let mut last = None;
    let mut bytes = 0_u64;
    while let Some(row) = rows.next()? {
        last = Some(row.index("idx")?);
        bytes = bytes.saturating_add(row.count("bytes")?);
        if bytes >= CHUNK.1 {
            break;
        }
    }
    Ok(last.map(|last| (last, bytes)))
}

/// Removes old tombstones. Returns their number.
pub(super) fn forget(connection: &Connection, now: UnixMs) -> StoreResult<u64> {
    let forgotten = connection.execute(
        "DELETE FROM jobs WHERE num IN (SELECT num FROM jobs WHERE state = 'expired' AND expires <= ?1 LIMIT ?2)",
        params![sql(now.0) - sql(TOMBSTONE_MS), TOMBSTONES],
    )?;
    Ok(forgotten as u64)
}

/// Returns some free pages to the disk. Returns false if there are none left.
pub(super) fn vacuum(connection: &Connection) -> StoreResult<bool> {
    let free = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
    let before = free()?;
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    let after = free()?;
    Ok(after > 0 && after < before)
}

/// Bytes of the database's pages in use.
pub(super) fn used(connection: &Connection) -> StoreResult<u64> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(unsigned(pages).saturating_mul(unsigned(number("PRAGMA page_size")?)))
}

/// True if a row refers to the file.
pub(super) fn is_used(connection: &Connection, digest: &str) -> StoreResult<bool> {
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM partitions WHERE blob = ?1 UNION ALL SELECT 1 FROM jobs WHERE result_blob = ?1 LIMIT 1",
    )?;
    Ok(select.query_row([digest], |_| Ok(())).optional()?.is_some())
}
