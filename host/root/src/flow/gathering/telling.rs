//! Events of leaves.

use std::time::Duration;

use super::{GatherLoop, Live};
use crate::event::Event;
use crate::ids::PartitionKey;
use crate::leaf_events::{LeafEvents, key_of};
use crate::scatter::Report;

impl GatherLoop<'_> {
    pub(super) fn tell(&mut self, report: &Report) {
        let events = &self.run.services.events;
        if events.wanted() {
            let beaten = matches!(report, Report::Ended { id, .. } if self.copying.is_stopping(*id));
            let Event { at, kind } = self.told.make(report, beaten, self.scatter.plan());
            events.emit(Duration::from_micros(at), || kind);
        }
    }

    /// Emits the end of leaves that did not stop in time: nobody waits for them any longer.
    pub(super) fn tell_of_the_rest(&mut self) {
        let is_late = self.scatter.is_late();
        for (id, Live { slot, .. }) in std::mem::take(&mut self.live) {
            let beaten = self.copying.is_stopping(id);
            self.run.emit(|| LeafEvents::unstopped(id, slot, is_late, beaten));
        }
    }

    pub(super) fn key(&self, partition: u32) -> PartitionKey {
        key_of(self.scatter.plan(), partition)
    }
}
