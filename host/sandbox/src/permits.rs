//! Permits of an engine's instance pool. A call holds one from before its instance is made until
//! the instance is gone, and [`Call`](crate::call::Call) cannot be made without one. So a pool
//! always has room for a call, however many sandboxes share it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use frond_root::{Failure, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::classify::Stop;
use crate::park;

/// Semaphore over the entries of one instance pool. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct PoolPermits(Arc<Semaphore>);

/// Permit for one entry of an instance pool, until it is dropped.
#[derive(Debug)]
pub(crate) struct PoolPermit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl PoolPermits {
    /// Makes a semaphore with `count` permits.
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// Takes a permit if one is free.
    pub(crate) fn take(&self) -> Option<PoolPermit> {
        self.0.clone().try_acquire_owned().ok().map(PoolPermit)
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

    /// Takes a permit, in FIFO order.
    ///
    /// # Errors
    /// `out-of-time` if no permit was free in time.
    pub(crate) async fn wait_until(&self, until: Instant) -> Result<PoolPermit, Box<Failure>> {
        match tokio::time::timeout_at(until.into(), self.next()).await {
            Ok(Some(place)) => Ok(place),
            _ => {
                let message = "still waiting for a free place when its time was up";
                Err(Box::new(Failure::new(FailureKind::OutOfTime, message)))
            }
        }
    }

    /// Waits for the next permit. `None` only from a closed semaphore, and this one is never
    /// closed.
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
}
