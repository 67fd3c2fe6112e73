//! What a job's answer would be by now: what is accepted, merged, with its account.

use bytes::Bytes;
use frond_root::Failure;
use frond_root::runner::{Covered, Merger};
use tokio::time::{Duration, Instant};

use crate::store::{Job, JobStore, StoreError};

/// Read, and merged, at once: bytes of partials.
const BATCH: u64 = 8 << 20;
/// Partials in one merge.
const FAN_IN: usize = 64;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no partial answer.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// The store does not give what it keeps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The merge, or the finish, failed.
    #[error("what is there could not be merged: {0}")]
    Merge(Box<Failure>),
}

/// An answer made of what was accepted so far.
#[derive(Clone, Debug)]
pub struct SoFar {
    /// What `finish` made of it.
    pub body: Bytes,
    /// The share of the planned weight that is in it.
    pub fraction: f64,
    /// Partials in it.
    pub partials: u64,
}

/// Merges what `job` has. Ordered merges get partials in the order of their partitions.
///
/// # Errors
/// See [`PartialError`].
pub async fn so_far(store: &dyn JobStore, job: &Job, merger: &dyn Merger) -> Result<SoFar, PartialError> {
    let until = Instant::now() + PATIENCE;
    let asked = store.asked(job.id).await?;
    let query = asked.planned.unwrap_or(asked.query);
    let failed = |failure: Box<Failure>| PartialError::Merge(failure);
    let (mut merged, mut after, mut partials): (Option<Bytes>, Option<u32>, u64) = (None, None, 0);
    loop {
        let page = store.partials(job.id, after, BATCH).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.index);
        partials += page.len() as u64;
        let mut page = page.into_iter().map(|one| one.bytes).peekable();
        while page.peek().is_some() {
            let mut inputs: Vec<Bytes> = merged.take().into_iter().collect();
            inputs.extend(page.by_ref().take(FAN_IN));
            merged = match inputs.len() {
                1 => inputs.pop(),
                _ => Some(merger.merge(query.clone(), inputs, until).await.map_err(failed)?.0),
            };
        }
    }
    // What was accepted since the job was looked at is in it, too: the account is of now.
    let job = store.get(job.id).await?;
    let counts = job.counts;
    let covered = Covered {
        planned: counts.weight,
        covered: counts.settled_weight.min(counts.weight),
        complete: job.planned && partials == counts.partitions && counts.degraded == 0,
    };
    let body = merger.finish(query, merged, covered, until).await.map_err(failed)?.0;
    let fraction = if counts.weight == 0 { 0.0 } else { covered.covered as f64 / counts.weight as f64 };
    Ok(SoFar { body, fraction, partials })
}
