//! The queue of the leaf threads: queries in turn, then background work by weight.

use std::collections::VecDeque;
use std::sync::Arc;

use frond_root::Attempt;

use super::{Query, now};
use crate::bed::Bed;
use crate::shares::Shares;
use crate::turns::Turns;

/// Number of threads, out of `count`, that may run background work at once.
pub(super) fn behind(count: usize) -> usize {
    count.saturating_sub(1).max(1)
}

/// Queue of the leaf threads.
#[derive(Default)]
pub(super) struct Queries {
    pub(super) attached: Turns<Arc<Query>>,
    /// Shares of background work.
    shares: Shares,
    /// Attempts that were begun elsewhere and are to be made here.
    pub(super) handed: VecDeque<(Arc<Query>, Attempt)>,
    /// Of threads that wait for something to claim, the last to have begun to at the end.
    pub(super) idle: Vec<Arc<Bed>>,
    /// True while a leaf runs on a thread of its query's: in the place of one that waits here.
    pub(super) at_once: bool,
    /// Threads that may still begin background work: one is left to queries, if there are several.
    pub(super) behind: usize,
    pub(super) stopping: bool,
}

impl Queries {
    /// Makes an empty queue for `count` threads.
    pub(super) fn new(count: usize) -> Self {
        Self { behind: behind(count), ..Self::default() }
    }

    /// The next attempt for a free thread, if there is one.
    pub(super) fn next(&mut self, slot: u32) -> Option<(Arc<Query>, Attempt)> {
        let handed = self.handed.pop_front();
        handed.or_else(|| self.claim(slot)).or_else(|| self.claim_behind(slot))
    }

    /// Claims from each query in turn.
    fn claim(&mut self, slot: u32) -> Option<(Arc<Query>, Attempt)> {
        self.attached.take(|query| {
            let first = !query.is_behind();
            first.then(|| query.scatter.claim(slot, now())).flatten().map(|attempt| (query.clone(), attempt))
        })
    }

    /// Claims from the background work that has had the least for its weight.
    fn claim_behind(&mut self, slot: u32) -> Option<(Arc<Query>, Attempt)> {
        if self.behind == 0 {
            return None;
        }
        let behind = |query: &&Arc<Query>| query.is_behind() && query.scatter.is_claimable();
        let mut behind: Vec<_> = self.attached.iter().filter(behind).collect();
        behind.sort_by_key(|query| self.shares.place(&query.share));
        let claim = |query: &Arc<Query>| Some((query.clone(), query.scatter.claim(slot, now())?));
        let claimed = behind.into_iter().find_map(claim)?;
        self.shares.begin(&claimed.0.share);
        self.behind -= 1;
        Some(claimed)
    }

    /// One that waits, if there is more to claim: one that does not wake where this thread runs, if there is a choice. True
    /// with it if it has to wake apart from the others: a query of a single leaf is over before two threads get in each
    /// other's way.
    pub(super) fn next_to_wake(&mut self) -> Option<(Arc<Bed>, bool)> {
        let last = self.idle.len().checked_sub(1).filter(|_| self.has_more())?;
        let at = self.idle.iter().rposition(|bed| bed.is_elsewhere()).unwrap_or(last);
        let many = |query: &Arc<Query>| query.scatter.plan().len() > 1 && self.is_open(query);
        let apart = self.attached.iter().any(many);
        Some((self.idle.remove(at), apart))
    }

    fn has_more(&self) -> bool {
        !self.handed.is_empty() || self.attached.iter().any(|query| self.is_open(query))
    }

    /// True if a thread that is free would find a leaf of it to run.
    fn is_open(&self, query: &Query) -> bool {
        (self.behind > 0 || !query.is_behind()) && query.scatter.is_claimable()
    }
}
