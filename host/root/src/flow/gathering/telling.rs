//! Events of leaves and their log lines.

use tokio::time::Instant;

use super::GatherLoop;
use crate::call::Usage;
use crate::event::{EventKind, MAX_LOGS};
use crate::failure::{Failure, FailureKind};
use crate::ids::PartitionKey;
use crate::scatter::Report;
use crate::work::{AttemptId, Outcome};

impl GatherLoop<'_> {
    pub(super) fn tell(&mut self, report: &Report) {
        if !self.run.services.events.wanted() {
            return;
        }
        match report {
            Report::Started { partition, attempt, slot, .. } => {
                self.live.insert(AttemptId { partition: *partition, number: *attempt }, *slot);
            }
            Report::Ended { partition, attempt, .. } => {
                self.live.remove(&AttemptId { partition: *partition, number: *attempt });
            }
        }
        let log = match report {
            Report::Ended { outcome, .. } => self.log_of(outcome),
            Report::Started { .. } => Vec::new(),
        };
        let events = &self.run.services.events;
        let since = |at: &Instant| at.saturating_duration_since(self.run.start);
        match report {
            Report::Started { partition, attempt, slot, at } => events.emit(since(at), || EventKind::AttemptStarted {
                partition: *partition,
                key: self.key(*partition),
                attempt: *attempt,
                slot: *slot,
                weight: self.scatter.plan().get(*partition).map_or(0, |partition| partition.weight),
            }),
            Report::Ended { partition, attempt, slot, at, outcome, .. } => {
                let texts = &mut self.texts;
                events.emit(since(at), || EventKind::AttemptEnded {
                    partition: *partition,
                    attempt: *attempt,
                    slot: *slot,
                    failure: outcome.result.as_ref().err().map(|failure| texts.take(failure)),
                    usage: outcome.usage,
                    log,
                })
            }
        }
    }

    /// Log lines of a successful leaf, while this query's events have room for them.
    fn log_of(&mut self, outcome: &Outcome) -> Vec<String> {
        if outcome.result.is_err() {
            return Vec::new();
        }
        let bytes = outcome.log.iter().map(String::len).sum::<usize>();
        match self.logged.checked_add(bytes).filter(|all| *all <= MAX_LOGS) {
            Some(all) => {
                self.logged = all;
                outcome.log.clone()
            }
            None => Vec::new(),
        }
    }

    /// Emits the end of leaves that did not stop in time: nobody waits for them any longer.
    pub(super) fn tell_of_the_rest(&mut self) {
        let kind = if self.scatter.is_late() { FailureKind::OutOfTime } else { FailureKind::Cancelled };
        for (AttemptId { partition, number: attempt }, slot) in std::mem::take(&mut self.live) {
            self.run.emit(|| EventKind::AttemptEnded {
                partition,
                attempt,
                slot,
                failure: Some(Failure::new(kind, "had not stopped when the gather ended")),
                usage: Usage::default(),
                log: Vec::new(),
            });
        }
    }

    pub(super) fn key(&self, partition: u32) -> PartitionKey {
        let plan = self.scatter.plan();
        plan.get(partition).map_or_else(|| "?".into(), |partition| partition.key.clone())
    }
}
