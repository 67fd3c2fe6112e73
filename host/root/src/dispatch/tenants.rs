//! Queue of queries, fair between tenants. A tenant is an app as one caller uses it. All callers
//! with queries share the slot threads equally, and the apps of one caller share its part, however
//! many queries and apps a caller has (max-min fairness, then start-time fair queueing). The
//! queries of one tenant take turns (round robin).
//!
//! Leaves cannot be preempted, so one thread is reserved: while other tenants have queries, tenants
//! with long leaves hold at most all threads but one. The queries of the other tenants then never
//! wait for a leaf longer than [`LONG`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::request::Tenant as Name;

use super::round_robin::RoundRobin;
use super::shares::{Share, Shares};

/// Duration from which a leaf counts as long, and its tenant as one with long leaves.
const LONG: Duration = Duration::from_millis(250);
/// Time for which a tenant counts as active after its last query, and as one with long leaves.
const LATELY: Duration = Duration::from_secs(60);

/// Queries of all tenants, by caller.
#[derive(Debug)]
pub struct Tenants<Q> {
    all: Vec<Caller<Q>>,
    shares: Shares,
    /// Number of slot threads.
    threads: usize,
}

/// Queries of one caller, and its use of the slot threads.
#[derive(Debug)]
struct Caller<Q> {
    name: Arc<str>,
    tenants: Vec<Tenant<Q>>,
    share: Share,
    /// Shares of this caller's tenants.
    shares: Shares,
}

/// Queries of one tenant, and its use of the slot threads.
#[derive(Debug)]
struct Tenant<Q> {
    app: Arc<str>,
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
    pub fn new(threads: usize) -> Self {
        Self { all: Vec::new(), shares: Shares::default(), threads }
    }

    /// Sets the number of slot threads.
    pub fn set_threads(&mut self, threads: usize) {
        self.threads = threads;
    }

    /// Adds a query.
    pub fn push(&mut self, name: &Name, query: Q, now: Instant) {
        for caller in &mut self.all {
            caller.tenants.retain(|one| one.running > 0 || !one.queries.is_empty() || one.is_recent(now));
        }
        self.all.retain(|caller| !caller.tenants.is_empty());
        let at = self.all.iter().position(|one| one.name == name.caller).unwrap_or_else(|| {
            let name = name.caller.clone();
            self.all.push(Caller { name, tenants: Vec::new(), share: Share::default(), shares: Shares::default() });
            self.all.len() - 1
        });
        if let Some(caller) = self.all.get_mut(at) {
            caller.push(&name.app, query, now);
        }
    }

    /// Number of slot threads.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// Number of threads that run leaves.
    pub(super) fn running(&self) -> usize {
        self.all.iter().map(Caller::running).sum()
    }

    /// Iterates over all queries.
    pub fn iter(&self) -> impl Iterator<Item = &Q> {
        self.tenants().flat_map(|one| one.queries.iter())
    }

    /// Removes and returns the queries that are `over`.
    pub fn remove(&mut self, over: impl Fn(&Q) -> bool) -> Vec<Q> {
        let tenants = self.all.iter_mut().flat_map(|caller| &mut caller.tenants);
        tenants.flat_map(|one| one.queries.remove(&over)).collect()
    }

    /// Claims for a thread: from the caller that holds the fewest threads and, among equals, has
    /// the least leaf time; of its apps, from one chosen by the same rule.
    pub fn claim<R>(&mut self, now: Instant, mut claim: impl FnMut(&Q) -> Option<R>) -> Option<R> {
        for (caller, tenant) in self.order(now) {
            let Some(caller) = self.all.get_mut(caller) else { continue };
            let Some(tenant) = caller.tenants.get_mut(tenant) else { continue };
            if let Some(claimed) = tenant.queries.take(&mut claim) {
                tenant.running += 1;
                caller.shares.begin(&tenant.share);
                self.shares.begin(&caller.share);
                return Some(claimed);
            }
        }
        None
    }

