//! Results of partitions: stored once, and read again.

use rusqlite::{Connection, params};

use crate::job::JobId;
use crate::store::rows::{Columns, damaged};
use crate::store::rules::{MOST, sql};
use crate::store::{AcceptReport, Outcome, Partial, PartitionResult, PartitionState, StoreError, StoreResult, cause};

use super::blobs::{self, Blobs, StoredBytes};
use super::jobs::head;

/// Results for the writer; large partials are already in files.
pub(super) struct PendingResults {
    id: JobId,
    epoch: u64,
    results: Vec<Result>,
}

struct Result {
    index: u32,
    attempt: u32,
    run_ms: u64,
    state: PartitionState,
    partial: Option<(StoredBytes, usize)>,
    failure: Option<String>,
}

impl PendingResults {
    /// Writes large partials to files. Blocks if [`large`] is not 0.
    pub(super) fn new(blobs: &Blobs, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<Self> {
        let results = results.into_iter().map(|one| Result::new(blobs, one)).collect::<StoreResult<_>>()?;
        Ok(Self { id, epoch, results })
    }

    pub(super) fn len(&self) -> usize {
        self.results.len()
    }
}

/// Bytes of partials that belong in files.
pub(super) fn large(results: &[PartitionResult]) -> u64 {
    let large = results.iter().map(|one| match &one.outcome {
        Outcome::Done(bytes) | Outcome::Degraded(bytes) => blobs::large(bytes),
        Outcome::Failed(_) => 0,
    });
    large.sum()
}

impl Result {
    fn new(blobs: &Blobs, accepted: PartitionResult) -> StoreResult<Self> {
        let PartitionResult { index, attempt, run_ms, outcome } = accepted;
        let (state, partial, failure) = match outcome {
            Outcome::Done(bytes) => (PartitionState::Done, Some(bytes), None),
            Outcome::Degraded(bytes) => (PartitionState::Degraded, Some(bytes), None),
            Outcome::Failed(failure) => (PartitionState::Failed, None, Some(failure)),
        };
        let partial =
            partial.map(|bytes| Ok::<_, StoreError>((blobs.take(bytes.clone())?, bytes.len()))).transpose()?;
        let failure = failure.map(|failure| serde_json::to_string(&failure)).transpose();
        Ok(Self {
            index,
            attempt,
            run_ms,
            state,
            partial,
            failure: failure.map_err(|error| StoreError::Other(cause(error)))?,
        })
    }

    /// Writes the result if it is the partition's first one, and returns the partition's weight
    /// then.
    fn keep(&self, connection: &Connection, job: i64) -> StoreResult<Option<u64>> {
        let mut update = connection.prepare_cached(
            "UPDATE partitions SET state = ?3, attempts = ?4, run_ms = ?5, failure = ?6, size = ?7, blob = ?8, \
             partial = ?9 WHERE job = ?1 AND idx = ?2 AND state = 'pending' RETURNING weight",
        )?;
        let stowed = self.partial.as_ref().map(|(stowed, _)| stowed);
        let mut rows = update.query(params![
            job,
            self.index,
            self.state.slug(),
            self.attempt,
            sql(self.run_ms),
            self.failure,
            self.partial.as_ref().map(|(_, size)| sql(*size as u64)),
            stowed.and_then(StoredBytes::digest),
            stowed.and_then(StoredBytes::inline),
        ])?;
        let weight = rows.next()?.map(|row| row.count("weight")).transpose()?;
        // An update with RETURNING completes when all its rows are read.
        while rows.next()?.is_some() {}
        Ok(weight)
    }
}

/// Stores results, the first of each partition. The inner error concerns only this job, and leaves
/// no trace in the transaction.
pub(super) fn accept(connection: &Connection, pending: &PendingResults) -> StoreResult<StoreResult<AcceptReport>> {
    let guarded = head(connection, pending.id).and_then(|head| {
        let head = head.held_by(pending.epoch)?;
        head.has(pending.results.iter().map(|one| one.index))?;
        Ok(head)
    });
    let head = match guarded {
        Ok(head) => head,
        Err(refusal) if refusal.is_refusal() => return Ok(Err(refusal)),
        Err(fault) => return Err(fault),
    };
    let mut kept = AcceptReport::default();
    let mut done = 0_i64;
    let mut degraded = 0_i64;
    let mut failed = 0_i64;
    let mut settled = 0_u64;
    let mut leaf_ms = 0_u64;
    let mut bytes = 0_u64;
    for result in &pending.results {
        let Some(weight) = result.keep(connection, head.num)? else {
            kept.discarded += 1;
            continue;
        };
        kept.fresh.push(result.index);
        leaf_ms = leaf_ms.saturating_add(result.run_ms);
        bytes = bytes.saturating_add(result.partial.as_ref().map_or(0, |(_, size)| *size as u64));
        match result.state {
            PartitionState::Failed => failed += 1,
            PartitionState::Degraded => {
                degraded += 1;
                settled = settled.saturating_add(weight);
            }
            _ => {
                done += 1;
                settled = settled.saturating_add(weight);
            }
        }
    }
    let mut count = connection.prepare_cached(
        "UPDATE jobs SET done = done + ?3, degraded = degraded + ?4, failed = failed + ?5, \
         settled_weight = min(settled_weight + ?6, ?8), leaf_ms = min(leaf_ms + ?7, ?8), \
         bytes = min(bytes + ?9, ?8), strikes = CASE WHEN ?10 THEN 0 ELSE strikes END WHERE num = ?1 AND epoch = ?2",
    )?;
    let settled = sql(settled);
    let leaf_ms = sql(leaf_ms);
    let bytes = sql(bytes);
    let epoch = sql(head.epoch);
    let fresh = !kept.fresh.is_empty();
    let changed =
        count.execute(params![head.num, epoch, done, degraded, failed, settled, leaf_ms, MOST, bytes, fresh])?;
    head.fenced(changed as u64)?;
    kept.fresh.sort_unstable();
    Ok(Ok(kept))
}

/// Returns partials after the index `after`: as many as fit into `max_bytes`, but at least one.
pub(super) fn partials(
    connection: &Connection,
    blobs: &Blobs,
    id: JobId,
    after: Option<u32>,
    max_bytes: u64,
) -> StoreResult<Vec<Partial>> {
    let transaction = connection.unchecked_transaction()?;
    let head = head(&transaction, id)?.live()?;
    let mut select = transaction.prepare_cached(
        "SELECT idx, state, size, blob, partial FROM partitions \
         WHERE job = ?1 AND idx > ?2 AND state IN ('done', 'degraded') ORDER BY idx",
    )?;
    let mut rows = select.query(params![head.num, after.map_or(-1, i64::from)])?;
    let mut partials = Vec::new();
    let mut total = 0_u64;
    while let Some(row) = rows.next()? {
        total = total.saturating_add(row.count("size")?);
        if total > max_bytes && !partials.is_empty() {
            break;
        }
        let bytes = match row.maybe_text("blob")? {
            Some(digest) => blobs.read(&digest)?,
            None => row.maybe_bytes("partial")?.ok_or_else(|| damaged("partial"))?,
        };
        let degraded = row.text("state")? == PartitionState::Degraded.slug();
        partials.push(Partial { index: row.index("idx")?, bytes, degraded });
    }
    Ok(partials)
}
