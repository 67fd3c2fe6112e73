//! Progress of a query: its events, folded to counts. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::answer::{Attempts, Status, Tally, share};
use crate::event::{Event, EventKind};
use crate::failure::FailureKind;
use crate::ids::PartitionKey;

/// Counts of a query's events so far. At the end, its outcomes are those of the coverage, but for
/// successes that were discarded, and partials that an earlier life of a job has kept.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Time from the start to the plan; zero before the plan.
    pub planning: Duration,
    /// Number of planned partitions.
    pub partitions: u64,
    /// Planned weight.
    pub weight: u64,
    /// Settled partitions by outcome.
    pub settled: Tally,
    /// Weight of the partitions that succeeded.
    pub covered: u64,
    /// Number of running attempts.
    pub running: u64,
    /// Attempts that began, and scheduled retries.
    pub attempts: Attempts,
    /// Failed attempts, by slug.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Slot time of attempts that succeeded.
    pub used: Duration,
    /// Slot time of attempts that failed.
    pub wasted: Duration,
    /// The running attempt of each slot.
    on_slots: Vec<Option<RunningAttempt>>,
}

/// Attempt that has not ended.
#[derive(Clone, Debug)]
struct RunningAttempt {
    /// Start in microseconds since the query began.
    at: u64,
    key: PartitionKey,
    weight: u64,
}

/// Attempt that ended, as its two events describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedAttempt {
    /// Key of the partition.
    pub key: PartitionKey,
    /// Time from start to end.
    pub took: Duration,
}

impl Progress {
    /// Adds the next event. Returns the attempt that it ends, if its start was added.
    pub fn add(&mut self, event: &Event) -> Option<EndedAttempt> {
        match &event.kind {
            EventKind::Planned { partitions, weight, .. } => {
                self.planning = Duration::from_micros(event.at);
                self.partitions = *partitions;
                self.weight = *weight;
            }
            EventKind::AttemptStarted { key, slot, weight, .. } => {
                let slot = *slot as usize;
                if self.on_slots.len() <= slot {
                    self.on_slots.resize(slot + 1, None);
                }
                if let Some(place) = self.on_slots.get_mut(slot) {
                    *place = Some(RunningAttempt { at: event.at, key: key.clone(), weight: *weight });
                }
                self.running += 1;
                self.attempts.started += 1;
            }
            EventKind::AttemptEnded { slot, failure, .. } => {
                let failure = failure.as_ref().map(|failure| failure.kind);
                return self.ended(event.at, *slot, failure);
            }
            EventKind::RetryScheduled { .. } => self.attempts.retries += 1,
            EventKind::PartitionMissing { status, .. } => self.settled.add(*status, 1),
            _ => {}
        }
        None
    }

    fn ended(&mut self, at: u64, slot: u32, failure: Option<FailureKind>) -> Option<EndedAttempt> {
        self.running = self.running.saturating_sub(1);
        let began = self.on_slots.get_mut(slot as usize).and_then(Option::take);
        let took = began.as_ref().map_or(0, |began| at.saturating_sub(began.at));
        let took = Duration::from_micros(took);
        match failure {
            None => {
                self.settled.add(Status::Succeeded, 1);
                self.covered += began.as_ref().map_or(0, |began| began.weight);
                self.used += took;
            }
            Some(kind) => {
                *self.failures.entry(kind).or_default() += 1;
                self.wasted += took;
            }
        }
        began.map(|began| EndedAttempt { key: began.key, took })
    }

    /// Covered share of the planned weight, 0 to 1; 0 before the plan.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        if self.weight == 0 { 0.0 } else { share(self.covered, self.weight) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Usage;
    use crate::failure::Failure;

    #[test]
    fn attempts_are_counted_by_their_ends_and_partitions_once() {
        let mut progress = Progress::default();
        let mut add = |at, kind| progress.add(&Event { at, kind });
        let started = |partition: u32, slot| EventKind::AttemptStarted {
            partition,
            key: format!("p{partition}").as_str().into(),
            attempt: 1,
            slot,
            weight: 3,
        };
        let ended = |partition, slot, failure: Option<FailureKind>| {
            let failure = failure.map(|kind| Failure::new(kind, "scripted"));
            EventKind::AttemptEnded { partition, attempt: 1, slot, failure, usage: Usage::default(), log: Vec::new() }
        };
        let planned = EventKind::Planned { partitions: 3, weight: 9, leaf_deadline: 0, gather_deadline: 0 };
        assert_eq!(add(1000, planned), None);
        assert_eq!(add(2000, started(0, 0)), None);
        add(2000, started(1, 4));
        let took = |ms| Duration::from_millis(ms);
        assert_eq!(add(5000, ended(0, 0, None)), Some(EndedAttempt { key: "p0".into(), took: took(3) }));
        add(9000, ended(1, 4, Some(FailureKind::Unavailable)));
        add(9000, EventKind::RetryScheduled { partition: 1, attempt: 2, start: 9500 });
        add(9500, started(1, 0));
        // An attempt whose start is unknown.
        assert_eq!(add(9900, ended(2, 7, Some(FailureKind::Trap))), None);
        let status = Status::Failed;
        add(9900, EventKind::PartitionMissing { partition: 2, key: "p2".into(), status, slug: None });
        assert_eq!((progress.planning, progress.used, progress.wasted), (took(1), took(3), took(7)));
        assert_eq!((progress.running, progress.attempts.started, progress.attempts.retries), (0, 3, 1));
        assert_eq!((progress.settled.succeeded, progress.settled.failed, progress.settled.planned), (1, 1, 2));
        assert_eq!((progress.covered, progress.fraction()), (3, share(3, 9)));
        assert_eq!(progress.failures.into_values().sum::<u64>(), 2);
    }
}
