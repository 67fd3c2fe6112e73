//! Fair semaphore: permits of one resource, shared between the owners that ask for them.
//!
//! A free permit goes to the waiting owner that holds the fewest, and among equals to the one that
//! waits longest (max-min fairness). The last free permit is reserved for an owner without one, so
//! an owner that takes all it can get never keeps out the others. While other owners hold or wait,
//! none gets more than half.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::sync::lock;

/// Semaphore whose permits are shared fairly between owners. Clones share it.
#[derive(Clone, Debug)]
pub struct FairPermits(Arc<Shared>);

/// Permits as all of their owners share them.
#[derive(Debug)]
struct Shared {
    total: usize,
    state: Mutex<State>,
}

/// Permits in use, and the waiting owners.
#[derive(Debug, Default)]
struct State {
    used: usize,
    /// Permits of each owner that has any.
    held: HashMap<Arc<str>, usize>,
    waiting: VecDeque<Waiter>,
}

/// Owner that waits for a permit.
#[derive(Debug)]
struct Waiter {
    owner: Arc<str>,
    grant: oneshot::Sender<FairPermit>,
}

/// One permit, given back when dropped.
#[derive(Debug)]
pub struct FairPermit {
    shared: Arc<Shared>,
    owner: Arc<str>,
}

impl FairPermits {
    /// A semaphore with this many permits, at least one.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self(Arc::new(Shared { total: total.max(1), state: Mutex::default() }))
    }

    /// Takes a permit if the owner may have one now.
    #[must_use]
    pub fn try_take(&self, owner: &Arc<str>) -> Option<FairPermit> {
        let mut state = self.0.lock();
        let is_free = state.may_take(owner, self.0.total);
        is_free.then(|| self.0.grant(&mut state, owner))
    }

    /// Waits for a permit. Dropping the future gives the wait up.
    pub async fn take(&self, owner: &Arc<str>) -> FairPermit {
        loop {
            let granted = {
                let mut state = self.0.lock();
                if state.may_take(owner, self.0.total) {
                    return self.0.grant(&mut state, owner);
                }
                let (grant, granted) = oneshot::channel();
                state.waiting.push_back(Waiter { owner: owner.clone(), grant });
                granted
            };
            // The sender is dropped only together with the semaphore, which `self` keeps.
            if let Ok(permit) = granted.await {
                return permit;
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn grant(self: &Arc<Self>, state: &mut State, owner: &Arc<str>) -> FairPermit {
        state.used += 1;
        *state.held.entry(owner.clone()).or_default() += 1;
        FairPermit { shared: self.clone(), owner: owner.clone() }
    }
}

impl State {
    fn held(&self, owner: &Arc<str>) -> usize {
        self.held.get(owner).copied().unwrap_or_default()
    }

    /// Returns true if the owner may have a further permit of `total`.
    fn may_take(&self, owner: &Arc<str>, total: usize) -> bool {
        let free = total - self.used;
        let held = self.held(owner);
        if free == 0 || held == 0 {
            return free > 0;
        }
        let is_alone = self.held.len() == 1 && self.waiting.iter().all(|one| one.owner == *owner);
        free > 1 && (is_alone || held < total / 2)
    }

    /// Removes and returns the waiter that is next to get a permit.
    fn next(&mut self, total: usize) -> Option<Waiter> {
        self.waiting.retain(|one| !one.grant.is_closed());
        let may = self.waiting.iter().enumerate().filter(|(_, one)| self.may_take(&one.owner, total));
        let (at, _) = may.min_by_key(|(at, one)| (self.held(&one.owner), *at))?;
        self.waiting.remove(at)
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.used -= 1;
        if let Some(held) = state.held.get_mut(&self.owner) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.owner);
            }
        }
        let mut unwanted = Vec::new();
        while let Some(Waiter { owner, grant }) = state.next(self.shared.total) {
            let permit = self.shared.grant(&mut state, &owner);
            // A receiver that was dropped just now returns the permit.
            unwanted.extend(grant.send(permit).err());
        }
        // Dropping them takes the lock again.
        drop(state);
        drop(unwanted);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn owner(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    /// Takes permits for an owner until it may have no more.
    fn all_of(permits: &FairPermits, name: &str) -> Vec<FairPermit> {
        std::iter::from_fn(|| permits.try_take(&owner(name))).collect()
    }

    #[test]
    fn the_last_permit_is_for_an_owner_without_one() {
        let permits = FairPermits::new(8);
        let greedy = all_of(&permits, "greedy");
        assert_eq!(greedy.len(), 7);
        let quiet = permits.try_take(&owner("quiet")).unwrap();
        assert!(permits.try_take(&owner("third")).is_none());
        drop(quiet);
        assert!(permits.try_take(&owner("third")).is_some());
    }

    #[test]
    fn beside_others_nobody_gets_more_than_half() {
        let permits = FairPermits::new(8);
        let quiet = permits.try_take(&owner("quiet")).unwrap();
        let greedy = all_of(&permits, "greedy");
        assert_eq!(greedy.len(), 4);
        drop(quiet);
        assert_eq!(greedy.len() + all_of(&permits, "greedy").len(), 7);
    }

    #[test]
    fn a_free_permit_goes_to_the_owner_that_holds_the_fewest() {
        let permits = FairPermits::new(3);
        let mut greedy = all_of(&permits, "greedy");
        let first = permits.try_take(&owner("quiet"));
        let greedy_owner = owner("greedy");
        let third_owner = owner("third");
        let mut again = Box::pin(permits.take(&greedy_owner));
        let mut third = Box::pin(permits.take(&third_owner));
        assert!((&mut again).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        greedy.pop();
        assert!((&mut third).now_or_never().is_some(), "it came later, and has none");
        assert!((&mut again).now_or_never().is_none());
        drop(first);
    }

    #[test]
    fn a_wait_that_is_given_up_costs_no_permit() {
        let permits = FairPermits::new(1);
        let held = permits.try_take(&owner("a")).unwrap();
        let waiting = owner("b");
        let mut given_up = Box::pin(permits.take(&waiting));
        assert!((&mut given_up).now_or_never().is_none());
        drop(held);
        // The permit was granted to the wait, which ends without having taken it.
        drop(given_up);
        assert!(permits.try_take(&owner("c")).is_some());
    }

    proptest! {
        /// However owners come and go, no permit is lost or given twice, and an owner without one
        /// gets one unless all are held.
        #[test]
        fn permits_are_kept_count_of(
            total in 1_usize..9,
            steps in prop::collection::vec((0_usize..4, any::<bool>(), any::<prop::sample::Index>()), 0..100),
        ) {
            let permits = FairPermits::new(total);
            let mut held: Vec<(usize, FairPermit)> = Vec::new();
            for (who, takes, which) in steps {
                if takes {
                    let has_none = held.iter().all(|(one, _)| *one != who);
                    let permit = permits.try_take(&owner(&who.to_string()));
                    prop_assert!(!has_none || held.len() == total || permit.is_some());
                    held.extend(permit.map(|permit| (who, permit)));
                } else if !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                }
                prop_assert!(held.len() <= total);
                prop_assert_eq!(permits.0.lock().used, held.len());
            }
        }
    }
}
