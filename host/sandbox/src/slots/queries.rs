//! Queue of the slot threads: queries first, fair between tenants; then background work by weight.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use frond_root::Attempt;
use frond_root::dispatch::{Shares, Tenants};

use super::query::{Claim, Query, now};
use crate::placement::Parker;

/// Returns how many of `count` threads may run background work at once.
pub(super) fn behind(count: usize) -> usize {
    count.saturating_sub(1).max(1)
}

/// Queue of the slot threads.
pub(super) struct Queries {
    attached: Tenants<Arc<Query>>,
    background: Vec<Arc<Query>>,
    /// Shares of background work.
    shares: Shares,
    /// Attempts that were begun inline and are handed over to a slot thread.
    pub(super) handed: VecDeque<(Arc<Query>, Attempt)>,
    /// Idle threads, the most recently idle last.
    pub(super) idle: Vec<Arc<Parker>>,
    /// True while a leaf runs inline on its query's thread; one slot thread stays idle for it.
    pub(super) at_once: bool,
    /// Number of threads that may still begin background work. With several threads, one is
    /// reserved for queries.
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
            attached: Tenants::new(count),
            background: Vec::new(),
            shares: Shares::default(),
            handed: VecDeque::new(),
            idle: Vec::new(),
            at_once: false,
            behind: behind(count),
            count,
            stopping: false,
        }
    }

    /// Adds a query.
    pub(super) fn attach(&mut self, query: Arc<Query>) {
        if query.is_behind() {
            self.background.push(query);
        } else {
            let tenant = query.work.tenant().clone();
            self.attached.push(&tenant, query, now());
        }
    }

    /// Removes and returns the closed queries.
    pub(super) fn remove_closed(&mut self) -> Vec<Arc<Query>> {
        let mut gone = self.attached.remove(|query| query.work.is_closed());
        gone.extend(self.background.extract_if(.., |query| query.work.is_closed()));
        gone
    }

    /// Removes everything; the caller drops it outside the lock.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        let attached = std::mem::replace(&mut self.attached, Tenants::new(self.count));
        let attached = (attached, std::mem::take(&mut self.background));
        (attached, std::mem::take(&mut self.handed))
    }

    /// Claims the next attempt for a free thread.
    pub(super) fn next(&mut self, slot: u32) -> Option<(Arc<Query>, Claim)> {
        let handed = self.handed.pop_front().inspect(|(query, _)| self.attached.begin(query.work.tenant()));
        let handed = handed.map(|(query, attempt)| (query, Claim::New(attempt)));
        handed.or_else(|| self.claim(slot)).or_else(|| self.cut(slot)).or_else(|| self.claim_behind(slot))
    }

    /// Cuts a running share of a query, as no query has anything to claim.
    fn cut(&mut self, slot: u32) -> Option<(Arc<Query>, Claim)> {
        let cut = |query: &Arc<Query>| Some((query.clone(), Claim::New(query.cut(slot)?)));
        self.attached.claim(now(), cut)
    }

    /// Accounts for a finished turn.
    pub(super) fn ended(&mut self, turn: &Turn) {
        if turn.query.is_behind() {
            self.behind += 1;
        } else {
            self.attached.ended(turn.query.work.tenant(), turn.took, turn.longest, now());
        }
    }

    /// Claims from the queries.
    fn claim(&mut self, slot: u32) -> Option<(Arc<Query>, Claim)> {
        let claim = |query: &Arc<Query>| Some((query.clone(), query.claim(slot)?));
        self.attached.claim(now(), claim)
    }

    /// Claims for the background query with the least leaf time per weight.
    fn claim_behind(&mut self, slot: u32) -> Option<(Arc<Query>, Claim)> {
        if self.behind == 0 {
            return None;
        }
        let mut behind: Vec<_> = self.background.iter().filter(|query| query.is_open()).collect();
        behind.sort_by_key(|query| self.shares.place(&query.share));
        let claim = |query: &Arc<Query>| Some((query.clone(), query.claim(slot)?));
        let claimed = behind.into_iter().find_map(claim)?;
        self.shares.begin(&claimed.0.share);
        self.behind -= 1;
        Some(claimed)
    }

    /// Removes an idle thread to wake from the idle list, if there is more to claim: preferably one
    /// whose core is not the current one. The flag is true if the thread must wake on a separate
    /// core: a query of a single leaf ends before two threads compete for a core.
    pub(super) fn next_to_wake(&mut self) -> Option<(Arc<Parker>, bool)> {
        let last = self.idle.len().checked_sub(1).filter(|_| self.has_more())?;
        let at = self.idle.iter().rposition(|parker| parker.is_elsewhere()).unwrap_or(last);
        let many = |query: &Arc<Query>| query.work.only().is_none() && query.is_open();
        let apart = self.attached.iter().chain(&self.background).any(many);
        Some((self.idle.remove(at), apart))
    }

    /// Returns true if a free thread would find an attempt to claim.
    fn has_more(&self) -> bool {
        let open = |query: &Arc<Query>| query.is_open() || query.is_cuttable();
        !self.handed.is_empty()
            || self.attached.has_open(now(), open)
            || (self.behind > 0 && self.background.iter().any(open))
    }
}
