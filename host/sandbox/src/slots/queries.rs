//! Queue of the slot threads: calls that were handed over first, then the order of claims.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use frond_root::Attempt;
use frond_root::dispatch::{ClaimOrder, most_background};

use super::query::{Claim, Query, now};
use crate::placement::Parker;

/// Queue of the slot threads.
pub(super) struct Queries {
    order: ClaimOrder<Query>,
    /// Attempts that were begun inline and are handed over to a slot thread.
    pub(super) handed: VecDeque<(Arc<Query>, Attempt)>,
    /// Idle threads, the most recently idle last.
    pub(super) idle: Vec<Arc<Parker>>,
    /// True while a leaf runs inline on its query's thread; one slot thread stays idle for it.
    pub(super) at_once: bool,
    /// Number of threads that run background work.
    behind: usize,
    count: usize,
    pub(super) stopping: bool,
}

/// Finished turn of a slot thread with one query.
pub(super) struct Turn {
    pub(super) query: Arc<Query>,
    pub(super) took: Duration,
    /// Duration of the longest leaf.
    pub(super) longest: Duration,
}

impl Queries {
    /// Makes an empty queue for `count` slot threads.
    pub(super) fn new(count: usize) -> Self {
        Self {
            order: ClaimOrder::new(count),
            handed: VecDeque::new(),
            idle: Vec::new(),
            at_once: false,
            behind: 0,
            count,
            stopping: false,
        }
    }

    /// Adds a query.
    pub(super) fn attach(&mut self, query: Arc<Query>) {
        self.order.push(query, now());
    }

    /// Removes and returns the closed queries.
    pub(super) fn remove_closed(&mut self) -> Vec<Arc<Query>> {
        self.order.remove(|query| query.work.is_closed())
    }

    /// Removes everything; the caller drops it outside the lock.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        let attached = std::mem::replace(&mut self.order, ClaimOrder::new(self.count));
        (attached, std::mem::take(&mut self.handed))
    }

    /// Claims the next attempt for a free thread.
    pub(super) fn next(&mut self, slot: u32) -> Option<(Arc<Query>, Claim)> {
        let handed = self.handed.pop_front().inspect(|(query, _)| self.order.begin(query));
        let handed = handed.map(|(query, attempt)| (query, Claim::New(attempt)));
        let next = handed.or_else(|| self.claim(slot))?;
        self.behind += usize::from(next.0.is_behind());
        Some(next)
    }

    /// Claims from the queries. If no query has anything to claim, cuts a running share, or else
    /// copies a slow attempt.
    fn claim(&mut self, slot: u32) -> Option<(Arc<Query>, Claim)> {
        let may_run_behind = self.may_run_behind();
        let claim = |query: &Arc<Query>| Some((query.clone(), query.claim(slot)?));
        let cut = |query: &Arc<Query>| Some((query.clone(), Claim::New(query.cut(slot)?)));
        let copy = |query: &Arc<Query>| Some((query.clone(), Claim::New(query.copy(slot)?)));
        self.order.claim(now(), may_run_behind, claim, cut, copy)
    }

    /// Returns true unless another thread with background work would take the one that is reserved.
    fn may_run_behind(&self) -> bool {
        self.behind < most_background(self.count)
    }

    /// Accounts for a finished turn.
    pub(super) fn ended(&mut self, turn: &Turn) {
        self.behind -= usize::from(turn.query.is_behind());
        self.order.ended(&turn.query, turn.took, turn.longest, now());
    }

    /// Removes an idle thread to wake from the idle list, if there is more to claim: preferably one
    /// whose core is not the current one. The flag is true if the thread must wake on a separate
    /// core: a query of a single leaf ends before two threads compete for a core.
    pub(super) fn next_to_wake(&mut self) -> Option<(Arc<Parker>, bool)> {
        let last = self.idle.len().checked_sub(1).filter(|_| self.has_more())?;
        let at = self.idle.iter().rposition(|parker| parker.is_elsewhere()).unwrap_or(last);
        let many = |query: &Arc<Query>| query.work.only().is_none() && query.is_open();
        let apart = self.order.iter().any(many);
        Some((self.idle.remove(at), apart))
    }

    /// Returns true if a free thread would find an attempt to claim.
    fn has_more(&self) -> bool {
        let open = |query: &Query| query.is_open() || query.is_cuttable() || query.is_copyable();
        !self.handed.is_empty() || self.order.has_open(now(), self.may_run_behind(), open)
    }
}
