//! Removal of expired jobs and unreachable rows. The space is reused by the database; its vacuum
//! returns the rest to the disk.

use crate::job::{JobId, JobState, Move, UnixMs};
use crate::store::rows::{Columns, HEAD, USAGE, count_jobs, damaged, head_of, old_tombstones};
use crate::store::rules::{Head, sql, unsigned};
use crate::store::{StoreResult, TOMBSTONE_MS, TOMBSTONES, Usage};

use super::fault::now;
use super::jobs::head;
use super::session::Transaction;

/// Most partitions, and approximately most bytes of them, that one transaction removes, so that
/// others can write in between.
const CHUNK: (i64, u64) = (1_000, 32 << 20);

/// Makes a tombstone of one expired job that no other transaction has locked. Returns the job's
/// bytes; `None` if there is no such job.
pub(super) async fn expire(transaction: &Transaction<'_>, set: Option<i64>) -> StoreResult<Option<u64>> {
    let select = format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('succeeded', 'partial', 'failed', 'cancelled') AND expires <= {} \
         LIMIT 1 FOR UPDATE SKIP LOCKED",
        now(1)
    );
    match transaction.row(&select, &[&set]).await? {
        Some(found) => entomb(transaction, &head_of(&found)?, set).await.map(Some),
        None => Ok(None),
    }
}

/// Makes a tombstone of an ended job before its retention is over.
pub(super) async fn delete(transaction: &Transaction<'_>, id: JobId, set: Option<i64>) -> StoreResult<()> {
    let head = head(transaction, id, true).await?.live()?;
    entomb(transaction, &head, set).await?;
    Ok(())
}

/// Makes a tombstone of the job. Its partitions and events are then unreachable; [`trim`] removes
/// them.
async fn entomb(transaction: &Transaction<'_>, head: &Head, set: Option<i64>) -> StoreResult<u64> {
    let expired = head.next(Move::Expire)?.slug();
    let kept = transaction.row("SELECT bytes FROM jobs WHERE num = $1", &[&head.num]).await?;
    let bytes = kept.map(|row| row.int("bytes")).transpose()?;
    let update = format!(
        "UPDATE jobs SET state = $2, expires = {}, required = '[]', cancel = NULL, idem_scope = NULL, idem_key = NULL, \
         idem_print = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, query = NULL, \
         planned_query = NULL, result = NULL, account = NULL, trimmed = 0, \
         bytes = (SELECT COALESCE(sum(COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0)), 0) \
                  FROM partitions WHERE job = $1) WHERE num = $1",
        now(3)
    );
    transaction.execute(&update, &[&head.num, &expired, &set]).await?;
    Ok(bytes.map_or(0, unsigned))
}

/// Removes a chunk of unreachable partitions: those of a succeeded job or of a tombstone. After the
/// last chunk of a tombstone, removes the oldest ones of its caller beyond `kept`. Returns false if
/// there are no partitions left, or other transactions have locked them.
pub(super) async fn trim(transaction: &Transaction<'_>, id: Option<JobId>, kept: u64) -> StoreResult<bool> {
    let select = "SELECT num, state FROM jobs WHERE trimmed = 0 AND state IN ('succeeded', 'expired') \
         AND ($1::text IS NULL OR id = $1) LIMIT 1 FOR UPDATE SKIP LOCKED";
    let id = id.map(|id| id.to_string());
    let Some(found) = transaction.row(select, &[&id]).await? else { return Ok(false) };
    let job = found.int("num")?;
    let state = found.word::<JobState>("state")?;
    let Some((last, bytes)) = chunk(transaction, job).await? else {
        transaction.execute("UPDATE jobs SET trimmed = 1 WHERE num = $1", &[&job]).await?;
        if state == JobState::Expired {
            transaction.execute("DELETE FROM events WHERE job = $1", &[&job]).await?;
            let old = old_tombstones();
            let forget = format!(
                "DELETE FROM jobs WHERE num IN (SELECT num FROM jobs WHERE num IN ({old}) FOR UPDATE SKIP LOCKED)"
            );
            transaction.execute(&forget, &[&job, &i64::from(TOMBSTONES), &sql(kept)]).await?;
        }
        return Ok(true);
    };
    transaction.execute("DELETE FROM partitions WHERE job = $1 AND idx <= $2", &[&job, &last]).await?;
    let update = "UPDATE jobs SET bytes = GREATEST(bytes - $2, 0) WHERE num = $1";
    transaction.execute(update, &[&job, &sql(bytes)]).await?;
    Ok(true)
}

/// Returns the last index of a job's next partitions to be removed, and their bytes; `None` if it
/// has none.
async fn chunk(transaction: &Transaction<'_>, job: i64) -> StoreResult<Option<(i64, u64)>> {
    let select = "SELECT idx, COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0) AS bytes \
         FROM partitions WHERE job = $1 ORDER BY idx LIMIT $2";
    let mut last = None;
    let mut bytes = 0_u64;
    for row in transaction.rows(select, &[&job, &CHUNK.0]).await? {
        last = Some(row.int("idx")?);
        bytes = bytes.saturating_add(row.count("bytes")?);
        if bytes >= CHUNK.1 {
            break;
        }
    }
    Ok(last.map(|last| (last, bytes)))
}

/// Removes old tombstones. Returns their number.
pub(super) async fn forget(transaction: &Transaction<'_>, set: Option<i64>) -> StoreResult<u64> {
    let delete = format!(
        "DELETE FROM jobs WHERE num IN (SELECT num FROM jobs WHERE state = 'expired' AND expires <= {} - $2::bigint \
         LIMIT $3 FOR UPDATE SKIP LOCKED)",
        now(1)
    );
    transaction.execute(&delete, &[&set, &sql(TOMBSTONE_MS), &i64::from(TOMBSTONES)]).await
}

/// Returns the size and the contents of the store in numbers.
pub(super) async fn usage(transaction: &Transaction<'_>, set: Option<i64>) -> StoreResult<Usage> {
    let size = format!(
        "SELECT pg_total_relation_size('jobs') + pg_total_relation_size('partitions') \
         + pg_total_relation_size('events') + pg_total_relation_size('blobs') AS bytes, {} AS now",
        now(1)
    );
    let sizes = transaction.row(&size, &[&set]).await?.ok_or_else(|| damaged("bytes"))?;
    let now = UnixMs(sizes.count("now")?);
    let mut usage = Usage { bytes: sizes.count("bytes")?, now, ..Usage::default() };
    for row in transaction.rows(USAGE, &[]).await? {
        count_jobs(&mut usage, &row)?;
    }
    Ok(usage)
}

/// Runs a query without data.
pub(super) async fn ping(transaction: &Transaction<'_>) -> StoreResult<()> {
    transaction.rows("SELECT 1", &[]).await.map(drop)
}

/// Bytes that jobs take, without their events.
pub(super) async fn used(transaction: &Transaction<'_>) -> StoreResult<u64> {
    let sum = "SELECT COALESCE(sum(bytes), 0)::bigint AS bytes FROM jobs";
    transaction.row(sum, &[]).await?.map_or(Ok(0), |row| row.count("bytes"))
}
