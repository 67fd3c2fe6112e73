//! Results of partitions: stored once, and read again.

use frond_root::ledger::Position;
use rusqlite::params;

use crate::job::JobId;
use crate::store::rows::{Columns, damaged, partial_of};
use crate::store::rules::sql;
use crate::store::sql::jobs::head;
use crate::store::sql::parts::{self, PartBytes, stored};
use crate::store::sql::results::{Accepted, failure};
use crate::store::{AcceptReport, Outcome, Partial, PartitionResult, StoreResult};

use super::blobs::{self, Blobs, StoredBytes};
use super::session::Session;

#[cfg(test)]
mod tests;

/// Results for the writer; large partials are already in files.
pub(super) struct PendingResults {
    id: JobId,
    epoch: u64,
    results: Vec<PendingResult>,
}

/// Row of a partition's result, to be written.
struct PendingResult {
    result: PartitionResult,
    partial: Option<StoredBytes>,
    failure: Option<String>,
}

impl PendingResults {
    /// Writes large partials to files. Blocks if [`large`] is not 0.
    pub(super) fn new(blobs: &Blobs, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<Self> {
        let pending = |result: PartitionResult| -> StoreResult<PendingResult> {
            let partial = result.outcome.partial().map(|bytes| blobs.take(bytes.clone())).transpose()?;
            Ok(PendingResult { failure: failure(&result.outcome)?, partial, result })
        };
        Ok(Self { id, epoch, results: results.into_iter().map(pending).collect::<StoreResult<_>>()? })
    }

    pub(super) fn len(&self) -> usize {
        self.results.len()
    }
}

/// Bytes of partials that belong in files.
pub(super) fn large(results: &[PartitionResult]) -> u64 {
    results.iter().filter_map(|one| one.outcome.partial()).map(blobs::large).sum()
}

impl PendingResult {
    /// Writes the result if it is the partition's first one, and returns the partition's weight
    /// then.
    fn keep(&self, db: &Session<'_>, job: i64) -> StoreResult<Option<u64>> {
        let mut update = db.connection.prepare_cached(
            "UPDATE partitions SET state = ?3, attempts = ?4, run_ms = run_ms + ?5, failure = ?6, \
             size = COALESCE(?7, size), blob = ?8, partial = ?9 \
             WHERE job = ?1 AND idx = ?2 AND state = 'pending' AND (units IS NULL OR ?6 IS NOT NULL) RETURNING weight",
        )?;
        let PartitionResult { index, attempt, run_ms, outcome, .. } = &self.result;
        let mut rows = update.query(params![
            job,
            index,
            outcome.state().slug(),
            attempt,
            sql(*run_ms),
            self.failure,
            outcome.partial().map(|bytes| sql(bytes.len() as u64)),
            self.partial.as_ref().and_then(StoredBytes::digest),
            self.partial.as_ref().and_then(StoredBytes::inline),
        ])?;
        let weight = rows.next()?.map(|row| row.count("weight")).transpose()?;
        // An update with RETURNING completes when all its rows are read.
        while rows.next()?.is_some() {}
        Ok(weight)
    }
}

/// Stores results, the first of each partition. The inner error concerns only this job, and leaves
/// no trace in the transaction.
pub(super) async fn accept(db: &Session<'_>, pending: &PendingResults) -> StoreResult<StoreResult<AcceptReport>> {
    let guarded = head(db, pending.id).await.and_then(|head| {
        let head = head.held_by(pending.epoch)?;
        head.has(pending.results.iter().map(|one| one.result.index))?;
        Ok(head)
    });
    let head = match guarded {
        Ok(head) => head,
        Err(refusal) if refusal.is_refusal() => return Ok(Err(refusal)),
        Err(fault) => return Err(fault),
    };
    let mut accepted = Accepted::default();
    for one in &pending.results {
        if let Outcome::Part(range, partial) = &one.result.outcome {
            let bytes = PartBytes {
                size: partial.len() as u64,
                inline: one.partial.as_ref().and_then(StoredBytes::inline),
                file: one.partial.as_ref().and_then(StoredBytes::digest),
            };
            if let Some(growth) = parts::keep(db, &head, &one.result, range, bytes).await? {
                accepted.add_part(one.result.index, &growth);
            }
        } else if let Some(weight) = one.keep(db, head.num)? {
            accepted.add(&one.result, weight);
        }
    }
    accepted.store(db, &head, pending.results.len()).await.map(Ok)
}

/// Query for the partials of the job `$1` behind the position `$2`, `$3`.
fn page() -> String {
    format!("{} ORDER BY idx, begins", stored::<Session<'_>>("*", ""))
}

/// Returns partials behind the position `after`: as many as fit into `max_bytes`, but at least one.
/// `None` if the file of the first is gone: a later snapshot may have a newer partial in its place.
pub(super) async fn partials(
    db: &Session<'_>,
    blobs: &Blobs,
    id: JobId,
    after: Option<Position>,
    max_bytes: u64,
) -> StoreResult<Option<Vec<Partial>>> {
    let head = head(db, id).await?.live()?;
    let mut select = db.prepare(&page())?;
    let after = after.map_or((-1, 0), |(index, unit)| (i64::from(index), sql(unit)));
    let mut rows = select.query(params![head.num, after.0, after.1])?;
    let mut partials = Vec::new();
    let mut total = 0_u64;
    while let Some(row) = rows.next()? {
        total = total.saturating_add(row.count("size")?);
        if total > max_bytes && !partials.is_empty() {
            break;
        }
        let bytes = match row.maybe_text("blob")? {
            Some(digest) => match blobs.read(&digest)? {
                Some(bytes) => bytes,
                None if partials.is_empty() => return Ok(None),
                None => break,
            },
            None => row.maybe_bytes("partial")?.ok_or_else(|| damaged("partial"))?,
        };
        partials.push(partial_of(row, bytes)?);
    }
    Ok(Some(partials))
}
