//! Answers of jobs, read in parts, so that an answer is never whole in memory.

use bytes::Bytes;
use rusqlite::{Row, params};

use crate::job::JobId;
use crate::store::rows::{Columns, damaged};
use crate::store::sql::jobs::head;
use crate::store::{ResultInfo, StoreError, StoreResult};

use super::blobs::Blobs;
use super::session::Session;

/// Returns the description of the answer. An answer in a file is verified here, as a whole, before
/// its parts are read.
pub(super) async fn info(db: &Session<'_>, blobs: &Blobs, id: JobId) -> StoreResult<Option<ResultInfo>> {
    let head = head(db, id).await?.live()?;
    let mut select =
        db.connection.prepare_cached("SELECT content_type, result_size, result_blob FROM jobs WHERE num = ?1")?;
    let mut rows = select.query([head.num])?;
    let row = rows.next()?.ok_or(StoreError::NotFound(id))?;
    if row.maybe_int("result_size")?.is_none() {
        return Ok(None);
    }
    if let Some(digest) = row.maybe_text("result_blob")? {
        blobs.check(&digest)?;
    }
    let size = row.count("result_size")?;
    Ok(Some(ResultInfo { size, content_type: row.maybe_text("content_type")?, epoch: head.epoch }))
}

/// Returns a part of the answer that the epoch made.
pub(super) async fn part(
    db: &Session<'_>,
    blobs: &Blobs,
    id: JobId,
    epoch: u64,
    from: u64,
    most: u32,
) -> StoreResult<Bytes> {
    let head = head(db, id).await?.live()?;
    let mut select = db.connection.prepare_cached(
        "SELECT result_blob, result_size, substr(result, ?2, ?3) AS part FROM jobs WHERE num = ?1 AND result_size IS NOT NULL",
    )?;
    let first = i64::try_from(from).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = select.query(params![head.num, first, most])?;
    let row = rows.next()?.filter(|_| head.epoch == epoch && head.state.is_ended());
    let row: &Row<'_> = row.ok_or(StoreError::Fenced { epoch: head.epoch })?;
    // SQLite returns NULL for an empty part.
    if from >= row.count("result_size")? {
        return Ok(Bytes::new());
    }
    match row.maybe_text("result_blob")? {
        Some(digest) => blobs.part(&digest, from, most),
        None => row.maybe_bytes("part")?.ok_or_else(|| damaged("result")),
    }
}
