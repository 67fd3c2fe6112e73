//! Account of the workers of one query.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The most workers that an account names.
pub const MAX_NAMED_WORKERS: usize = 8;
/// The most workers of one query whose attempts are counted by name.
const MOST_NAMES: usize = 1000;

/// Account of the workers of one query.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerAccount {
    /// Workers that were there when the leaves began, or joined while they ran. One that joins
    /// again counts again.
    pub joined: u64,
    /// Workers that were lost meanwhile, without a drain.
    pub lost: u64,
    /// Attempts that began on workers.
    pub attempts: u64,
    /// Attempts that were lost with their worker, and ran again.
    pub attempts_lost: u64,
    /// Units that were handed out once more because of that.
    pub units_redone: u64,
    /// Workers with the most attempts, at most [`MAX_NAMED_WORKERS`], by falling number of
    /// attempts.
    pub named: Vec<WorkerShare>,
    /// Number of workers with attempts that `named` leaves out.
    pub omitted: u64,
}

/// Part of one worker in a query.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerShare {
    /// Name of the worker.
    pub name: String,
    /// Attempts that began on it.
    pub attempts: u64,
}

/// Counters behind a [`WorkerAccount`].
#[derive(Debug, Default)]
pub(crate) struct WorkerCounts {
    attempts: u64,
    by_name: BTreeMap<Arc<str>, u64>,
    pub(crate) attempts_lost: u64,
    pub(crate) units_redone: u64,
    pub(crate) joined: u64,
    pub(crate) lost: u64,
}

impl WorkerCounts {
    /// Sets the numbers of workers that were there so far, and of those of them that were lost.
    pub(crate) fn had(&mut self, joined: u64, lost: u64) {
        self.joined = joined;
        self.lost = lost;
    }

    /// Counts an attempt that began on the worker of this name.
    pub(crate) fn started(&mut self, worker: &Arc<str>) {
        self.attempts += 1;
        if let Some(count) = self.by_name.get_mut(worker) {
            *count += 1;
        } else if self.by_name.len() < MOST_NAMES {
            self.by_name.insert(worker.clone(), 1);
        }
    }

    /// The account; `None` if there was no worker.
    pub(crate) fn account(&self) -> Option<Box<WorkerAccount>> {
        let Self { attempts, by_name, attempts_lost, units_redone, joined, lost } = self;
        if *joined == 0 && *attempts == 0 {
            return None;
        }
        let share = |(name, attempts): (&Arc<str>, &u64)| WorkerShare { name: name.to_string(), attempts: *attempts };
        let mut named: Vec<_> = by_name.iter().map(share).collect();
        named.sort_by_key(|one| std::cmp::Reverse(one.attempts));
        let omitted = named.len().saturating_sub(MAX_NAMED_WORKERS) as u64;
        named.truncate(MAX_NAMED_WORKERS);
        Some(Box::new(WorkerAccount {
            joined: *joined,
            lost: *lost,
            attempts: *attempts,
            attempts_lost: *attempts_lost,
            units_redone: *units_redone,
            named,
            omitted,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_with_the_most_attempts_are_named() {
        let mut counts = WorkerCounts::default();
        assert_eq!(counts.account(), None);
        for worker in 0..2 * MOST_NAMES {
            counts.started(&format!("w{worker:04}").into());
        }
        (0..5).for_each(|_| counts.started(&"w0007".into()));
        let account = counts.account().unwrap();
        assert_eq!(account.attempts, 2 * MOST_NAMES as u64 + 5);
        let names: Vec<_> = account.named.iter().map(|one| (one.name.as_str(), one.attempts)).collect();
        let first = [("w0007", 6), ("w0000", 1), ("w0001", 1), ("w0002", 1)];
        assert_eq!((names.len(), &names[..4]), (MAX_NAMED_WORKERS, &first[..]));
        assert_eq!(account.omitted, (MOST_NAMES - MAX_NAMED_WORKERS) as u64);
    }

    #[test]
    fn workers_without_attempts_are_in_the_account() {
        let counts = WorkerCounts { joined: 2, lost: 1, ..WorkerCounts::default() };
        let account = counts.account().unwrap();
        assert_eq!((account.joined, account.lost, account.attempts), (2, 1, 0));
    }
}
