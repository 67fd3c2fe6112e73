//! An owner's hold on a job: its lease, renewed while it works; what others want of the job; and calls to the store that
//! are repeated until it can be reached.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frond_root::Cancel;
use tokio::time::{Instant, sleep};

use super::Parted;
use super::diary::Diary;
use crate::clock::unix_ms;
use crate::job::JobId;
use crate::processor::Bell;
use crate::store::{CancelKind, JobStore, StoreError, Stored, Taken};

/// How often events are written, and the lease is looked at.
const BEAT: Duration = Duration::from_millis(500);
/// Pauses between calls to a store that cannot be reached: from this, doubled, to that.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A call to a store, under way.
type Calling<'s, T> = Pin<Box<dyn Future<Output = Stored<T>> + Send + 's>>;

/// A hold on a job.
#[derive(Clone)]
pub(crate) struct Hold(Arc<Held>);

struct Held {
    store: Arc<dyn JobStore>,
    id: JobId,
    epoch: u64,
    lease: Duration,
    bell: Bell,
    stopped: Mutex<Option<CancelKind>>,
    broken: Mutex<Option<StoreError>>,
}

impl Hold {
    pub(super) fn new(store: Arc<dyn JobStore>, taken: &Taken, lease: Duration, bell: Bell) -> Self {
        let (stopped, broken) = (Mutex::new(None), Mutex::new(None));
        Self(Arc::new(Held { store, id: taken.job.id, epoch: taken.epoch, lease, bell, stopped, broken }))
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

    /// Calls the store until it can be reached and has room. Whoever loses the job meanwhile is stopped by [`Hold::tend`].
    pub(super) async fn insist<'s, T>(&'s self, call: impl Fn(&'s dyn JobStore) -> Calling<'s, T> + Send) -> Stored<T> {
        let mut pause = PAUSES.0;
        loop {
            let called = call(&*self.0.store).await;
            match called {
                Err(error @ (StoreError::Unavailable(_) | StoreError::Full | StoreError::ReadOnly)) => {
                    tracing::warn!(job = %self.0.id, %error, "waiting for the store of jobs");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                done => return done,
            }
        }
    }

    /// Keeps the lease, writes events, and hears what others want, for as long as the job is held; then says why it no
    /// longer is.
    pub(super) async fn tend(&self, diary: &Diary, cancel: &Cancel) -> Parted {
        let mut until = Instant::now() + self.0.lease;
        let mut renew = Instant::now() + self.0.lease / 3;
        loop {
            tokio::select! {
                () = sleep(BEAT) => self.write(diary).await,
                () = self.0.bell.rung() => renew = Instant::now(),
            }
            if Instant::now() < renew {
                continue;
            }
            let asked = Instant::now();
            let lease = u64::try_from(self.0.lease.as_millis()).unwrap_or(u64::MAX);
            match self.0.store.renew(self.0.id, self.0.epoch, unix_ms().plus(lease)).await {
                Ok(told) => {
                    (until, renew) = (asked + self.0.lease, asked + self.0.lease / 3);
                    if let Some(kind) = told.cancel {
                        self.asked_to_stop(kind, cancel);
                    }
                }
                Err(StoreError::Fenced { .. } | StoreError::NotFound(_) | StoreError::Expired(_)) => {
                    return Parted::Fenced;
                }
                // Whoever cannot renew its lease must be gone before another takes the job.
                Err(error) if Instant::now() >= until => return Parted::Store(error),
                Err(error) => tracing::warn!(job = %self.0.id, %error, "the lease could not be renewed"),
            }
        }
    }

    /// Writes the events that have come. Those that cannot be written are lost: they are news, and no result.
    pub(super) async fn write(&self, diary: &Diary) {
        let Some(news) = diary.take() else { return };
        let attempts = news.attempts;
        if let Err(error) = self.0.store.append(self.0.id, self.0.epoch, news).await {
            diary.untold(attempts);
            tracing::debug!(job = %self.0.id, %error, "events were not kept");
        }
    }

    pub(super) async fn release(&self) -> Stored<()> {
        self.0.store.release(self.0.id, self.0.epoch).await
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
