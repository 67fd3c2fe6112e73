//! Permits of an engine's instance pool. A call holds one from before its instance is made until
//! the instance is gone, and [`Call`](crate::call::Call) cannot be made without one. So a pool
//! always has room for a call, however many sandboxes share it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use frond_root::fair::{FairPermit, FairPermits};
use frond_root::{Failure, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::classify::Stop;
use crate::park;

/// Semaphore over the entries of one instance pool. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct PoolPermits(Arc<Semaphore>);

/// Permit for one entry of an instance pool, until it is dropped.
#[derive(Debug)]
pub(crate) struct PoolPermit(#[expect(dead_code, reason = "held for its drop")] HeldPermits);

/// Permits of one call, returned when it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
enum HeldPermits {
    Leaf(OwnedSemaphorePermit),
    Other(FairPermit, Option<FairPermit>),
}

impl PoolPermits {
    /// Makes a semaphore with `count` permits.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Takes a permit if one is free.
    pub(crate) fn take(&self) -> Option<PoolPermit> {
        self.0.clone().try_acquire_owned().ok().map(|permit| PoolPermit(HeldPermits::Leaf(permit)))
    }

    /// Takes a permit, in FIFO order; blocks this thread until one is free.
    ///
    /// # Errors
    /// The reason why the wait was given up: the time was up, or the caller was stopped.
    pub(crate) fn wait(
        &self,
        waker: Option<&Waker>,
        until: Instant,
        stopped: impl Fn() -> Option<Stop>,
    ) -> Result<PoolPermit, Stop> {
        match self.take() {
            Some(place) => Ok(place),
            None => park::run(self.next(), waker, until, stopped)?.ok_or(Stop::Time),
        }
    }

    /// Waits for the next permit. `None` only from a closed semaphore, and this one is never
    /// closed.
    async fn next(&self) -> Option<PoolPermit> {
        self.0.clone().acquire_owned().await.ok().map(|permit| PoolPermit(HeldPermits::Leaf(permit)))
    }
}

/// Owner of merges and splits, and whether they are background work.
#[derive(Clone, Debug)]
pub struct MergeOwner {
    /// Name of the caller.
    pub caller: Arc<str>,
    /// True for the merges of a job.
    pub is_background: bool,
}

impl Default for MergeOwner {
    fn default() -> Self {
        Self { caller: Arc::from(""), is_background: false }
    }
}

/// Permits for merges, splits and trials, fair between callers. Background work holds at most a
/// quarter of them, so that merges of jobs that wait for hours keep out no query.
#[derive(Clone, Debug)]
pub(crate) struct MergePermits {
    all: FairPermits,
    background: FairPermits,
}

/// Divisor: this part of the permits may be held by background work.
const BACKGROUND: usize = 4;

impl MergePermits {
    /// Makes `count` permits.
    pub(crate) fn new(count: usize) -> Self {
        Self { all: FairPermits::new(count), background: FairPermits::new((count / BACKGROUND).max(2)) }
    }

    /// Takes a permit; blocks this thread until the owner gets one.
    ///
    /// # Errors
    /// The reason why the wait was given up: the time was up.
    pub(crate) fn wait(&self, owner: &MergeOwner, waker: &Waker, until: Instant) -> Result<PoolPermit, Stop> {
        park::run(self.take(owner), Some(waker), until, || None)
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// `out-of-time` if the owner got none in time.
    pub(crate) async fn wait_until(&self, owner: &MergeOwner, until: Instant) -> Result<PoolPermit, Box<Failure>> {
        tokio::time::timeout_at(until.into(), self.take(owner)).await.map_err(|_| {
            let message = "still waiting for a free place when its time was up";
            Box::new(Failure::new(FailureKind::OutOfTime, message))
        })
    }

    async fn take(&self, owner: &MergeOwner) -> PoolPermit {
        let background = if owner.is_background { Some(self.background.take(&owner.caller).await) } else { None };
        PoolPermit(HeldPermits::Other(self.all.take(&owner.caller).await, background))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let places = PoolPermits::new(1);
        let place = places.take().unwrap();
        assert!(places.take().is_none());
        drop(place);
        assert!(places.take().is_some());
    }

    #[test]
    fn a_wait_ends_with_the_time_or_when_it_is_stopped() {
        let places = PoolPermits::new(1);
        let _taken = places.take().unwrap();
        let waker = park::waker();
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(matches!(places.wait(Some(&waker), soon, || None), Err(Stop::Time)));
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(matches!(places.wait(Some(&waker), later, || Some(Stop::Cancelled)), Err(Stop::Cancelled)));
        // A thread that must not sleep does not wait.
        assert!(matches!(places.wait(None, later, || None), Err(Stop::Time)));
    }

    #[test]
    fn a_waiting_caller_gets_the_next_free_permit() {
        let places = PoolPermits::new(1);
        let taken = places.take().unwrap();
        let later = Instant::now() + Duration::from_secs(3600);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| places.wait(Some(&park::waker()), later, || None).is_ok());
            drop(taken);
            assert!(waits.join().unwrap());
        });
    }

    fn background(caller: &str) -> MergeOwner {
        MergeOwner { caller: Arc::from(caller), is_background: true }
    }

    #[test]
    fn background_merges_leave_most_permits_to_queries_and_one_to_each_other_caller() {
        use futures_util::FutureExt;
        let permits = MergePermits::new(8);
        let now = |owner: &MergeOwner| permits.take(owner).now_or_never();
        let greedy = background("greedy");
        let held = now(&greedy).unwrap();
        assert!(now(&greedy).is_none(), "the other one is for another caller");
        let other = now(&background("other")).unwrap();
        assert!(now(&background("third")).is_none());
        let query = MergeOwner { caller: Arc::from("greedy"), is_background: false };
        let queries: Vec<_> = std::iter::from_fn(|| now(&query)).collect();
        assert_eq!(queries.len(), 3, "half of all, as another caller holds one");
        assert!(now(&MergeOwner { caller: Arc::from("quiet"), is_background: false }).is_some());
        drop((held, other));
    }
}
