//! A decorator that counts the outcomes of a store's calls, for metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Outcome;
use super::calls::*;

/// Counters since the process began.
#[derive(Default)]
pub struct Tally {
    accepted: AtomicU64,
    late: AtomicU64,
    resumed: AtomicU64,
    lost: AtomicU64,
    errors: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Tally {
    /// Number of accepted partials.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Number of results for partitions that already had one.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Number of jobs taken with the plan of an earlier owner.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Number of jobs lost while their owner worked on them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Number of failed calls, by call and [`super::StoreError::slug`]. Wrong requests of clients
    /// do not count.
    #[must_use]
    pub fn errors(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.errors.lock().clone()
    }

    pub(crate) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn of<T>(&self, call: &'static str, outcome: StoreResult<T>) -> StoreResult<T> {
        if let Err(error) = &outcome
            && error.is_fault()
        {
            let mut errors = self.errors.lock();
            *errors.entry((call, error.slug())).or_default() += 1;
        }
        outcome
    }
}

/// A store with counters.
pub struct CountedStore {
    store: Arc<dyn JobStore>,
    tally: Arc<Tally>,
}

impl CountedStore {
    /// Counts the calls to `store` from now on.
    pub fn new(store: Arc<dyn JobStore>, tally: Arc<Tally>) -> Self {
        Self { store, tally }
    }
}

macro_rules! counted {
    ([$($counted:tt)*] $($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl JobStore for CountedStore {
            $(async fn $name(&self, $($value: $kind),*) -> StoreResult<$answer> {
                self.tally.of(stringify!($name), self.store.$name($($value),*).await)
            })*

            fn is_shared(&self) -> bool {
                self.store.is_shared()
            }

            async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>> {
                let taken = self.tally.of("take", self.store.take(owner, apps, lease).await)?;
                if taken.as_ref().is_some_and(|taken| taken.job.planned) {
                    self.tally.resumed.fetch_add(1, Ordering::Relaxed);
                }
                Ok(taken)
            }

            async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport> {
                let without = results.iter().filter(|one| matches!(one.outcome, Outcome::Failed(_)));
                let without: BTreeSet<u32> = without.map(|one| one.index).collect();
                let kept = self.tally.of("accept", self.store.accept(id, epoch, results).await)?;
                let partials = kept.fresh.iter().filter(|index| !without.contains(index)).count();
                self.tally.accepted.fetch_add(partials as u64, Ordering::Relaxed);
                self.tally.late.fetch_add(u64::from(kept.discarded), Ordering::Relaxed);
                Ok(kept)
            }
        }
    };
}

calls!(counted);
