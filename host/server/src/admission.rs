//! Admission of queries, fair between tenants (a tenant is one app as used by one caller).
//! The rule is [`admit`]. Kept here are its inputs: the running queries, and the average cost of
//! each app's queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use frond_root::policy::admission::{Load, Reason, Refusal, Running, admit};

/// Running queries by tenant, and average costs by app.
pub(crate) struct Admission {
    slots: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    most: usize,
    next: u64,
    running: usize,
    /// Moving average of the slot time of a query, by app.
    costs: HashMap<String, Duration>,
    tenants: HashMap<Arc<str>, Tenant>,
}

/// Running queries of one tenant.
struct Tenant {
    running: BTreeMap<u64, Running>,
    ahead: Duration,
    /// Time of the last admission.
    admitted: Instant,
    /// Time of the last request or end of a query.
    seen: Instant,
}

/// Admitted query. Dropping it ends the query for admission.
pub(crate) struct Ticket {
    state: Arc<Mutex<State>>,
    tenant: Arc<str>,
    number: u64,
}

/// Why a query was refused, as text for its client.
pub(crate) fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::Places => "more is being asked than can be answered in time: as many queries run as may",
        Reason::Share => {
            "more is being asked than can be answered in time: this app has its share of the queries that may run"
        }
        Reason::Deadline => "more is being asked than can be answered in time: it would not end within its deadline",
        Reason::Earlier => {
            "more is being asked than can be answered in time: earlier queries would not end within theirs"
        }
    }
}

/// Weight of a new cost in the moving average.
const WEIGHT: f64 = 0.2;
/// Time for which a tenant without running queries is remembered.
const LATELY: Duration = Duration::from_secs(60);

impl Admission {
    pub(crate) fn new(slots: usize, most: usize) -> Self {
        let state = State { most, next: 0, running: 0, costs: HashMap::new(), tenants: HashMap::new() };
        Self { slots: slots.max(1), state: Arc::new(Mutex::new(state)) }
    }

    /// Sets the limit of concurrent queries.
    pub(crate) fn allow(&self, most: usize) {
        lock(&self.state).most = most;
    }

    /// Admits a query whose partials must be gathered within `budget`.
    pub(crate) fn admit(&self, app: &str, tenant: &Arc<str>, budget: Duration) -> Result<Ticket, Refusal> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let cost = state.costs.get(app).copied().unwrap_or_default();
        state.see(tenant, now);
        let load = state.load(tenant, self.slots, now);
        let running = admit(&load, cost, budget)?;
        state.next += 1;
        state.running += 1;
        let number = state.next;
        if let Some(tenant) = state.tenants.get_mut(tenant) {
            tenant.admitted = now;
            tenant.ahead += running.cost;
            tenant.running.insert(number, running);
        }
        Ok(Ticket { state: self.state.clone(), tenant: tenant.clone(), number })
    }

    /// Adds the slot time of a query to the moving average of its app.
    pub(crate) fn learn(&self, app: &str, took: Duration) {
        let mut state = lock(&self.state);
        match state.costs.get_mut(app) {
            Some(mean) => *mean = mean.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT),
            None => {
                state.costs.insert(app.to_owned(), took);
            }
        }
    }

    /// Total slot time still expected of the running queries, and the number of tenants that have
    /// any.
    pub(crate) fn ahead(&self) -> (Duration, usize) {
        let state = lock(&self.state);
        let active = state.tenants.values().filter(|one| !one.running.is_empty());
        active.fold((Duration::ZERO, 0), |(ahead, count), one| (ahead + one.ahead, count + 1))
    }
}

impl State {
    /// Marks a tenant as seen, and forgets tenants that have been idle for long.
    fn see(&mut self, tenant: &Arc<str>, now: Instant) {
        self.tenants.retain(|_, one| !one.running.is_empty() || now.saturating_duration_since(one.seen) < LATELY);
        let fresh = || Tenant { running: BTreeMap::new(), ahead: Duration::ZERO, admitted: now, seen: now };
        self.tenants.entry(tenant.clone()).or_insert_with(fresh).seen = now;
    }

    fn load(&self, tenant: &str, slots: usize, now: Instant) -> Load {
        let own = self.tenants.get(tenant);
        let others = self.tenants.iter().filter(|(name, _)| ***name != *tenant);
        Load {
            running: self.running,
            most: self.most,
            slots,
            own: own.map(|own| own.running.values().copied().collect()).unwrap_or_default(),
            is_shared: self.tenants.len() > 1,
            others: others.map(|(_, one)| one.ahead).filter(|ahead| !ahead.is_zero()).collect(),
            since_last_query: own.map_or(Duration::ZERO, |own| now.saturating_duration_since(own.admitted)),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.running = state.running.saturating_sub(1);
        let Some(tenant) = state.tenants.get_mut(&self.tenant) else { return };
        tenant.seen = Instant::now();
        if let Some(running) = tenant.running.remove(&self.number) {
            tenant.ahead = tenant.ahead.saturating_sub(running.cost);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