    /// Returns the tenants that may run, as indexes of caller and tenant, the next one first.
    fn order(&self, now: Instant) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        for (at, caller) in self.all.iter().enumerate() {
            let of_caller = (caller.running(), self.shares.place(&caller.share));
            for (number, tenant) in caller.tenants.iter().enumerate() {
                if self.may_run(caller, tenant, now) {
                    let of_tenant = (tenant.running, caller.shares.place(&tenant.share));
                    order.push((of_caller, at, of_tenant, number));
                }
            }
        }
        order.sort();
        order.into_iter().map(|(_, at, _, number)| (at, number)).collect()
    }

    /// Accounts for a leaf that began without a claim here.
    pub fn begin(&mut self, name: &Name) {
        let Some(caller) = self.all.iter_mut().find(|one| one.name == name.caller) else { return };
        if let Some(tenant) = caller.tenants.iter_mut().find(|one| one.app == name.app) {
            tenant.running += 1;
            caller.shares.begin(&tenant.share);
            self.shares.begin(&caller.share);
        }
    }

    /// Returns true if a thread would find a query that is `open`.
    pub fn has_open(&self, now: Instant, open: impl Fn(&Q) -> bool) -> bool {
        self.all.iter().any(|caller| {
            let mut tenants = caller.tenants.iter();
            tenants.any(|one| one.queries.iter().any(&open) && self.may_run(caller, one, now))
        })
    }

    /// Accounts for a turn of `took` that began with a claim; `longest` is its longest leaf.
    pub fn ended(&mut self, name: &Name, took: Duration, longest: Duration, now: Instant) {
        let Some(caller) = self.all.iter_mut().find(|one| one.name == name.caller) else { return };
        caller.share.ran(took, 1);
        let Some(tenant) = caller.tenants.iter_mut().find(|one| one.app == name.app) else { return };
        tenant.running = tenant.running.saturating_sub(1);
        tenant.seen = now;
        tenant.share.ran(took, 1);
        tenant.is_known = true;
        if longest > LONG {
            tenant.long = Some(now);
        }
    }

    /// Returns true unless the tenant would take the thread that is reserved for others. A caller
    /// without a thread gets one for a tenant without a finished leaf; a caller with many new apps
    /// gets no more than that.
    fn may_run(&self, caller: &Caller<Q>, tenant: &Tenant<Q>, now: Instant) -> bool {
        let is_new = !tenant.is_known && caller.running() == 0;
        tenant.is_brief(now) || is_new || self.has_room_for_long(now) || !self.others_ask(tenant, now)
    }

    fn has_room_for_long(&self, now: Instant) -> bool {
        let long = self.tenants().filter(|one| !one.is_brief(now)).map(|one| one.running).sum::<usize>();
        long + 1 < self.threads.max(2)
    }

    fn others_ask(&self, tenant: &Tenant<Q>, now: Instant) -> bool {
        self.tenants().any(|other| !std::ptr::eq(other, tenant) && other.is_recent(now))
    }

    fn tenants(&self) -> impl Iterator<Item = &Tenant<Q>> {
        self.all.iter().flat_map(|caller| &caller.tenants)
    }
}

impl<Q: Clone> Caller<Q> {
    /// Adds a query of an app.
    fn push(&mut self, app: &Arc<str>, query: Q, now: Instant) {
        let at = self.tenants.iter().position(|one| one.app == *app).unwrap_or_else(|| {
            self.tenants.push(Tenant {
                app: app.clone(),
                queries: RoundRobin::default(),
                share: Share::default(),
                running: 0,
                seen: now,
                long: None,
                is_known: false,
            });
            self.tenants.len() - 1
        });
        if let Some(tenant) = self.tenants.get_mut(at) {
            tenant.seen = now;
            tenant.queries.push(query);
        }
    }
}

impl<Q> Caller<Q> {
    /// Number of threads that run its leaves.
    fn running(&self) -> usize {
        self.tenants.iter().map(|one| one.running).sum()
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
