//! Forgetting what was promised to be kept only for some time.

use deadpool_postgres::Transaction;

use crate::job::{Move, UnixMs};
use crate::store::rows::{Columns, HEAD, head_of};
use crate::store::rules::{sql, unsigned};
use crate::store::{Stored, TOMBSTONE_MS};

use super::fault::{execute, row};

/// Makes a tombstone of one job whose time is over, and that no other process is at. Returns the bytes that go with it;
/// `None` when there is no such job.
pub(super) async fn expire(transaction: &Transaction<'_>, now: UnixMs) -> Stored<Option<u64>> {
    let select = format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('succeeded', 'partial', 'failed', 'cancelled') AND expires <= $1 \
         LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    let Some(found) = row(transaction, &select, &[&sql(now.0)]).await? else {
        return Ok(None);
    };
    let head = head_of(&found)?;
    let expired = head.next(Move::Expire)?.slug();
    let size = "SELECT (COALESCE(length(query), 0) + COALESCE(length(planned_query), 0) + COALESCE(result_size, 0) \
         + (SELECT COALESCE(sum(size), 0) FROM partitions WHERE job = $1))::bigint AS bytes FROM jobs WHERE num = $1";
    let bytes = row(transaction, size, &[&head.num]).await?.map(|row| row.int("bytes")).transpose()?;
    execute(transaction, "DELETE FROM partitions WHERE job = $1", &[&head.num]).await?;
    execute(transaction, "DELETE FROM events WHERE job = $1", &[&head.num]).await?;
    let update = "UPDATE jobs SET state = $2, expires = $3, cancel = NULL, idem_scope = NULL, idem_key = NULL, \
         idem_print = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, query = NULL, \
         planned_query = NULL, result = NULL WHERE num = $1";
    execute(transaction, update, &[&head.num, &expired, &sql(now.0)]).await?;
    Ok(Some(bytes.map_or(0, unsigned)))
}

/// Drops old tombstones. Returns how many.
pub(super) async fn forget(transaction: &Transaction<'_>, now: UnixMs) -> Stored<u64> {
    let before = sql(now.0) - sql(TOMBSTONE_MS);
    execute(transaction, "DELETE FROM jobs WHERE state = 'expired' AND expires <= $1", &[&before]).await
}
