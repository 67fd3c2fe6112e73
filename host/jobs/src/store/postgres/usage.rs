//! Size of the store.

use crate::job::UnixMs;
use crate::store::rows::{Columns, damaged};
use crate::store::sql::{Sql, jobs};
use crate::store::{StoreResult, Usage};

use super::session::Transaction;

/// Returns the size and the contents of the store in numbers.
pub(super) async fn usage(transaction: &Transaction<'_>) -> StoreResult<Usage> {
    let size = format!(
        "SELECT pg_total_relation_size('jobs') + pg_total_relation_size('partitions') \
         + pg_total_relation_size('parts') + pg_total_relation_size('events') + pg_total_relation_size('blobs') AS bytes, {} AS now",
        Transaction::now(1)
    );
    let sizes = transaction.row(&size, &[&transaction.set]).await?.ok_or_else(|| damaged("bytes"))?;
    let now = UnixMs(sizes.count("now")?);
    jobs::usage(transaction, Usage { bytes: sizes.count("bytes")?, now, ..Usage::default() }).await
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
