//! Answers of jobs, read in parts, so that an answer is never whole in memory.

use bytes::Bytes;

use crate::job::JobId;
use crate::store::rows::{Columns, damaged};
use crate::store::sql::jobs::head;
use crate::store::{ResultInfo, StoreError, StoreResult};

use super::session::Transaction;

/// Returns the description of the answer.
pub(super) async fn info(transaction: &Transaction<'_>, id: JobId) -> StoreResult<Option<ResultInfo>> {
    let head = head(transaction, id).await?.live()?;
    let select = "SELECT content_type, result_size FROM jobs WHERE num = $1 AND result_size IS NOT NULL";
    let Some(row) = transaction.row(select, &[&head.num]).await? else {
        return Ok(None);
    };
    let size = row.count("result_size")?;
    Ok(Some(ResultInfo { size, content_type: row.maybe_text("content_type")?, epoch: head.epoch }))
}

/// Returns a part of the answer that the epoch made.
pub(super) async fn part(
    transaction: &Transaction<'_>,
    id: JobId,
    epoch: u64,
    from: u64,
    most: u32,
) -> StoreResult<Bytes> {
    let head = head(transaction, id).await?.live()?;
    let gone = StoreError::Fenced { epoch: head.epoch };
    if head.epoch != epoch || !head.state.is_ended() {
        return Err(gone);
    }
    let select = "SELECT substring(result FROM $2 FOR $3) AS part FROM jobs WHERE num = $1 AND result_size IS NOT NULL";
    // A row has at most 256 MiB.
    let first = i32::try_from(from).unwrap_or(i32::MAX - 1) + 1;
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    let row = transaction.row(select, &[&head.num, &first, &most]).await?.ok_or(gone)?;
    row.maybe_bytes("part")?.ok_or_else(|| damaged("result"))
}
