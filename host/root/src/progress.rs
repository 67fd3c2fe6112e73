//! Progress of a query: its events, folded to counts. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::answer::{Attempts, Status, Tally, share};
use crate::event::{EndedPart, Event, EventKind};
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
    /// Weight of the partitions that succeeded, and of what is done of others.
    pub covered: u64,
    /// Number of running attempts.
    pub running: u64,
    /// Attempts that began, scheduled retries, and attempts that ended in a warm instance.
    pub attempts: Attempts,
    /// Failed attempts, by slug.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Slot time of attempts that succeeded, or left a part that counts.
    pub used: Duration,
    /// Slot time of all other attempts.
    pub wasted: Duration,
    /// Time that ended attempts waited without a slot.
    pub waited: Duration,
    parts: DoneParts,
    /// Running attempts by partition and number: a slot may have many, of which one runs and the
    /// others wait.
    attempts_by_id: HashMap<(u32, u32), RunningAttempt>,
}

/// Units that are done of the partitions that are taken in parts.
#[derive(Clone, Debug, Default)]
pub struct DoneParts(BTreeMap<u32, u64>);

impl DoneParts {
    /// Adds what an attempt did of its part. Returns the units that are done of its partition: all
    /// of [`EndedPart::of`] once nothing is left.
    pub fn add(&mut self, partition: u32, part: &EndedPart) -> u64 {
        let done = self.0.entry(partition).or_default();
        *done = done.saturating_add(part.done.saturating_sub(part.begin)).min(part.of);
        *done
    }

    fn of(&self, partition: u32) -> u64 {
        self.0.get(&partition).copied().unwrap_or(0)
    }
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
    /// Time from start to end, waits included.
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
            EventKind::AttemptStarted { partition, key, attempt, weight, cut_from, copy_of, .. } => {
                let began = RunningAttempt { at: event.at, key: key.clone(), weight: *weight };
                self.attempts_by_id.insert((*partition, *attempt), began);
                self.running += 1;
                self.attempts.started += 1;
                self.attempts.cuts += u64::from(cut_from.is_some());
                self.attempts.hedges += u64::from(copy_of.is_some());
            }
            EventKind::AttemptEnded { partition, attempt, failure, earlier, waited, part, beaten, .. } => {
                self.attempts.warm += u64::from(*earlier > 0);
                let waited = Duration::from_micros(*waited);
                self.waited += waited;
                self.running = self.running.saturating_sub(1);
                let began = self.attempts_by_id.remove(&(*partition, *attempt));
                let took = began.as_ref().map_or(0, |began| event.at.saturating_sub(began.at));
                let took = Duration::from_micros(took);
                let weight = began.as_ref().map_or(0, |began| began.weight);
                if let Some(failure) = failure.as_ref().filter(|_| !beaten) {
                    *self.failures.entry(failure.kind).or_default() += 1;
                }
                let done = match part {
                    _ if *beaten => false,
                    Some(part) => self.add_part(*partition, part, weight),
                    None => failure.is_none() && self.succeeded(weight),
                };
                *if done { &mut self.used } else { &mut self.wasted } += took.saturating_sub(waited);
                return began.map(|began| EndedAttempt { key: began.key, took });
            }
            EventKind::RetryScheduled { .. } => self.attempts.retries += 1,
            EventKind::PartitionMissing { status, .. } => self.settled.add(*status, 1),
            _ => {}
        }
        None
    }

    /// Counts a partition of which nothing is left. Always true.
    fn succeeded(&mut self, weight: u64) -> bool {
        self.settled.add(Status::Succeeded, 1);
        self.covered += weight;
        true
    }

    /// Adds what an attempt did of its part. False if that is nothing.
    fn add_part(&mut self, partition: u32, part: &EndedPart, weight: u64) -> bool {
        let before = self.parts.of(partition);
        let done = self.parts.add(partition, part);
        let weight_of = |units: u64| (u128::from(weight) * u128::from(units) / u128::from(part.of.max(1))) as u64;
        self.covered += weight_of(done) - weight_of(before);
        if done == part.of && done > before {
            self.settled.add(Status::Succeeded, 1);
        }
        part.done > part.begin
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
            units: None,
            cut_from: None,
            copy_of: None,
            worker: None,
        };
        let ended = |partition, slot, waited, failure: Option<FailureKind>| {
            let failure = failure.map(|kind| Failure::new(kind, "scripted"));
            let usage = Usage::default();
            EventKind::AttemptEnded {
                partition,
                attempt: 1,
                slot,
                failure,
                usage,
                log: Vec::new(),
                earlier: partition,
                waited,
                waits: Vec::new(),
                part: None,
                on_worker: None,
                beaten: false,
            }
        };
        let planned = EventKind::Planned { partitions: 3, weight: 9, leaf_deadline: 0, gather_deadline: 0 };
        assert_eq!(add(1000, planned), None);
        assert_eq!(add(2000, started(0, 0)), None);
        add(2000, started(1, 4));
        let took = |ms| Duration::from_millis(ms);
        assert_eq!(add(5000, ended(0, 0, 0, None)), Some(EndedAttempt { key: "p0".into(), took: took(3) }));
        add(9000, ended(1, 4, 5000, Some(FailureKind::Unavailable)));
        add(9000, EventKind::RetryScheduled { partition: 1, attempt: 2, start: 9500 });
        add(9500, started(1, 0));
        // An attempt whose start is unknown.
        assert_eq!(add(9900, ended(2, 7, 0, Some(FailureKind::Trap))), None);
        let status = Status::Failed;
        add(9900, EventKind::PartitionMissing { partition: 2, key: "p2".into(), status, slug: None });
        assert_eq!((progress.planning, progress.used, progress.wasted), (took(1), took(3), took(2)));
        assert_eq!((progress.running, progress.attempts.started, progress.attempts.retries), (0, 3, 1));
        assert_eq!((progress.attempts.warm, progress.waited), (2, took(5)));
        assert_eq!((progress.settled.succeeded, progress.settled.failed, progress.settled.planned), (1, 1, 2));
        assert_eq!((progress.covered, progress.fraction()), (3, share(3, 9)));
        assert_eq!(progress.failures.into_values().sum::<u64>(), 2);
    }

    #[test]
    fn attempts_that_wait_share_a_slot_and_each_has_its_own_times() {
        let mut progress = Progress::default();
        let mut add = |at, kind| progress.add(&Event { at, kind });
        let key = |partition: u32| format!("p{partition}").as_str().into();
        for partition in 0..3 {
            let started = EventKind::AttemptStarted {
                partition,
                key: key(partition),
                attempt: 1,
                slot: 0,
                weight: 2,
                units: None,
                cut_from: None,
                copy_of: None,
                worker: None,
            };
            add(1000 * u64::from(partition), started);
        }
        for (partition, at, waited) in [(1, 9000, 7000), (0, 10_000, 9500), (2, 12_000, 10_000)] {
            let ended = EventKind::AttemptEnded {
                partition,
                attempt: 1,
                slot: 0,
                failure: None,
                usage: Usage::default(),
                log: Vec::new(),
                earlier: 0,
                waited,
                waits: Vec::new(),
                part: None,
                on_worker: None,
                beaten: false,
            };
            let took = Duration::from_micros(at - 1000 * u64::from(partition));
            assert_eq!(add(at, ended), Some(EndedAttempt { key: key(partition), took }));
        }
        assert_eq!((progress.running, progress.covered), (0, 6));
        assert_eq!((progress.used, progress.waited), (Duration::from_micros(1500), Duration::from_micros(26_500)));
    }
}
