//! Places in an engine's instance pool. A call holds one from before its instance is made until that is gone, and
//! [`Call`](crate::call::Call) cannot be made without one: so a pool always has room, whoever shares it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use frond_root::{Failure, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::classify::Stop;
use crate::park;

/// Counted places of one pool. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct PoolPermits(Arc<Semaphore>);

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct PoolPermit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl PoolPermits {
    /// `count` free places.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Takes a place if one is free.
    pub(crate) fn take(&self) -> Option<PoolPermit> {
        self.0.clone().try_acquire_owned().ok().map(PoolPermit)
    }

    /// Takes a place, first come, first served; blocks this thread until then.
    ///
    /// # Errors
    /// Why it was given up: the time was up, or the caller was stopped.
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

    /// Takes a place, first come, first served.
    ///
    /// # Errors
    /// `out-of-time` if none was free in time.
    pub(crate) async fn wait_until(&self, until: Instant) -> Result<PoolPermit, Box<Failure>> {
        match tokio::time::timeout_at(until.into(), self.next()).await {
            Ok(Some(place)) => Ok(place),
            _ => {
                let message = "still waiting for a free place when its time was up";
                Err(Box::new(Failure::new(FailureKind::OutOfTime, message)))
            }
        }
    }

    /// The next place. A semaphore that is never closed always gives one.
    async fn next(&self) -> Option<PoolPermit> {
        self.0.clone().acquire_owned().await.ok().map(PoolPermit)
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
    fn whoever_waits_gets_the_place_that_another_leaves() {
        let places = PoolPermits::new(1);
        let taken = places.take().unwrap();
        let later = Instant::now() + Duration::from_secs(3600);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| places.wait(Some(&park::waker()), later, || None).is_ok());
            drop(taken);
            assert!(waits.join().unwrap());
        });
    }
}
