//! Forgetting what was promised to be kept only for some time.

use deadpool_postgres::Transaction;

use crate::job::Move;
use crate::store::rows::{Columns, HEAD, head_of};
use crate::store::rules::{sql, unsigned};
use crate::store::{Stored, TOMBSTONE_MS};

use super::fault::{execute, now, row};

/// Makes a tombstone of one job whose time is over, and that no other process is at. Returns the bytes that go with it;
/// `None` when there is no such job.
pub(super) async fn expire(transaction: &Transaction<'_>, set: Option<i64>) -> Stored<Option<u64>> {
    let select = format!(
        "SELECT {HEAD} FROM jobs WHERE state IN ('succeeded', 'partial', 'failed', 'cancelled') AND expires <= {} \
         LIMIT 1 FOR UPDATE SKIP LOCKED",
        now(1)
    );
    let Some(found) = row(transaction, &select, &[&set]).await? else {
        return Ok(None);
    };
    let head = head_of(&found)?;
    let expired = head.next(Move::Expire)?.slug();
    let size = "SELECT (COALESCE(length(query), 0) + COALESCE(length(planned_query), 0) + COALESCE(result_size, 0) \
         + (SELECT COALESCE(sum(size), 0) FROM partitions WHERE job = $1))::bigint AS bytes FROM jobs WHERE num = $1";
    let bytes = row(transaction, size, &[&head.num]).await?.map(|row| row.int("bytes")).transpose()?;
    execute(transaction, "DELETE FROM partitions WHERE job = $1", &[&head.num]).await?;
    execute(transaction, "DELETE FROM events WHERE job = $1", &[&head.num]).await?;
    let update = format!(
        "UPDATE jobs SET state = $2, expires = {}, cancel = NULL, idem_scope = NULL, idem_key = NULL, \
         idem_print = NULL, reason = NULL, coverage = NULL, content_type = NULL, result_size = NULL, query = NULL, \
         planned_query = NULL, result = NULL WHERE num = $1",
        now(3)
    );
    execute(transaction, &update, &[&head.num, &expired, &set]).await?;
    Ok(Some(bytes.map_or(0, unsigned)))
}

/// Drops old tombstones. Returns how many.
pub(super) async fn forget(transaction: &Transaction<'_>, set: Option<i64>) -> Stored<u64> {
    let delete = format!("DELETE FROM jobs WHERE state = 'expired' AND expires <= {} - $2::bigint", now(1));
    execute(transaction, &delete, &[&set, &sql(TOMBSTONE_MS)]).await
}
