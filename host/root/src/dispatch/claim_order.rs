//! Order of claims between all queries of a runner: foreground queries, fair between tenants; once
//! they have nothing to claim, a cut of one of them, or else a copy of a slow attempt; then the
//! same of background work, by weight. Background work never keeps a foreground query from a slot
//! that could help it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shares::{Share, Shares};
use super::tenants::Tenants;
use crate::policy::hedge::leaves_room;
use crate::request::Tenant;

/// Query that slots claim from.
pub trait ClaimSource {
    /// Fair-share group of the query.
    fn tenant(&self) -> &Tenant;

    /// Weight of a background query; `None` for a foreground query.
    fn background(&self) -> Option<u32>;

    /// Use of the slots, as background work. Only the order accounts for it.
    fn share(&self) -> &Share;

    /// Number of its attempts that have not ended.
    fn running(&self) -> usize;
}

/// Queries of a runner, in the order in which a free slot claims from them.
#[derive(Debug)]
pub struct ClaimOrder<Q> {
    foreground: Tenants<Arc<Q>>,
    background: Vec<Arc<Q>>,
    shares: Shares,
}

impl<Q: ClaimSource> ClaimOrder<Q> {
    /// Makes an empty order for this many slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { foreground: Tenants::new(slots), background: Vec::new(), shares: Shares::default() }
    }

    /// Sets the number of slots.
    pub fn set_slots(&mut self, slots: usize) {
        self.foreground.set_threads(slots);
    }

    /// Adds a query.
    pub fn push(&mut self, query: Arc<Q>, now: Instant) {
        if query.background().is_some() {
            self.background.push(query);
        } else {
            let tenant = query.tenant().clone();
            self.foreground.push(&tenant, query, now);
        }
    }

    /// Removes and returns the queries that are `over`.
    pub fn remove(&mut self, over: impl Fn(&Q) -> bool) -> Vec<Arc<Q>> {
        let mut removed = self.foreground.remove(|query| over(query));
        removed.extend(self.background.extract_if(.., |query| over(query)));
        removed
    }

    /// Iterates over all queries, foreground queries first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Q>> {
        self.foreground.iter().chain(&self.background)
    }

    /// Claims for a free slot: with `claim` from the first foreground query that has something, or
    /// else with `cut`, or else with `copy`; then in the same way from background work, if the slot
    /// `may_run_background`. Nothing is copied while other queries' leaves have most of the slots.
    pub fn claim<R>(
        &mut self,
        now: Instant,
        may_run_background: bool,
        mut claim: impl FnMut(&Arc<Q>) -> Option<R>,
        mut cut: impl FnMut(&Arc<Q>) -> Option<R>,
        mut copy: impl FnMut(&Arc<Q>) -> Option<R>,
    ) -> Option<R> {
        let running = self.foreground.running();
        let slots = self.foreground.threads();
        let mut copy = |query: &Arc<Q>| {
            let own = if query.background().is_some() { 0 } else { query.running() };
            leaves_room(running.saturating_sub(own), slots).then(|| copy(query)).flatten()
        };
        let foreground = &mut self.foreground;
        if let Some(taken) = foreground.claim(now, &mut claim).or_else(|| foreground.claim(now, &mut cut)) {
            return Some(taken);
        }
        if let Some(taken) = foreground.claim(now, &mut copy) {
            return Some(taken);
        }
        if !may_run_background {
            return None;
        }
        self.first_background(claim).or_else(|| self.first_background(cut)).or_else(|| self.first_background(copy))
    }

    /// Takes from the background query with the least leaf time per weight.
    fn first_background<R>(&mut self, mut take: impl FnMut(&Arc<Q>) -> Option<R>) -> Option<R> {
        let mut order: Vec<_> = self.background.iter().collect();
        // Leaves that end meanwhile change the places.
        order.sort_by_cached_key(|query| self.shares.place(query.share()));
        let (query, taken) = order.into_iter().find_map(|query| Some((query, take(query)?)))?;
        self.shares.begin(query.share());
        Some(taken)
    }

    /// Accounts for a turn that began without a claim here.
    pub fn begin(&mut self, query: &Q) {
        match query.background() {
            Some(_) => self.shares.begin(query.share()),
            None => self.foreground.begin(query.tenant()),
        }
    }

    /// Accounts for a turn of `took` that began with a claim; `longest` is its longest leaf.
    pub fn ended(&mut self, query: &Q, took: Duration, longest: Duration, now: Instant) {
        match query.background() {
            Some(weight) => query.share().ran(took, weight),
            None => self.foreground.ended(query.tenant(), took, longest, now),
        }
    }

    /// Returns true if a free slot would find a query that is `open`.
    pub fn has_open(&self, now: Instant, may_run_background: bool, open: impl Fn(&Q) -> bool) -> bool {
        self.foreground.has_open(now, |query| open(query))
            || (may_run_background && self.background.iter().any(|query| open(query)))
    }
}

/// The most of `slots` slots that run background work at once. With several slots, one is reserved
/// for foreground queries.
#[must_use]
pub fn most_background(slots: usize) -> usize {
    slots.saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests;
