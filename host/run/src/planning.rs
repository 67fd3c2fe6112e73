//! Bound on queries of which the files are being looked for: each takes a thread, and memory for what it finds.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The most plans at once that look for files, over all apps of a machine.
pub const MAX_PLANS: usize = 8;
/// The most plans at once of one app, so that others are left some.
pub const MAX_PLANS_OF_APP: usize = MAX_PLANS / 2;

/// Permits for plans that look for files.
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

    /// Waits for a permit. It is to be held for as long as a thread is busy with the plan, not only while somebody waits.
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
        let (greedy, other) = (machine.of_app(), machine.of_app());
        let now = |planning: &Planning| planning.permit().now_or_never().map(Result::unwrap);
        let mut held: Vec<_> = (0..MAX_PLANS_OF_APP).map(|_| now(&greedy).unwrap()).collect();
        assert!(now(&greedy).is_none());
        held.extend((MAX_PLANS_OF_APP..MAX_PLANS).map(|_| now(&other).unwrap()));
        assert!(now(&machine.of_app()).is_none());
        held.clear();
        assert!(now(&greedy).is_some());
    }
}
