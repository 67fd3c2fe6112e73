//! An owner's lease on a job: renewed by a heartbeat while the owner works, and watched for
//! cancels. Calls to the store are retried until the store is available.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frond_root::CancellationToken;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::event_buffer::EventBuffer;
use super::exit::Exit;
use crate::job::JobId;
use crate::quota::Meter;
use crate::store::{CancelKind, Job, JobEnd, JobStore, StoreError, StoreResult, TakenJob, cause, chain};

/// Interval at which events are written, and a failed renewal is retried.
const BEAT: Duration = Duration::from_millis(500);
/// Interval at which an owner polls for a cancel.
const HEARD: Duration = Duration::from_secs(1);
/// Fraction (1/n) of a lease after which it is renewed, and the timeout of a renewal.
const RENEWED: u32 = 3;
/// Fraction (1/n) of a lease that its owner leaves unused: work has stopped by the time that
/// another owner can take the job.
const UNUSED: u32 = 10;
/// Exponential back-off between calls to an unavailable store: first and longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Future of a call to a store.
type StoreCall<'s, T> = Pin<Box<dyn Future<Output = StoreResult<T>> + Send + 's>>;

/// Time and wakeups from just before a job is taken.
pub(crate) struct TakeStart {
    /// Time of the call; the lease began no earlier.
    pub(crate) at: Instant,
    /// Receives wakeups since then.
    pub(crate) wakeup: watch::Receiver<()>,
}

/// A lease on a job.
#[derive(Clone)]
pub(crate) struct Lease(Arc<LeaseState>);

/// Lease of a job, as the loops of its owner share it.
struct LeaseState {
    store: Arc<dyn JobStore>,
    id: JobId,
    epoch: u64,
    lease: Duration,
    /// End of the lease, no later than by the store's clock.
    until: Mutex<Instant>,
    wakeup: watch::Receiver<()>,
    /// Set once the job was cancelled.
    stopped: Mutex<Option<CancelKind>>,
    /// Cancels the flow of a cancelled job.
    cancel: CancellationToken,
    broken: Mutex<Option<StoreError>>,
    /// True once the owner ends the job.
    ending: AtomicBool,
}

impl Lease {
    pub(super) fn new(store: Arc<dyn JobStore>, taken: &TakenJob, lease: Duration, start: TakeStart) -> Self {
        Self(Arc::new(LeaseState {
            store,
            id: taken.job.id,
            epoch: taken.epoch,
            lease,
            until: Mutex::new(start.at + lease),
            wakeup: start.wakeup,
            stopped: Mutex::new(None),
            cancel: CancellationToken::new(),
            broken: Mutex::new(None),
            ending: AtomicBool::new(false),
        }))
    }

    pub(super) fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Returns the kind of cancel, if the job was cancelled.
    pub(super) fn stopped(&self) -> Option<CancelKind> {
        *self.0.stopped.lock()
    }

    /// Token of the flow.
    pub(super) fn token(&self) -> CancellationToken {
        self.0.cancel.clone()
    }

    pub(super) fn asked_to_stop(&self, kind: CancelKind) {
        *self.0.stopped.lock() = Some(kind);
        self.0.cancel.cancel();
    }

    /// Records the first error that broke the journal.
    pub(super) fn breaks(&self, error: StoreError) {
        self.0.broken.lock().get_or_insert(error);
    }

    /// Takes the error that broke the journal.
    pub(super) fn broken(&self) -> Option<StoreError> {
        self.0.broken.lock().take()
    }

    /// Retries a call with exponential back-off until the store is available and has room.
    /// [`Lease::keep`] ends the wait if the owner loses the job.
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

    /// Counts bytes before they are stored, and asks the store from time to time how much the job's
    /// caller uses.
    ///
    /// # Errors
    /// [`StoreError::OverBound`] if the caller would exceed its quota.
    pub(super) async fn meters(&self, meter: &Meter, bytes: u64) -> StoreResult<()> {
        match meter.adds(bytes) {
            Some(caller) => meter.check(self.until_available(|store| store.bytes_of(caller)).await?, bytes),
            None => Ok(()),
        }
    }

    /// Renews the lease, writes events and watches for cancels until the lease is lost. Returns the
    /// reason.
    pub(super) async fn keep(&self, buffer: &EventBuffer) -> Exit {
        let exit = tokio::select! {
            // In this order: a lease that has just been renewed has not lapsed.
            biased;
            exit = self.renew() => exit,
            // Independent of pending calls to the store: an owner that cannot reach the store stops
            // before another owner takes the job.
            () = self.lapse() => Exit::Lapsed,
            exit = self.watch_for_cancel() => exit,
            exit = self.write_on(buffer) => exit,
        };
        // Once the owner ends the job, it is fenced by its own end. The call that ends it knows.
        if matches!(exit, Exit::Fenced) && self.is_ending() {
            std::future::pending::<()>().await;
        }
        exit
    }

    /// True once the owner ends the job.
    pub(super) fn is_ending(&self) -> bool {
        self.0.ending.load(Ordering::SeqCst)
    }

    /// Ends the job.
    pub(super) async fn finish(&self, ended: JobEnd) -> StoreResult<Job> {
        self.0.ending.store(true, Ordering::SeqCst);
        self.until_available(|store| store.finish(self.0.id, self.0.epoch, ended.clone())).await
    }

    /// Polls for a cancel by another process, which does not trigger this process's wakeup, well
    /// before the next renewal. Costs one read per running job, and needs no subscription that
    /// could be lost unnoticed.
    async fn watch_for_cancel(&self) -> Exit {
        loop {
            sleep(HEARD).await;
            match self.0.store.wanted(self.0.id, self.0.epoch).await {
                Ok(news) => {
                    if let Some(kind) = news.cancel {
                        self.asked_to_stop(kind);
                    }
                }
                Err(StoreError::Fenced { .. } | StoreError::NotFound(_) | StoreError::Expired(_)) => {
                    return Exit::Fenced;
                }
                // If the store stays unavailable, the lease lapses.
                Err(_) => {}
            }
        }
    }

    /// Waits until the usable part of the lease is over.
    async fn lapse(&self) {
        loop {
            let last = *self.0.until.lock() - self.0.lease / UNUSED;
            if Instant::now() >= last {
                return;
            }
            sleep_until(last).await;
        }
    }

    /// Renews the lease in time, and at every wakeup, until the job is lost.
    async fn renew(&self) -> Exit {
        let id = self.0.id;
        let epoch = self.0.epoch;
        let lease = self.0.lease;
        let mut wakeup = self.0.wakeup.clone();
        let mut next = *self.0.until.lock() - lease + lease / RENEWED;
        loop {
            tokio::select! {
                () = sleep_until(next) => {}
                Ok(()) = wakeup.changed() => {}
            }
            let started = Instant::now();
            // With a timeout, since the next call may get a working connection.
            let renewed = timeout(lease / RENEWED, self.0.store.renew(id, epoch, lease)).await;
            match renewed.unwrap_or_else(|_| Err(StoreError::Unavailable(cause("it does not answer")))) {
                Ok(news) => {
                    *self.0.until.lock() = started + lease;
                    next = started + lease / RENEWED;
                    if let Some(kind) = news.cancel {
                        self.asked_to_stop(kind);
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

    /// Writes the buffered events. Events that cannot be written are dropped: they report progress
    /// and are not results.
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
