//! Queries whose leaves workers may run, and the order in which workers claim from them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use frond_root::dispatch::{ClaimOrder, ClaimSource, Share};
use frond_root::policy::credits;
use frond_root::{LeafRunner, Tenant, Ticket, Work};
use tokio::time::Instant;

use super::source::LeafSource;

/// Query whose leaves workers may run.
pub(super) struct Query {
    /// Its number, in every session.
    pub(super) number: u64,
    pub(super) work: Arc<dyn Work>,
    pub(super) source: Arc<LeafSource>,
    /// Runner of this process's slots.
    pub(super) local: Option<Arc<dyn LeafRunner>>,
    /// Use of the slots, for background work.
    share: Share,
    /// Time at which it ended.
    pub(super) stopped: OnceLock<Instant>,
    /// Moving average of a leaf's time in nanoseconds; 0 before the first.
    mean: AtomicU64,
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Query {
    pub(super) fn new(
        number: u64,
        work: Arc<dyn Work>,
        source: Arc<LeafSource>,
        local: Option<Arc<dyn LeafRunner>>,
    ) -> Self {
        Self { number, work, source, local, share: Share::default(), stopped: OnceLock::new(), mean: AtomicU64::new(0) }
    }

    /// Average time of a leaf; `None` before the first has ended.
    pub(super) fn mean(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.mean.load(Ordering::Relaxed))).filter(|mean| !mean.is_zero())
    }

    fn learn(&self, ran: Duration) {
        let mean = credits::mean(self.mean(), ran).as_nanos();
        self.mean.store(u64::try_from(mean).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl ClaimSource for Query {
    fn tenant(&self) -> &Tenant {
        self.work.tenant()
    }

    fn background(&self) -> Option<u32> {
        self.work.background()
    }

    fn share(&self) -> &Share {
        &self.share
    }

    fn running(&self) -> usize {
        self.work.running()
    }
}

/// All queries, in the order in which workers claim from them.
pub(super) struct Queries(ClaimOrder<Query>);

impl Queries {
    pub(super) fn new() -> Self {
        Self(ClaimOrder::new(1))
    }

    /// Sets the number of slots that share the queries.
    pub(super) fn set_slots(&mut self, slots: usize) {
        self.0.set_slots(slots);
    }

    pub(super) fn add(&mut self, query: Arc<Query>, now: Instant) {
        self.0.push(query, now);
    }

    /// Removes a query, and returns it.
    pub(super) fn remove(&mut self, number: u64) -> Vec<Arc<Query>> {
        self.0.remove(|one| one.number == number)
    }

    /// All queries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Query>> {
        self.0.iter()
    }

    /// Claims an attempt of a query that passes `may`. If there is none and the worker `is_idle`,
    /// cuts one, or else copies one of a partition of which the worker has none.
    pub(super) fn claim(
        &mut self,
        slot: u32,
        now: Instant,
        is_idle: bool,
        may: impl Fn(&Query) -> bool,
        has: impl Fn(&Query, u32) -> bool,
    ) -> Option<(Arc<Query>, Ticket)> {
        let claim = |query: &Arc<Query>| {
            let ticket = may(query).then(|| query.work.claim(slot, now)).flatten()?;
            Some((query.clone(), ticket))
        };
        let cut = |query: &Arc<Query>| {
            let ticket = (is_idle && may(query)).then(|| query.work.cut(slot, now)).flatten()?;
            Some((query.clone(), ticket))
        };
        let copy = |query: &Arc<Query>| {
            let may_copy = |partition| !has(query, partition);
            let ticket = (is_idle && may(query)).then(|| query.work.copy(slot, now, &may_copy)).flatten()?;
            Some((query.clone(), ticket))
        };
        self.0.claim(now, true, claim, cut, copy)
    }

    /// Accounts for an attempt that ended after `ran`, or was given back.
    pub(super) fn ended(&mut self, query: &Query, ran: Option<Duration>, now: Instant) {
        let took = ran.unwrap_or_default();
        self.0.ended(query, took, took, now);
        if let Some(ran) = ran {
            query.learn(ran);
        }
    }
}
