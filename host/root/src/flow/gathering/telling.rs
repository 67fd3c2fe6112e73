//! Events of leaves and their log lines.

use std::time::Duration;

use tokio::time::Instant;

use super::{GatherLoop, Live};
use crate::call::Usage;
use crate::event::{EndedPart, EventKind, MAX_LOGS};
use crate::failure::{Failure, FailureKind};
use crate::ids::PartitionKey;
use crate::scatter::Report;
use crate::work::{AttemptId, Outcome};

impl GatherLoop<'_> {
    pub(super) fn tell(&mut self, report: &Report) {
        if !self.run.services.events.wanted() {
            return;
        }
        let (at, kind) = match report {
            Report::Started { id, slot, at, stretch, cut_from, copy_of, worker } => {
                let weight = self.scatter.plan().get(id.partition).map_or(0, |partition| partition.weight);
                let AttemptId { partition, number: attempt } = *id;
                let key = self.key(partition);
                let units = stretch.map(|stretch| (stretch.begin, stretch.end));
                let slot = *slot;
                let cut_from = *cut_from;
                let copy_of = *copy_of;
                let worker = worker.as_deref().map(str::to_owned);
                let started = EventKind::AttemptStarted {
                    partition,
                    key,
                    attempt,
                    slot,
                    weight,
                    units,
                    cut_from,
                    copy_of,
                    worker,
                };
                (at, started)
            }
            Report::Ended { id, slot, at, outcome, part } => {
                let AttemptId { partition, number: attempt } = *id;
                let log = self.log_of(outcome);
                let failure = outcome.result.as_ref().err().map(|failure| self.texts.take(failure));
                let Outcome { usage, earlier, .. } = *outcome;
                let waited = micros(outcome.waits.total());
                let since = |at: Instant| micros(at.saturating_duration_since(self.run.start));
                let waits = outcome.waits.spans().iter().map(|(from, to)| (since(*from), since(*to))).collect();
                let is_success = failure.is_none();
                let part = part.map(|part| EndedPart::new(&part, is_success)).filter(|part| !part.is_plain(is_success));
                let ended = EventKind::AttemptEnded {
                    partition,
                    attempt,
                    slot: *slot,
                    failure,
                    usage,
                    log,
                    earlier,
                    waited,
                    waits,
                    part,
                    beaten: self.hedging.is_stopping(*id),
                };
                (at, ended)
            }
        };
        self.run.services.events.emit(at.saturating_duration_since(self.run.start), || kind);
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
                beaten: self.hedging.is_stopping(AttemptId { partition, number: attempt }),
            });
        }
    }

    pub(super) fn key(&self, partition: u32) -> PartitionKey {
        let plan = self.scatter.plan();
        plan.get(partition).map_or_else(|| "?".into(), |partition| partition.key.clone())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
