//! Permits of an engine's instance pool. A call holds one from before its instance is made until
//! the instance is gone, and [`Guest`](crate::guest::Guest) cannot be made without one. So a pool
//! always has room for a call, however many sandboxes share it. The unit of a pool is a memory: a
//! component may have several, and they take the address space.

use std::sync::Arc;
use std::time::Instant;

use frond_root::fair::{FairPermit, FairPermits};
use frond_root::{Failure, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::classify::Stop;
use crate::park::{Bounds, Driver, bounded};

/// Permits of one instance pool. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct PoolPermits {
    /// Semaphore over all memories.
    all: Arc<Semaphore>,
    /// Semaphore over those that waiting leaves may hold, so that they leave the others to leaves
    /// that run.
    waiting: Arc<Semaphore>,
}

/// Permit of an instance that waits without a slot, until it is dropped.
#[derive(Debug)]
pub(crate) struct WaitPermit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Permit for one instance in a pool, until it is dropped.
#[derive(Debug)]
pub(crate) struct PoolPermit(HeldPermits);

/// Permits of one call, returned when it is dropped.
#[derive(Debug)]
enum HeldPermits {
    Leaf(OwnedSemaphorePermit),
    #[expect(dead_code, reason = "held for their drop")]
    Other(FairPermit, Option<FairPermit>),
}

impl PoolPermit {
    /// Returns the number of memories of a leaf's instance; 0 for other calls.
    pub(crate) fn size(&self) -> u32 {
        match &self.0 {
            HeldPermits::Leaf(permit) => u32::try_from(permit.num_permits()).unwrap_or(u32::MAX),
            HeldPermits::Other(..) => 0,
        }
    }
}

impl PoolPermits {
    /// Makes the permits of a pool with this many memories for leaves that run or are warm, and as
    /// many as `waiting` for those that wait.
    pub(crate) fn new(memories: usize, waiting: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(memories + waiting)), waiting: Arc::new(Semaphore::new(waiting)) }
    }

    /// Takes a permit for an instance with this many memories to wait, if they are free.
    pub(crate) fn wait_permit(&self, memories: u32) -> Option<WaitPermit> {
        self.waiting.clone().try_acquire_many_owned(memories).ok().map(WaitPermit)
    }

    /// Returns true if [`PoolPermits::wait_permit`] would return one.
    pub(crate) fn has_wait_room(&self, memories: u32) -> bool {
        self.waiting.available_permits() >= memories as usize
    }

    /// Takes a permit for an instance with this many memories if they are free.
    pub(crate) fn take(&self, memories: u32) -> Option<PoolPermit> {
        self.all.clone().try_acquire_many_owned(memories).ok().map(|permit| PoolPermit(HeldPermits::Leaf(permit)))
    }

    /// Takes a permit as [`PoolPermits::take`] does, in FIFO order, once the memories are free.
    ///
    /// # Errors
    /// The reason why the wait was given up: the time was up, or the caller was stopped.
    pub(crate) async fn wait(
        &self,
        memories: u32,
        bounds: Bounds<impl Fn() -> Option<Stop>>,
    ) -> Result<PoolPermit, Stop> {
        match self.take(memories) {
            Some(place) => Ok(place),
            None => bounded(self.next(memories), bounds).await?.ok_or(Stop::Time),
        }
    }

    /// Waits for the next permit. `None` only from a closed semaphore, and this one is never
    /// closed.
    async fn next(&self, memories: u32) -> Option<PoolPermit> {
        let permit = self.all.clone().acquire_many_owned(memories).await.ok()?;
        Some(PoolPermit(HeldPermits::Leaf(permit)))
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
    pub(crate) fn wait(&self, owner: &MergeOwner, driver: &Driver, until: Instant) -> Result<PoolPermit, Stop> {
        driver.run(bounded(self.take(owner), Bounds { until, waits: true, stopped: || None }), until)
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
    use crate::clock::Clock;

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let places = PoolPermits::new(3, 0);
        let place = places.take(2).unwrap();
        assert_eq!(place.size(), 2);
        assert!(places.take(2).is_none());
        drop(place);
        assert!(places.take(3).is_some());
    }

    fn bounds(until: Instant, stop: Option<fn() -> Stop>) -> Bounds<impl Fn() -> Option<Stop>> {
        Bounds { until, waits: true, stopped: move || stop.map(|stop| stop()) }
    }

    #[test]
    fn a_wait_ends_with_the_time_or_when_it_is_stopped() {
        let places = PoolPermits::new(1, 0);
        let _taken = places.take(1).unwrap();
        let driver = Driver::new(Clock::start().unwrap().watch());
        let wait = |until: Instant, bounds| driver.run(places.wait(1, bounds), until);
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(matches!(wait(soon, bounds(soon, None)), Err(Stop::Time)));
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(matches!(wait(later, bounds(later, Some(|| Stop::Cancelled))), Err(Stop::Cancelled)));
        // A thread that must not sleep does not wait.
        assert!(matches!(wait(later, Bounds { waits: false, ..bounds(later, None) }), Err(Stop::Time)));
    }

    #[test]
    fn a_waiting_caller_gets_the_next_free_permit() {
        let places = PoolPermits::new(1, 0);
        let taken = places.take(1).unwrap();
        let later = Instant::now() + Duration::from_secs(3600);
        let clock = Clock::start().unwrap();
        std::thread::scope(|scope| {
            let waits =
                scope.spawn(|| Driver::new(clock.watch()).run(places.wait(1, bounds(later, None)), later).is_ok());
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
