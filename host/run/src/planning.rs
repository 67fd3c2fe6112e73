//! Bulkhead for queries that search for files: each takes a thread, and memory for the found files.
//! Permits are shared fairly between callers, and no app takes all of them.

use frond_root::Tenant;
use frond_root::fair::{FairPermit, FairPermits};

/// The most plans that search for files at once, over all apps of a machine. The last permit is for
/// a caller without one.
pub const MAX_PLANS: usize = 8;
/// The most plans of one app at once, which leaves permits to other apps.
pub const MAX_PLANS_OF_APP: usize = MAX_PLANS / 2;

/// Permits for plans that search for files.
#[derive(Clone, Debug)]
pub(crate) struct Planning {
    all: FairPermits,
    own: FairPermits,
}

/// RAII guard of a permit for one plan.
#[derive(Debug)]
pub(crate) struct PlanPermit {
    _own: FairPermit,
    _all: FairPermit,
}

impl Default for Planning {
    fn default() -> Self {
        Self { all: FairPermits::new(MAX_PLANS), own: FairPermits::new(MAX_PLANS_OF_APP) }
    }
}

impl Planning {
    /// Permits of another app of the same machine.
    pub(crate) fn of_app(&self) -> Self {
        Self { all: self.all.clone(), ..Self::default() }
    }

    /// Waits for a permit. Hold it as long as a thread works on the plan, even if nobody waits any
    /// more.
    pub(crate) async fn permit(&self, tenant: &Tenant) -> PlanPermit {
        let own = self.own.take(&tenant.caller).await;
        PlanPermit { _own: own, _all: self.all.take(&tenant.caller).await }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    fn tenant(caller: &str) -> Tenant {
        Tenant { caller: Arc::from(caller), app: Arc::from("app") }
    }

    fn now(planning: &Planning, caller: &str) -> Option<PlanPermit> {
        planning.permit(&tenant(caller)).now_or_never()
    }

    #[test]
    fn one_app_leaves_permits_to_others_and_all_together_are_bounded() {
        let machine = Planning::default();
        let greedy = machine.of_app();
        let mut held: Vec<_> = (0..MAX_PLANS_OF_APP).map(|number| now(&greedy, &number.to_string()).unwrap()).collect();
        assert!(now(&greedy, "late").is_none());
        let other = machine.of_app();
        held.extend((MAX_PLANS_OF_APP..MAX_PLANS).map(|number| now(&other, &number.to_string()).unwrap()));
        assert!(now(&machine.of_app(), "late").is_none());
        held.pop();
        assert!(now(&machine.of_app(), "late").is_some());
    }

    #[test]
    fn a_caller_with_many_apps_leaves_a_permit_to_the_next_caller() {
        let machine = Planning::default();
        let held: Vec<_> = (0..20).filter_map(|_| now(&machine.of_app(), "greedy")).collect();
        assert_eq!(held.len(), MAX_PLANS - 1);
        assert!(now(&machine.of_app(), "quiet").is_some());
    }

    #[test]
    fn a_caller_leaves_a_permit_of_an_app_to_the_next_caller() {
        let app = Planning::default();
        let held: Vec<_> = (0..20).filter_map(|_| now(&app, "greedy")).collect();
        assert_eq!(held.len(), MAX_PLANS_OF_APP - 1);
        assert!(now(&app, "quiet").is_some());
    }
}
