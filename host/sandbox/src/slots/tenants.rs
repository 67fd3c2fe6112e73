//! Queue of queries, fair between tenants. A tenant is an app as one caller uses it. However many
//! queries a tenant has, all tenants with queries share the slot threads equally (max-min fairness,
//! then start-time fair queueing). The queries of one tenant take turns (round robin).
//!
//! Leaves cannot be preempted, so one thread is reserved: while other tenants have queries, tenants
//! with long leaves hold at most all threads but one. The queries of the other tenants then never
//! wait for a leaf longer than [`LONG`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::round_robin::RoundRobin;
use crate::shares::{Share, Shares};

/// Duration from which a leaf counts as long, and its tenant as one with long leaves.
pub(super) const LONG: Duration = Duration::from_millis(250);
/// Time for which a tenant counts as active after its last query, and as one with long leaves.
pub(super) const LATELY: Duration = Duration::from_secs(60);

/// Queries of all tenants.
#[derive(Debug)]
pub(super) struct Tenants<Q> {
    all: Vec<Tenant<Q>>,
    shares: Shares,
    /// Number of slot threads.
    threads: usize,
}

/// Queries of one tenant, and its use of the slot threads.
#[derive(Debug)]
struct Tenant<Q> {
    name: Arc<str>,
    queries: RoundRobin<Q>,
    share: Share,
    /// Number of threads that run its leaves.
    running: usize,
    /// Time of the last arrival of a query or end of a turn.
    seen: Instant,
    /// Time of the last end of a long leaf.
    long: Option<Instant>,
    /// True once one of its leaves has ended.
    is_known: bool,
}

impl<Q: Clone> Tenants<Q> {
    /// Makes an empty queue for this many slot threads.
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

    /// Iterates over all queries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Q> {
        self.all.iter().flat_map(|one| one.queries.iter())
    }

    /// Removes and returns the queries that are `over`.
    pub(super) fn remove(&mut self, over: impl Fn(&Q) -> bool) -> Vec<Q> {
        self.all.iter_mut().flat_map(|one| one.queries.remove(&over)).collect()
    }

    /// Claims for a thread: from the tenant that holds the fewest threads and, among equals, has
    /// the least leaf time.
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

    /// Accounts for a leaf that began without a claim here.
    pub(super) fn begin(&mut self, name: &str) {
        if let Some(tenant) = self.all.iter_mut().find(|one| *one.name == *name) {
            tenant.running += 1;
            self.shares.begin(&tenant.share);
        }
    }

    /// Returns true if a thread would find a query that is `open`.
    pub(super) fn has_open(&self, now: Instant, open: impl Fn(&Q) -> bool) -> bool {
        (0..self.all.len()).any(|at| {
            let mut queries = self.all.get(at).into_iter().flat_map(|one| one.queries.iter());
            queries.any(&open) && self.may_run(at, now)
        })
    }

    /// Accounts for a turn of `took` that began with a claim; `longest` is its longest leaf.
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

    /// Returns true unless the tenant would take the thread that is reserved for others. A tenant
    /// without a finished leaf gets one thread.
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

    /// Returns true for a tenant without recent long leaves. False before its first leaf has ended.
    fn is_brief(&self, now: Instant) -> bool {
        self.is_known && self.long.is_none_or(|long| now.saturating_duration_since(long) >= LATELY)
    }
}

#[cfg(test)]
mod tests;
