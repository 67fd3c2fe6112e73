//! Queue of queries, fair between tenants. A tenant is an app as one caller uses it: whatever many queries one of them has
//! under way, the leaf threads are shared equally between all that have any (max-min fairness, then start-time fair
//! queueing); the queries of one tenant take turns (round robin).
//!
//! Leaves cannot be preempted. So one thread is reserved: tenants whose leaves are long hold all but one while other tenants
//! ask, too. The queries of these then wait for no leaf that is longer than [`LONG`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::round_robin::RoundRobin;
use crate::shares::{Share, Shares};

/// Length of a leaf that makes its tenant one with long leaves.
pub(super) const LONG: Duration = Duration::from_millis(250);
/// Time for which a tenant is remembered: as one that asks, and as one with long leaves.
pub(super) const LATELY: Duration = Duration::from_secs(60);

/// Queries of all tenants.
#[derive(Debug)]
pub(super) struct Tenants<Q> {
    all: Vec<Tenant<Q>>,
    shares: Shares,
    /// Threads that there are.
    threads: usize,
}

/// Queries of one tenant, and its use of the leaf threads.
#[derive(Debug)]
struct Tenant<Q> {
    name: Arc<str>,
    queries: RoundRobin<Q>,
    share: Share,
    /// Threads that run its leaves.
    running: usize,
    /// Time of the last arrival of a query, or end of a turn.
    seen: Instant,
    /// Time of the last end of a long leaf.
    long: Option<Instant>,
    /// True once a leaf of it has ended.
    is_known: bool,
}

impl<Q: Clone> Tenants<Q> {
    /// Queue for so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { all: Vec::new(), shares: Shares::default(), threads }
    }

    /// Adds a query.
    pub(super) fn push(&mut self, name: &Arc<str>, query: Q, now: Instant) {
        self.all.retain(|one| one.running > 0 || !one.queries.is_empty() || one.is_recent(now));
        let at = self.all.iter().position(|one| one.name == *name).unwrap_or_else(|| {
            self.all.push(Tenant {
                name: name.clone(),
                queries: RoundRobin::default(),
                share: Share::default(),
                running: 0,
                seen: now,
                long: None,
                is_known: false,
            });
            self.all.len() - 1
        });
        if let Some(tenant) = self.all.get_mut(at) {
            tenant.seen = now;
            tenant.queries.push(query);
        }
    }

    /// All queries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Q> {
        self.all.iter().flat_map(|one| one.queries.iter())
    }

    /// Takes out the queries that are `over`.
    pub(super) fn remove(&mut self, over: impl Fn(&Q) -> bool) -> Vec<Q> {
        self.all.iter_mut().flat_map(|one| one.queries.remove(&over)).collect()
    }

    /// Claims for a thread: from the tenant that holds the fewest threads and has had the least time, in turn.
    pub(super) fn claim<R>(&mut self, now: Instant, mut claim: impl FnMut(&Q) -> Option<R>) -> Option<R> {
        let mut order: Vec<usize> = (0..self.all.len()).filter(|at| self.may_run(*at, now)).collect();
        if order.len() > 1 {
            order.sort_by_key(|at| self.all.get(*at).map(|one| (one.running, self.shares.place(&one.share))));
        }
        for at in order {
            let Some(tenant) = self.all.get_mut(at) else { continue };
            if let Some(claimed) = tenant.queries.take(&mut claim) {
                tenant.running += 1;
                self.shares.begin(&tenant.share);
                return Some(claimed);
            }
        }
        None
    }

    /// Accounts for a leaf that was begun without a claim here.
    pub(super) fn begin(&mut self, name: &str) {
        if let Some(tenant) = self.all.iter_mut().find(|one| *one.name == *name) {
            tenant.running += 1;
            self.shares.begin(&tenant.share);
        }
    }

    /// True if a thread would find a query that is `open`.
    pub(super) fn has_open(&self, now: Instant, open: impl Fn(&Q) -> bool) -> bool {
        (0..self.all.len()).any(|at| {
            let mut queries = self.all.get(at).into_iter().flat_map(|one| one.queries.iter());
            queries.any(&open) && self.may_run(at, now)
        })
    }

    /// Accounts for a turn of `took` that began with a claim; `longest` is that of its leaves.
    pub(super) fn ended(&mut self, name: &str, took: Duration, longest: Duration, now: Instant) {
        let Some(tenant) = self.all.iter_mut().find(|one| *one.name == *name) else { return };
        tenant.running = tenant.running.saturating_sub(1);
        tenant.seen = now;
        tenant.share.ran(took, 1);
        tenant.is_known = true;
        if longest > LONG {
            tenant.long = Some(now);
        }
    }

    /// True unless the tenant would take the thread that is reserved for others. One that nothing is known of gets one leaf.
    fn may_run(&self, at: usize, now: Instant) -> bool {
        let Some(tenant) = self.all.get(at) else { return false };
        let is_new = !tenant.is_known && tenant.running == 0;
        tenant.is_brief(now) || is_new || self.has_room_for_long(now) || !self.others_ask(at, now)
    }

    fn has_room_for_long(&self, now: Instant) -> bool {
        let long = self.all.iter().filter(|one| !one.is_brief(now)).map(|one| one.running).sum::<usize>();
        long + 1 < self.threads.max(2)
    }

    fn others_ask(&self, at: usize, now: Instant) -> bool {
        self.all.iter().enumerate().any(|(other, one)| other != at && one.is_recent(now))
    }
}

impl<Q> Tenant<Q> {
    fn is_recent(&self, now: Instant) -> bool {
        self.running > 0 || now.saturating_duration_since(self.seen) < LATELY
    }

    /// False for tenants that nothing is known of.
    fn is_brief(&self, now: Instant) -> bool {
        self.is_known && self.long.is_none_or(|long| now.saturating_duration_since(long) >= LATELY)
    }
}

#[cfg(test)]
mod tests;
