//! Events of leaves.

use std::time::Duration;

use super::{GatherLoop, Live};
use crate::call::Usage;
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::ids::PartitionKey;
use crate::leaf_events::key_of;
use crate::scatter::Report;
use crate::work::AttemptId;

impl GatherLoop<'_> {
    pub(super) fn tell(&mut self, report: &Report) {
        let events = &self.run.services.events;
        if events.wanted() {
            let Event { at, kind } = self.told.make(report, self.scatter.plan());
            events.emit(Duration::from_micros(at), || kind);
        }
    }

    /// Emits the end of leaves that did not stop in time: nobody waits for them any longer.
    pub(super) fn tell_of_the_rest(&mut self) {
        let kind = if self.scatter.is_late() { FailureKind::OutOfTime } else { FailureKind::Cancelled };
        for (AttemptId { partition, number: attempt }, Live { slot, .. }) in std::mem::take(&mut self.live) {
            self.run.emit(|| EventKind::AttemptEnded {
                partition,
                attempt,
                slot,
                failure: Some(Failure::new(kind, "had not stopped when the gather ended")),
                usage: Usage::default(),
                log: Vec::new(),
                earlier: 0,
                waited: 0,
                waits: Vec::new(),
                part: None,
                on_worker: None,
            });
        }
    }

    pub(super) fn key(&self, partition: u32) -> PartitionKey {
        key_of(self.scatter.plan(), partition)
    }
}
