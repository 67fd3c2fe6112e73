//! Events of leaves, as runners report them.

use std::time::Duration;

use tokio::time::Instant;

use crate::call::Usage;
use crate::event::{EndedPart, Event, EventKind, MAX_LOGS};
use crate::failure::{Failure, FailureKind, MAX_EVENT_TEXTS, TextBudget};
use crate::ids::PartitionKey;
use crate::plan::Plan;
use crate::scatter::Report;
use crate::work::{AttemptId, Outcome};

/// Maker of one query's events of leaves, within the bounds of their texts.
#[derive(Debug)]
pub struct LeafEvents {
    /// Start of the query, from which the events count.
    start: Instant,
    /// Bytes of log lines in events so far.
    logged: usize,
    /// Bytes left for the texts of failures in events.
    texts: TextBudget,
}

impl LeafEvents {
    /// No events yet, of a query that began at `start`.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { start, logged: 0, texts: TextBudget::new(MAX_EVENT_TEXTS, 0) }
    }

    /// Makes the event of a report on a leaf of this plan; `beaten` if another attempt was done
    /// first.
    pub fn make(&mut self, report: &Report, beaten: bool, plan: &Plan) -> Event {
        let (at, kind) = match report {
            Report::Started { id, slot, at, stretch, cut_from, copy_of, worker } => {
                let AttemptId { partition, number: attempt } = *id;
                let started = EventKind::AttemptStarted {
                    partition,
                    key: key_of(plan, partition),
                    attempt,
                    slot: *slot,
                    weight: plan.get(partition).map_or(0, |partition| partition.weight),
                    units: stretch.map(|stretch| (stretch.begin, stretch.end)),
                    cut_from: *cut_from,
                    copy_of: *copy_of,
                    worker: worker.as_deref().map(str::to_owned),
                };
                (at, started)
            }
            Report::Ended { id, slot, at, outcome, part } => {
                let AttemptId { partition, number: attempt } = *id;
                let failure = outcome.result.as_ref().err().map(|failure| self.texts.take(failure));
                let is_success = failure.is_none();
                let waits = outcome.waits.spans().iter().map(|(from, to)| (self.since(*from), self.since(*to)));
                let ended = EventKind::AttemptEnded {
                    partition,
                    attempt,
                    slot: *slot,
                    failure,
                    usage: outcome.usage,
                    earlier: outcome.earlier,
                    waited: micros(outcome.waits.total()),
                    waits: waits.collect(),
                    log: self.log_of(outcome),
                    part: part.map(|part| EndedPart::new(&part, is_success)).filter(|part| !part.is_plain(is_success)),
                    on_worker: outcome.on_worker.as_ref().map(|times| Box::new(times.map(|at| self.since(at)))),
                    beaten,
                };
                (at, ended)
            }
        };
        Event { at: self.since(*at), kind }
    }

    /// Makes the event of a leaf that had not stopped when the gather ended: nobody waits for it any
    /// longer. `is_late` if it was stopped because time was up, `beaten` if another attempt was done
    /// first.
    #[must_use]
    pub fn unstopped(id: AttemptId, slot: u32, is_late: bool, beaten: bool) -> EventKind {
        let kind = if is_late { FailureKind::OutOfTime } else { FailureKind::Cancelled };
        EventKind::AttemptEnded {
            partition: id.partition,
            attempt: id.number,
            slot,
            failure: Some(Failure::new(kind, "had not stopped when the gather ended")),
            usage: Usage::default(),
            log: Vec::new(),
            earlier: 0,
            waited: 0,
            waits: Vec::new(),
            part: None,
            on_worker: None,
            beaten,
        }
    }

    /// Microseconds from the query's start.
    fn since(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.start))
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
}

/// Key of a partition, for events.
#[must_use]
pub fn key_of(plan: &Plan, partition: u32) -> PartitionKey {
    plan.get(partition).map_or_else(|| "?".into(), |partition| partition.key.clone())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
