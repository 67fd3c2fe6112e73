//! A job's journal: partials are accepted by the store before they count.

use std::sync::Arc;

use bytes::Bytes;
use frond_root::journal::{Journal, Keeping, Kept as Partial, Recalling};
use frond_root::{Failure, FailureKind};

use super::hold::Hold;
use crate::job::JobId;
use crate::quota::Meter;
use crate::store::{Accepted, Outcome, StoreError};

/// The journal of one job.
pub(super) struct Kept {
    hold: Hold,
    id: JobId,
    meter: Arc<Meter>,
}

impl Kept {
    pub(super) fn new(hold: Hold, id: JobId, meter: Arc<Meter>) -> Self {
        Self { hold, id, meter }
    }
}

fn failed(hold: &Hold, error: StoreError) -> Failure {
    let failure = Failure::new(FailureKind::Lost, error.to_string());
    hold.breaks(error);
    failure
}

impl Journal for Kept {
    fn keep(&self, partials: Vec<Partial>) -> Keeping {
        let (hold, id) = (self.hold.clone(), self.id);
        let meter = self.meter.clone();
        let bytes = partials.iter().map(|one| one.partial.len() as u64).sum();
        let results: Vec<Accepted> = partials
            .into_iter()
            .map(|one| Accepted {
                index: one.partition,
                attempt: one.attempt,
                run_ms: u64::try_from(one.ran.as_millis()).unwrap_or(u64::MAX),
                outcome: Outcome::Done(one.partial),
            })
            .collect();
        Box::pin(async move {
            let epoch = hold.epoch();
            hold.meters(&meter, bytes).await.map_err(|error| failed(&hold, error))?;
            let accepted = hold.insist(|store| store.accept(id, epoch, results.clone())).await;
            accepted.map(drop).map_err(|error| failed(&hold, error))
        })
    }

    fn recall(&self, after: Option<u32>, bytes: u64) -> Recalling {
        let (hold, id) = (self.hold.clone(), self.id);
        Box::pin(async move {
            let partials = hold.insist(|store| store.partials(id, after, bytes)).await;
            let partials = partials.map_err(|error| failed(&hold, error))?;
            Ok(partials.into_iter().map(|one| (one.index, one.bytes)).collect::<Vec<(u32, Bytes)>>())
        })
    }
}
