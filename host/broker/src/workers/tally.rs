//! Counts of what happened to workers and their attempts, for metrics.

use std::collections::BTreeMap;

/// The most workers whose attempts are counted by name.
const MOST_NAMES: usize = 100;
/// Name under which the attempts of all further workers are counted.
const OTHERS: &str = "other";

/// Counts of what happened to all workers since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Workers that joined. One that comes again after it was lost counts again.
    pub joined: u64,
    /// Workers that were lost without a drain.
    pub lost: u64,
    /// Attempts that had started and were lost with their worker.
    pub attempts_lost: u64,
    /// Attempts that ended, by the name of their worker. Those of workers beyond the first hundred
    /// names are under `other`.
    pub attempts: Vec<(String, u64)>,
}

/// Counters behind a [`Tally`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    joined: u64,
    lost: u64,
    attempts_lost: u64,
    attempts: BTreeMap<String, u64>,
}

impl Counters {
    /// Counts a worker that joined.
    pub(super) fn joined(&mut self) {
        self.joined += 1;
    }

    /// Counts a worker that was lost without a drain.
    pub(super) fn lost(&mut self) {
        self.lost += 1;
    }

    /// Counts a started attempt that was lost with its worker.
    pub(super) fn attempt_lost(&mut self) {
        self.attempts_lost += 1;
    }

    /// Counts an attempt that ended on the worker of this name.
    pub(super) fn attempt_ended(&mut self, name: &str) {
        let has_room = self.attempts.len() < MOST_NAMES;
        let name = if has_room || self.attempts.contains_key(name) { name } else { OTHERS };
        match self.attempts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.attempts.insert(name.to_owned(), 1);
            }
        }
    }

    /// The counts so far.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            joined: self.joined,
            lost: self.lost,
            attempts_lost: self.attempts_lost,
            attempts: self.attempts.iter().map(|(name, count)| (name.clone(), *count)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_name_up_to_a_bound() {
        let mut counters = Counters::default();
        for number in 0..MOST_NAMES + 7 {
            counters.attempt_ended(&format!("w{number}"));
        }
        counters.attempt_ended("w0");
        let tally = counters.tally();
        let count = |name: &str| tally.attempts.iter().find(|(one, _)| one == name).map(|(_, count)| *count);
        assert_eq!(tally.attempts.len(), MOST_NAMES + 1);
        assert_eq!(count("w0"), Some(2));
        assert_eq!(count("w99"), Some(1));
        assert_eq!(count("w100"), None);
        assert_eq!(count(OTHERS), Some(7));
    }

    #[test]
    fn a_worker_may_have_the_name_of_the_others() {
        let mut counters = Counters::default();
        counters.attempt_ended(OTHERS);
        for number in 0..MOST_NAMES {
            counters.attempt_ended(&format!("w{number}"));
        }
        let tally = counters.tally();
        assert_eq!(tally.attempts.len(), MOST_NAMES);
        assert_eq!(tally.attempts.first(), Some(&(OTHERS.to_owned(), 2)));
    }
}
