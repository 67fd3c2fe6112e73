//! Write-ahead journal of a job: the store accepts partials before they count.

use std::sync::Arc;

use bytes::Bytes;
use frond_root::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use frond_root::{Failure, FailureKind};

use super::lease::Lease;
use crate::job::JobId;
use crate::quota::Meter;
use crate::store::{Outcome, PartitionResult, StoreError};

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
        let bytes = partials.iter().map(|one| one.partial.len() as u64).sum();
        let results: Vec<PartitionResult> = partials
            .into_iter()
            .map(|one| PartitionResult {
                index: one.partition,
                attempt: one.attempt,
                run_ms: u64::try_from(one.ran.as_millis()).unwrap_or(u64::MAX),
                outcome: Outcome::Done(one.partial),
            })
            .collect();
        Box::pin(async move {
            let epoch = lease.epoch();
            lease.meters(&meter, bytes).await.map_err(|error| failed(&lease, error))?;
            let accepted = lease.until_available(|store| store.accept(id, epoch, results.clone())).await;
            accepted.map(drop).map_err(|error| failed(&lease, error))
        })
    }

    fn recall(&self, after: Option<u32>, bytes: u64) -> RecallFuture {
        let lease = self.lease.clone();
        let id = self.id;
        Box::pin(async move {
            let partials = lease.until_available(|store| store.partials(id, after, bytes)).await;
            let partials = partials.map_err(|error| failed(&lease, error))?;
            Ok(partials.into_iter().map(|one| (one.index, one.bytes)).collect::<Vec<(u32, Bytes)>>())
        })
    }
}
