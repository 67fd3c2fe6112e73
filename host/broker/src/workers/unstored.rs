//! Attempts of queries with a memo that the root has not stored, with the workers that keep their
//! partials.

use std::collections::BTreeMap;

use frond_root::{AttemptId, StoredAttempt};

use crate::frames::{AttemptOf, StoredPartial};

/// Attempts that are not stored, with their workers.
#[derive(Debug, Default)]
pub(super) struct UnstoredAttempts(BTreeMap<(u64, AttemptId), u64>);

/// Position of an attempt.
fn position(of: &AttemptOf) -> (u64, AttemptId) {
    (of.query, AttemptId { partition: of.partition, number: of.number })
}

impl UnstoredAttempts {
    /// Adds an attempt that a worker gets.
    pub(super) fn add(&mut self, of: &AttemptOf, worker: u64) {
        self.0.insert(position(of), worker);
    }

    /// Removes an attempt that did not begin.
    pub(super) fn remove(&mut self, of: &AttemptOf) {
        self.0.remove(&position(of));
    }

    /// Removes the attempts of a query that is over.
    pub(super) fn stop(&mut self, query: u64) {
        let mut later = self.0.split_off(&(query, AttemptId { partition: 0, number: 0 }));
        self.0.append(&mut later.split_off(&(query + 1, AttemptId { partition: 0, number: 0 })));
    }

    /// Removes the attempts of a worker that is lost.
    pub(super) fn lose(&mut self, worker: u64) {
        self.0.retain(|_, of| *of != worker);
    }

    /// Notes which attempts of a query are stored. Returns what their workers are to hear.
    pub(super) fn stored(&mut self, query: u64, attempts: &[StoredAttempt]) -> BTreeMap<u64, Vec<StoredPartial>> {
        let mut told: BTreeMap<u64, Vec<StoredPartial>> = BTreeMap::new();
        for StoredAttempt { id, until } in attempts {
            let at = (query, *id);
            let worker = if until.is_some() { self.0.get(&at).copied() } else { self.0.remove(&at) };
            if let Some(worker) = worker {
                let of = AttemptOf { query, partition: id.partition, number: id.number };
                told.entry(worker).or_default().push(StoredPartial { of, until: *until });
            }
        }
        told
    }
}
