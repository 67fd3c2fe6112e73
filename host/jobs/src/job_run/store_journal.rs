//! Write-ahead journal of a job: the store accepts partials before they count.

use std::sync::Arc;

use frond_root::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use frond_root::ledger::Position;
use frond_root::{Failure, FailureKind};

use super::lease::Lease;
use crate::job::JobId;
use crate::quota::Meter;
use crate::store::{Outcome, Partial, PartitionResult, StoreError};

/// The most partials of earlier owners that are stored at once.
const BATCH: usize = 500;

/// Journal of one job.
pub(super) struct StoreJournal {
    lease: Lease,
    id: JobId,
    meter: Arc<Meter>,
}

impl StoreJournal {
    pub(super) fn new(lease: Lease, id: JobId, meter: Arc<Meter>) -> Self {
        Self { lease, id, meter }
    }

    /// Stores partials of earlier owners' leaves, each with the epoch of its attempt. Partials of
    /// units that are stored already are discarded.
    pub(super) async fn store(&self, partials: Vec<(u64, KeptPartial)>) -> Result<(), StoreError> {
        let mut left = partials.into_iter().map(|(epoch, one)| result(Some(epoch), one)).collect::<Vec<_>>();
        while !left.is_empty() {
            let batch: Vec<_> = left.drain(..left.len().min(BATCH)).collect();
            let bytes = batch.iter().filter_map(|one| one.outcome.partial()).map(|bytes| bytes.len() as u64).sum();
            self.lease.meters(&self.meter, bytes).await?;
            let epoch = self.lease.epoch();
            self.lease.until_available(|store| store.accept(self.id, epoch, batch.clone())).await?;
        }
        Ok(())
    }
}

/// Makes the record of a partial.
fn result(epoch: Option<u64>, one: KeptPartial) -> PartitionResult {
    PartitionResult {
        index: one.partition,
        attempt: one.attempt,
        epoch,
        run_ms: u64::try_from(one.ran.as_millis()).unwrap_or(u64::MAX),
        outcome: match one.units {
            Some(range) => Outcome::Part(range, one.partial),
            None => Outcome::Done(one.partial),
        },
    }
}

fn failed(lease: &Lease, error: StoreError) -> Failure {
    let failure = Failure::new(FailureKind::Lost, error.to_string());
    lease.breaks(error);
    failure
}

impl Journal for StoreJournal {
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture {
        let lease = self.lease.clone();
        let id = self.id;
        let meter = self.meter.clone();
        let grows = |one: &KeptPartial| (one.partial.len() as u64).saturating_sub(one.replaces);
        let bytes = partials.iter().map(grows).sum();
        let results: Vec<PartitionResult> = partials.into_iter().map(|one| result(None, one)).collect();
        Box::pin(async move {
            let epoch = lease.epoch();
            lease.meters(&meter, bytes).await.map_err(|error| failed(&lease, error))?;
            let accepted = lease.until_available(|store| store.accept(id, epoch, results.clone())).await;
            accepted.map(drop).map_err(|error| failed(&lease, error))
        })
    }

    fn recall(&self, after: Option<Position>, bytes: u64) -> RecallFuture {
        let lease = self.lease.clone();
        let id = self.id;
        Box::pin(async move {
            let partials = lease.until_available(|store| store.partials(id, after, bytes)).await;
            let partials = partials.map_err(|error| failed(&lease, error))?;
            let at = |one: &Partial| (one.index, one.range.map_or(0, |range| range.begin));
            Ok(partials.into_iter().map(|one| (at(&one), one.bytes)).collect())
        })
    }
}
