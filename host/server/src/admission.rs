//! Admission of queries, fair between tenants (a tenant is one app as used by one caller).
//! The rule is [`admit`]. Kept here are its inputs: the running queries, and the average cost of
//! each app's queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frond_root::Tenant;
use frond_root::policy::admission::{Load, Reason, Refusal, Running, admit};
use parking_lot::Mutex;

/// Running queries by tenant, and average costs by app.
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
}

/// Running queries by tenant, and the costs of past ones by app.
struct State {
    most: usize,
    next: u64,
    running: usize,
    /// Moving average of the slot time of a query, by app.
    costs: HashMap<String, Duration>,
    tenants: HashMap<Tenant, Queries>,
}

/// Running queries of one tenant.
struct Queries {
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
    tenant: Tenant,
    number: u64,
}

/// Why a query was refused, as text for its client.
pub(crate) fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::Places => {
            "too many queries to answer in time: as many run as the server allows\n(`limits.queries` in the server's settings)"
        }
        Reason::Share => {
            "too many queries to answer in time: this app, or its caller, has its share of the running queries\n\
             (`limits.queries` in the server's settings)"
        }
        Reason::Deadline => "too many queries to answer in time: this query would miss its deadline",
        Reason::Earlier => "too many queries to answer in time: earlier queries would miss their deadlines",
    }
}

/// Weight of a new cost in the moving average.
const WEIGHT: f64 = 0.2;
/// Time for which a tenant without running queries is remembered.
const LATELY: Duration = Duration::from_secs(60);

impl Admission {
    pub(crate) fn new(most: usize) -> Self {
        let state = State { most, next: 0, running: 0, costs: HashMap::new(), tenants: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets the limit of concurrent queries.
    pub(crate) fn allow(&self, most: usize) {
        self.state.lock().most = most;
    }

    /// Admits a query whose partials must be gathered within `budget`, while so many slots run the
    /// leaves of all queries.
    pub(crate) fn admit(&self, app: &str, tenant: &Tenant, budget: Duration, slots: usize) -> Result<Ticket, Refusal> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let cost = state.costs.get(app).copied().unwrap_or_default();
        state.see(tenant, now);
        let load = state.load(tenant, slots.max(1), now);
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
        let mut state = self.state.lock();
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
        let state = self.state.lock();
        let active = state.tenants.values().filter(|one| !one.running.is_empty());
        active.fold((Duration::ZERO, 0), |(ahead, count), one| (ahead + one.ahead, count + 1))
    }
}

impl State {
    /// Marks a tenant as seen, and forgets tenants that have been idle for long.
    fn see(&mut self, tenant: &Tenant, now: Instant) {
        self.tenants.retain(|_, one| !one.running.is_empty() || now.saturating_duration_since(one.seen) < LATELY);
        let fresh = || Queries { running: BTreeMap::new(), ahead: Duration::ZERO, admitted: now, seen: now };
        self.tenants.entry(tenant.clone()).or_insert_with(fresh).seen = now;
    }

    fn load(&self, tenant: &Tenant, slots: usize, now: Instant) -> Load {
        let own = self.tenants.get(tenant);
        // The apps of another caller are one load: many apps are no more than one.
        let mut others: HashMap<(&str, &str), Duration> = HashMap::new();
        let mut held = 0;
        let mut is_shared = false;
        for (other, queries) in &self.tenants {
            let is_own_caller = other.caller == tenant.caller;
            held += if is_own_caller { queries.running.len() } else { 0 };
            is_shared |= !is_own_caller;
            if other != tenant {
                let app = if is_own_caller { &*other.app } else { "" };
                *others.entry((&*other.caller, app)).or_default() += queries.ahead;
            }
        }
        Load {
            running: self.running,
            most: self.most,
            slots,
            own: own.map(|own| own.running.values().copied().collect()).unwrap_or_default(),
            held,
            others: others.into_values().filter(|ahead| !ahead.is_zero()).collect(),
            is_shared,
            since_last_query: own.map_or(Duration::ZERO, |own| now.saturating_duration_since(own.admitted)),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        let Some(tenant) = state.tenants.get_mut(&self.tenant) else { return };
        tenant.seen = Instant::now();
        if let Some(running) = tenant.running.remove(&self.number) {
            tenant.ahead = tenant.ahead.saturating_sub(running.cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tenant(caller: &str, app: &str) -> Tenant {
        Tenant { caller: Arc::from(caller), app: Arc::from(app) }
    }

    /// Admission with 2 slots for 64 queries, of apps whose queries cost a second each.
    fn admission() -> Admission {
        let admission = Admission::new(64);
        ["a", "b", "c", "d"].iter().for_each(|app| admission.learn(app, SECOND));
        admission
    }

    #[test]
    fn many_apps_of_one_caller_are_one_load_to_others() {
        let admission = admission();
        let held: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .map(|app| admission.admit(app, &tenant("crowd", app), 60 * SECOND, 2).unwrap())
            .collect();
        let load = admission.state.lock().load(&tenant("quiet", "a"), 2, Instant::now());
        assert_eq!((load.held, load.is_shared, load.others), (0, true, vec![4 * SECOND]));
        let mut load = admission.state.lock().load(&tenant("crowd", "a"), 2, Instant::now());
        load.others.sort();
        assert_eq!((load.held, load.is_shared, load.others), (4, false, vec![SECOND; 3]));
        drop(held);
        assert_eq!(admission.ahead(), (Duration::ZERO, 0));
    }

    #[test]
    fn a_caller_holds_no_more_places_than_it_leaves_whatever_apps_it_uses() {
        let admission = Admission::new(8);
        let quiet = admission.admit("a", &tenant("quiet", "a"), 60 * SECOND, 2).unwrap();
        let names: Vec<String> = (0..8).map(|number| format!("app-{number}")).collect();
        let admitted = names.iter().map(|app| admission.admit(app, &tenant("crowd", app), 60 * SECOND, 2));
        let admitted: Vec<_> = admitted.collect();
        assert_eq!(admitted.iter().filter(|one| one.is_ok()).count(), 4);
        assert!(admitted.iter().flat_map(|one| one.as_ref().err()).all(|one| one.reason == Reason::Share));
        drop(quiet);
    }
}
