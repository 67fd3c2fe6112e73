//! What listeners are told of leaves.

use tokio::time::Instant;

use super::Gathering;
use crate::event::EventKind;
use crate::ids::PartitionKey;
use crate::scatter::Report;

impl Gathering<'_> {
    pub(super) fn tell(&self, report: &Report) {
        let events = &self.course.root.events;
        if !events.wanted() {
            return;
        }
        let since = |at: &Instant| at.saturating_duration_since(self.course.start);
        match report {
            Report::Started { partition, attempt, slot, at } => events.emit(since(at), || EventKind::AttemptStarted {
                partition: *partition,
                key: self.key(*partition),
                attempt: *attempt,
                slot: *slot,
                weight: self.scatter.plan().get(*partition).map_or(0, |partition| partition.weight),
            }),
            Report::Ended { partition, attempt, slot, at, outcome, .. } => {
                events.emit(since(at), || EventKind::AttemptEnded {
                    partition: *partition,
                    attempt: *attempt,
                    slot: *slot,
                    failure: outcome.result.as_ref().err().map(|failure| (**failure).clone()),
                    usage: outcome.usage,
                })
            }
        }
    }

    pub(super) fn key(&self, partition: u32) -> PartitionKey {
        let plan = self.scatter.plan();
        plan.get(partition).map_or_else(|| "?".into(), |partition| partition.key.clone())
    }
}
