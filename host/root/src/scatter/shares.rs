//! Running shares of one query, numbers of further attempts, and what a cut costs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::cutting::{MAX_PIECES, choose};
use crate::share::{Pace, Share, Stretch};
use crate::work::AttemptId;

/// The most measured times from a claim to the first piece.
const STARTS: usize = 15;

/// Running shares, numbers of further attempts, and what a cut costs.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Ordered, so that the choice between equal rests is always the same.
    running: BTreeMap<AttemptId, Arc<Share>>,
    /// The highest number of the partitions that have more than one attempt.
    numbers: HashMap<u32, u32>,
    /// Number of cuts by partition.
    cuts: HashMap<u32, u32>,
    /// Latest times from a claim to the first piece.
    starts: VecDeque<Duration>,
    /// Moving average of a merge's time.
    merge: Duration,
}

impl Shares {
    /// Number of the next attempt at a partition that has had one.
    pub(super) fn number(&mut self, partition: u32) -> u32 {
        let number = self.numbers.entry(partition).or_insert(1);
        *number += 1;
        *number
    }

    pub(super) fn insert(&mut self, id: AttemptId, share: Arc<Share>) {
        self.running.insert(id, share);
    }

    /// Share of a running attempt.
    pub(super) fn get(&self, id: AttemptId) -> Option<Arc<Share>> {
        self.running.get(&id).cloned()
    }

    /// True if a running attempt is copied, or a copy.
    pub(super) fn is_copied(&self, id: AttemptId) -> bool {
        self.running.get(&id).is_some_and(|share| share.is_copied())
    }

    pub(super) fn remove(&mut self, id: AttemptId) {
        self.running.remove(&id);
    }

    /// Records the time from a claim to the first piece.
    pub(super) fn started(&mut self, took: Duration) {
        if self.starts.len() == STARTS {
            self.starts.pop_front();
        }
        self.starts.push_back(took);
    }

    /// Records the time of a merge.
    pub(super) fn merged(&mut self, took: Duration) {
        self.merge = if self.merge.is_zero() { took } else { (self.merge * 7 + took) / 8 };
    }

    /// Price of a cut: the median time from a claim to the first piece, and one more merge.
    fn price(&self) -> Duration {
        let mut starts: Vec<_> = self.starts.iter().copied().collect();
        starts.sort_unstable();
        starts.get(starts.len() / 2).copied().unwrap_or_default() + self.merge
    }

    /// The attempt whose share is to be cut.
    pub(super) fn to_cut(&self, now: Instant) -> Option<AttemptId> {
        let few = |id: &AttemptId| self.cuts.get(&id.partition).is_none_or(|cuts| *cuts < MAX_PIECES);
        let pace = |(id, share): (&AttemptId, &Arc<Share>)| -> Option<(AttemptId, Pace)> {
            Some((*id, share.pace(now).filter(|_| few(id))?))
        };
        choose(self.running.iter().filter_map(pace), self.price())
    }

    /// Cuts the share with the longest expected rest. Returns the attempt that had it, and what is
    /// cut off.
    pub(super) fn cut(&mut self, now: Instant) -> Option<(AttemptId, Stretch)> {
        let from = self.to_cut(now)?;
        let stretch = self.running.get(&from)?.cut()?;
        *self.cuts.entry(from.partition).or_default() += 1;
        Some((from, stretch))
    }
}
