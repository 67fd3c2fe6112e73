//! An owner's hold on a job: its lease, renewed while it works; what others want of the job; and calls to the store that
//! are repeated until it can be reached.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frond_root::Cancel;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::event_buffer::EventBuffer;
use super::{Exit, TakeStart};
use crate::job::JobId;
use crate::quota::Meter;
use crate::store::{CancelKind, JobStore, StoreError, StoreResult, TakenJob, cause, chain};

/// How often events are written, and a lease that could not be renewed is tried again.
const BEAT: Duration = Duration::from_millis(500);
/// How often an owner asks what others want of its job.
const HEARD: Duration = Duration::from_secs(1);
/// The part of a lease after which it is renewed, and for which an answer to that is waited for.
const RENEWED: u32 = 3;
/// The part of a lease that its owner leaves unused: what runs has stopped by the time that another can take the job.
const UNUSED: u32 = 10;
/// Pauses between calls to a store that cannot be reached: from this, doubled, to that.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A call to a store, under way.
type StoreCall<'s, T> = Pin<Box<dyn Future<Output = StoreResult<T>> + Send + 's>>;

/// A hold on a job.
#[derive(Clone)]
pub(crate) struct Lease(Arc<LeaseState>);

struct LeaseState {
    store: Arc<dyn JobStore>,
    id: JobId,
    epoch: u64,
    lease: Duration,
    /// When the lease ends, no later than by the store's account.
    until: Mutex<Instant>,
    wakeup: watch::Receiver<()>,
    stopped: Mutex<Option<CancelKind>>,
    broken: Mutex<Option<StoreError>>,
}

impl Lease {
    pub(super) fn new(store: Arc<dyn JobStore>, taken: &TakenJob, lease: Duration, asked: TakeStart) -> Self {
        Self(Arc::new(LeaseState {
            store,
            id: taken.job.id,
            epoch: taken.epoch,
            lease,
            until: Mutex::new(asked.at + lease),
            wakeup: asked.wakeup,
            stopped: Mutex::new(None),
            broken: Mutex::new(None),
        }))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// How the job was asked to stop, if it was.
    pub(super) fn stopped(&self) -> Option<CancelKind> {
        *lock(&self.0.stopped)
    }

    pub(super) fn asked_to_stop(&self, kind: CancelKind, cancel: &Cancel) {
        *lock(&self.0.stopped) = Some(kind);
        cancel.cancel();
    }

    /// Notes what broke the journal.
    pub(super) fn breaks(&self, error: StoreError) {
        lock(&self.0.broken).get_or_insert(error);
    }

    /// What broke the journal, once.
    pub(super) fn broken(&self) -> Option<StoreError> {
        lock(&self.0.broken).take()
    }

    /// Calls the store until it can be reached and has room. Whoever loses the job meanwhile is stopped by [`Lease::keep`].
    pub(super) async fn until_available<'s, T>(
        &'s self,
        call: impl Fn(&'s dyn JobStore) -> StoreCall<'s, T> + Send,
    ) -> StoreResult<T> {
        let mut pause = PAUSES.0;
        loop {
            let called = call(&*self.0.store).await;
            match called {
                Err(error @ (StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::ReadOnly(_))) => {
                    tracing::warn!(job = %self.0.id, error = chain(&error), "waiting for the store of jobs");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                done => return done,
            }
        }
    }

    /// Counts bytes that are to be kept, and asks the store now and then whether the job's caller may have them.
    ///
    /// # Errors
    /// [`StoreError::OverBound`] once it may not.
    pub(super) async fn meters(&self, meter: &Meter, bytes: u64) -> StoreResult<()> {
        match meter.adds(bytes) {
            Some(caller) => meter.check(self.until_available(|store| store.bytes_of(caller)).await?, bytes),
            None => Ok(()),
        }
    }

    /// Keeps the lease, writes events, and hears what others want, for as long as the job is held; then says why it no
    /// longer is.
    pub(super) async fn keep(&self, buffer: &EventBuffer, cancel: &Cancel) -> Exit {
        tokio::select! {
            // In this order: a lease that has just been renewed has not lapsed.
            biased;
            exit = self.renew(cancel) => exit,
            // Whatever calls to the store wait for: an owner that is not heard has stopped before another takes the job.
            () = self.lapse() => Exit::Lapsed,
            exit = self.watch_for_cancel(cancel) => exit,
            exit = self.write_on(buffer) => exit,
        }
    }

    /// Hears a cancel by another process, which rings no bell here, long before the lease is renewed. A read for each job
    /// at work, and no connection that could be lost unnoticed.
    async fn watch_for_cancel(&self, cancel: &Cancel) -> Exit {
        loop {
            sleep(HEARD).await;
            match self.0.store.wanted(self.0.id, self.0.epoch).await {
                Ok(told) => {
                    if let Some(kind) = told.cancel {
                        self.asked_to_stop(kind, cancel);
                    }
                }
                Err(StoreError::Fenced { .. } | StoreError::NotFound(_) | StoreError::Expired(_)) => {
                    return Exit::Fenced;
                }
                // Whether that is for long, the lease tells.
                Err(_) => {}
            }
        }
    }

    /// Waits until the lease is as good as over.
    async fn lapse(&self) {
        loop {
            let last = *lock(&self.0.until) - self.0.lease / UNUSED;
            if Instant::now() >= last {
                return;
            }
            sleep_until(last).await;
        }
    }

    /// Renews the lease in time, and when somebody wants something, until the job is lost.
    async fn renew(&self, cancel: &Cancel) -> Exit {
        let (id, epoch, lease) = (self.0.id, self.0.epoch, self.0.lease);
        let mut wakeup = self.0.wakeup.clone();
        let mut next = *lock(&self.0.until) - lease + lease / RENEWED;
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                Ok(()) = wakeup.changed() => {}
            }
            let asked = Instant::now();
            // Another connection may be heard where this one is silent.
            let renewed = timeout(lease / RENEWED, self.0.store.renew(id, epoch, lease)).await;
            match renewed.unwrap_or_else(|_| Err(StoreError::Unavailable(cause("it does not answer")))) {
                Ok(told) => {
                    *lock(&self.0.until) = asked + lease;
                    next = asked + lease / RENEWED;
                    if let Some(kind) = told.cancel {
                        self.asked_to_stop(kind, cancel);
                    }
                }
                Err(StoreError::Fenced { .. } | StoreError::NotFound(_) | StoreError::Expired(_)) => {
                    return Exit::Fenced;
                }
                Err(error) => {
                    tracing::warn!(job = %id, error = chain(&error), "the lease could not be renewed");
                    next = Instant::now() + BEAT.min(lease / RENEWED);
                }
            }
        }
    }

    async fn write_on(&self, buffer: &EventBuffer) -> Exit {
        loop {
            sleep(BEAT).await;
            self.write(buffer).await;
        }
    }

    /// Writes the events that have come. Those that cannot be written are lost: they are news, and no result.
    pub(super) async fn write(&self, buffer: &EventBuffer) {
        let Some(news) = buffer.take() else { return };
        let attempts = news.attempts;
        if let Err(error) = self.0.store.append(self.0.id, self.0.epoch, news).await {
            buffer.count_unreported(attempts);
            tracing::debug!(job = %self.0.id, error = chain(&error), "events were not kept");
        }
    }

    pub(super) async fn release(&self) -> StoreResult<()> {
        self.0.store.release(self.0.id, self.0.epoch).await
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
