//! Bulkhead for queries that search for files: each takes a thread, and memory for the found files.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The most plans that search for files at once, over all apps of a machine.
pub const MAX_PLANS: usize = 8;
/// The most plans of one app at once, which leaves permits to other apps.
pub const MAX_PLANS_OF_APP: usize = MAX_PLANS / 2;

/// Semaphores for plans that search for files.
#[derive(Clone, Debug)]
pub(crate) struct Planning {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

/// Permit for one plan.
#[derive(Debug)]
pub(crate) struct PlanPermit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Planning {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_PLANS)), own: Arc::new(Semaphore::new(MAX_PLANS_OF_APP)) }
    }
}

impl Planning {
    /// Permits of another app of the same machine.
    pub(crate) fn of_app(&self) -> Self {
        Self { all: self.all.clone(), ..Self::default() }
    }

    /// Waits for a permit. Hold it as long as a thread works on the plan, even if nobody waits any
    /// more.
    pub(crate) async fn permit(&self) -> Result<PlanPermit, AcquireError> {
        let own = self.own.clone().acquire_owned().await?;
        let all = self.all.clone().acquire_owned().await?;
        Ok(PlanPermit { _own: own, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_app_leaves_permits_to_others_and_all_together_are_bounded() {
        let machine = Planning::default();
        let greedy = machine.of_app();
        let other = machine.of_app();
        let now = |planning: &Planning| planning.permit().now_or_never().map(Result::unwrap);
        let mut held: Vec<_> = (0..MAX_PLANS_OF_APP).map(|_| now(&greedy).unwrap()).collect();
        assert!(now(&greedy).is_none());
        held.extend((MAX_PLANS_OF_APP..MAX_PLANS).map(|_| now(&other).unwrap()));
        assert!(now(&machine.of_app()).is_none());
        held.clear();
        assert!(now(&greedy).is_some());
    }
}
