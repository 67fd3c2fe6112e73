//! Removal of expired jobs and unreachable rows.

use crate::job::{JobId, JobState, Move};
use crate::store::rows::{Columns, HEAD, head_of, old_tombstones, word};
use crate::store::rules::{Head, sql};
use crate::store::{StoreResult, TOMBSTONE_MS, TOMBSTONES};

use super::jobs::{locked, no_file};
use super::{Sql, number, one, values};

/// Most partitions, and approximately most bytes of them, that one transaction removes, so that
/// others can write in between.
const CHUNK: (i64, u64) = (1_000, 32 << 20);

/// Makes a tombstone of one expired job that no other transaction has locked. Returns the job's
/// bytes; `None` if there is no such job.
pub(crate) async fn expire<S: Sql>(db: &S) -> StoreResult<Option<u64>> {
    let select = format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('succeeded', 'partial', 'failed', 'cancelled') AND expires <= {} \
         LIMIT 1 {}",
        S::now(1),
        S::LOCK_FREE
    );
    match one(db, &select, &[db.time()], head_of).await? {
        Some(head) => entomb(db, &head).await.map(Some),
        None => Ok(None),
    }
}

/// Makes a tombstone of an ended job before its retention is over.
pub(crate) async fn delete(db: &impl Sql, id: JobId) -> StoreResult<()> {
    entomb(db, &locked(db, id).await?.live()?).await.map(drop)
}

/// Makes a tombstone of the job. Its partitions and events are then unreachable; [`trim`] removes
/// them.
async fn entomb<S: Sql>(db: &S, head: &Head) -> StoreResult<u64> {
    let expired = head.next(Move::Expire)?.slug();
    let bytes = number(db, "bytes", "SELECT bytes FROM jobs WHERE num = $1", values![head.num]).await?;
    let update = format!(
        "UPDATE jobs SET state = $2, expires = {now}, required = '[]', cancel = NULL, idem_scope = NULL, \
         idem_key = NULL, idem_print = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, \
         {no_file} query = NULL, planned_query = NULL, result = NULL, account = NULL, trimmed = 0, \
         bytes = (SELECT COALESCE(sum(COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0)), 0) \
                  FROM partitions WHERE job = $1) WHERE num = $1",
        now = S::now(3),
        no_file = no_file::<S>()
    );
    db.execute(&update, values![head.num, expired, db.time()]).await?;
    Ok(bytes)
}

/// Removes a chunk of unreachable partitions: those of a succeeded job or of a tombstone. After the
/// last chunk of a tombstone, removes the oldest ones of its caller beyond `kept`. Returns false if
/// there are no partitions left, or other transactions have locked them.
pub(crate) async fn trim<S: Sql>(db: &S, id: Option<JobId>, kept: u64) -> StoreResult<bool> {
    let select = format!(
        "SELECT num, state FROM jobs WHERE trimmed = 0 AND state IN ('succeeded', 'expired') \
         AND (CAST($1 AS TEXT) IS NULL OR id = $1) LIMIT 1 {}",
        S::LOCK_FREE
    );
    let id = id.map(|id| id.to_string());
    let read = |row: &dyn Columns| Ok((row.int("num")?, word::<JobState>(row, "state")?));
    let Some((job, state)) = one(db, &select, values![id.as_ref()], read).await? else { return Ok(false) };
    let Some((last, bytes)) = chunk(db, job).await? else {
        db.execute("UPDATE jobs SET trimmed = 1 WHERE num = $1", values![job]).await?;
        if state == JobState::Expired {
            db.execute("DELETE FROM events WHERE job = $1", values![job]).await?;
            let forget = format!(
                "DELETE FROM jobs WHERE num IN (SELECT num FROM jobs WHERE num IN ({}) {})",
                old_tombstones(),
                S::LOCK_FREE
            );
            db.execute(&forget, values![job, i64::from(TOMBSTONES), sql(kept)]).await?;
        }
        return Ok(true);
    };
    db.execute("DELETE FROM partitions WHERE job = $1 AND idx <= $2", values![job, last]).await?;
    let update = format!("UPDATE jobs SET bytes = {}(bytes - $2, 0) WHERE num = $1", S::GREATEST);
    db.execute(&update, values![job, sql(bytes)]).await?;
    Ok(true)
}

/// Returns the last index of a job's next partitions to be removed, and their bytes; `None` if it
/// has none.
async fn chunk(db: &impl Sql, job: i64) -> StoreResult<Option<(i64, u64)>> {
    let select = "SELECT idx, COALESCE(size, 0) + COALESCE(length(inline), 0) + COALESCE(length(elsewhere), 0) AS bytes \
         FROM partitions WHERE job = $1 ORDER BY idx LIMIT $2";
    let read = |row: &dyn Columns| Ok((row.int("idx")?, row.count("bytes")?));
    let mut next = None;
    let mut bytes = 0_u64;
    for (last, size) in db.select(select, values![job, CHUNK.0], read).await? {
        bytes = bytes.saturating_add(size);
        next = Some((last, bytes));
        if bytes >= CHUNK.1 {
            break;
        }
    }
    Ok(next)
}

/// Removes old tombstones. Returns their number.
pub(crate) async fn forget<S: Sql>(db: &S) -> StoreResult<u64> {
    let delete = format!(
        "DELETE FROM jobs WHERE num IN (SELECT num FROM jobs WHERE state = 'expired' \
         AND expires <= {} - CAST($2 AS BIGINT) LIMIT $3 {})",
        S::now(1),
        S::LOCK_FREE
    );
    db.execute(&delete, values![db.time(), sql(TOMBSTONE_MS), i64::from(TOMBSTONES)]).await
}
