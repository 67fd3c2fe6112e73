//! Admission of queries, fair between tenants: the rule [`admit`], with its inputs: the running
//! queries, and the average cost of each app's queries.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::admission::{Load, Refusal, Running, admit};
use crate::request::Tenant;

/// Weight of a new cost in the moving average.
const WEIGHT: f64 = 0.2;
/// Time for which a tenant without running queries is remembered.
const LATELY: Duration = Duration::from_secs(60);

/// Admitted queries by tenant, and the costs of past ones by app.
#[derive(Debug)]
pub struct Admitted {
    most: usize,
    next: u64,
    running: usize,
    /// Moving average of the slot time of a query, by app.
    costs: HashMap<String, Duration>,
    tenants: HashMap<Tenant, Queries>,
}

/// Running queries of one tenant.
#[derive(Debug)]
struct Queries {
    running: BTreeMap<u64, Running>,
    ahead: Duration,
    /// Time of the last admission.
    admitted: Instant,
    /// Time of the last request or end of a query.
    seen: Instant,
}

impl Admitted {
    /// No queries yet, of which at most `most` run at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, next: 0, running: 0, costs: HashMap::new(), tenants: HashMap::new() }
    }

    /// Sets the limit of concurrent queries.
    pub fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Admits a query whose partials must be gathered within `budget`, while so many slots run the
    /// leaves of all queries. Returns its number.
    ///
    /// # Errors
    /// A [`Refusal`] with its reason.
    pub fn admit(
        &mut self,
        app: &str,
        tenant: &Tenant,
        budget: Duration,
        slots: usize,
        now: Instant,
    ) -> Result<u64, Refusal> {
        let cost = self.costs.get(app).copied().unwrap_or_default();
        self.see(tenant, now);
        let load = self.load(tenant, slots.max(1), now);
        let running = admit(&load, cost, budget)?;
        self.next += 1;
        self.running += 1;
        if let Some(tenant) = self.tenants.get_mut(tenant) {
            tenant.admitted = now;
            tenant.ahead += running.cost;
            tenant.running.insert(self.next, running);
        }
        Ok(self.next)
    }

    /// Removes an admitted query that has ended.
    pub fn ended(&mut self, tenant: &Tenant, number: u64, now: Instant) {
        self.running = self.running.saturating_sub(1);
        let Some(tenant) = self.tenants.get_mut(tenant) else { return };
        tenant.seen = now;
        if let Some(running) = tenant.running.remove(&number) {
            tenant.ahead = tenant.ahead.saturating_sub(running.cost);
        }
    }

    /// Adds the slot time of a query to the moving average of its app.
    pub fn learn(&mut self, app: &str, took: Duration) {
        match self.costs.get_mut(app) {
            Some(mean) => *mean = mean.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT),
            None => {
                self.costs.insert(app.to_owned(), took);
            }
        }
    }

    /// Total slot time still expected of the running queries, and the number of tenants that have
    /// any.
    #[must_use]
    pub fn ahead(&self) -> (Duration, usize) {
        let active = self.tenants.values().filter(|one| !one.running.is_empty());
        active.fold((Duration::ZERO, 0), |(ahead, count), one| (ahead + one.ahead, count + 1))
    }

    /// Marks a tenant as seen, and forgets tenants that have been idle for long.
    fn see(&mut self, tenant: &Tenant, now: Instant) {
        self.tenants.retain(|_, one| !one.running.is_empty() || now.saturating_duration_since(one.seen) < LATELY);
        let fresh = || Queries { running: BTreeMap::new(), ahead: Duration::ZERO, admitted: now, seen: now };
        self.tenants.entry(tenant.clone()).or_insert_with(fresh).seen = now;
    }

    /// The load as admission sees it for a query of this tenant.
    #[must_use]
    pub fn load(&self, tenant: &Tenant, slots: usize, now: Instant) -> Load {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::admission::Reason;

    const SECOND: Duration = Duration::from_secs(1);

    fn tenant(caller: &str, app: &str) -> Tenant {
        Tenant { caller: Arc::from(caller), app: Arc::from(app) }
    }

    #[test]
    fn many_apps_of_one_caller_are_one_load_to_others() {
        let now = Instant::now();
        let mut all = Admitted::new(64);
        let apps = ["a", "b", "c", "d"];
        apps.iter().for_each(|app| all.learn(app, SECOND));
        let numbers = apps.map(|app| all.admit(app, &tenant("crowd", app), 60 * SECOND, 2, now).unwrap());
        let load = all.load(&tenant("quiet", "a"), 2, now);
        assert_eq!((load.held, load.is_shared, load.others), (0, true, vec![4 * SECOND]));
        let mut load = all.load(&tenant("crowd", "a"), 2, now);
        load.others.sort();
        assert_eq!((load.held, load.is_shared, load.others), (4, false, vec![SECOND; 3]));
        for (app, number) in apps.iter().zip(numbers) {
            all.ended(&tenant("crowd", app), number, now);
        }
        assert_eq!(all.ahead(), (Duration::ZERO, 0));
    }

    #[test]
    fn a_caller_holds_no_more_places_than_it_leaves_whatever_apps_it_uses() {
        let now = Instant::now();
        let mut all = Admitted::new(8);
        all.admit("a", &tenant("quiet", "a"), 60 * SECOND, 2, now).unwrap();
        let names: Vec<String> = (0..8).map(|number| format!("app-{number}")).collect();
        let mut admit = |app: &String| all.admit(app, &tenant("crowd", app), 60 * SECOND, 2, now);
        let admitted: Vec<_> = names.iter().map(&mut admit).collect();
        assert_eq!(admitted.iter().filter(|one| one.is_ok()).count(), 4);
        assert!(admitted.iter().flat_map(|one| one.as_ref().err()).all(|one| one.reason == Reason::Share));
    }
}
