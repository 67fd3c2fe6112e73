//! A decorator that counts the outcomes of a store's calls, for metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::job::JobId;

use super::{
    AcceptReport, Artifact, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews,
    NewJob, Outcome, Page, Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo,
    StoreResult, Submission, SweepReport, TakenJob, Usage,
};

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
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn of<T>(&self, call: &'static str, outcome: StoreResult<T>) -> StoreResult<T> {
        if let Err(error) = &outcome
            && error.is_fault()
        {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
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

#[async_trait]
impl JobStore for CountedStore {
    async fn submit(&self, job: NewJob) -> StoreResult<Submission> {
        self.tally.of("submit", self.store.submit(job).await)
    }

    async fn get(&self, id: JobId) -> StoreResult<Job> {
        self.tally.of("get", self.store.get(id).await)
    }

    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job> {
        self.tally.of("get_of", self.store.get_of(id, caller).await)
    }

    async fn bytes_of(&self, caller: &str) -> StoreResult<u64> {
        self.tally.of("bytes_of", self.store.bytes_of(caller).await)
    }

    async fn asked(&self, id: JobId) -> StoreResult<JobQuery> {
        self.tally.of("asked", self.store.asked(id).await)
    }

    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
        self.tally.of("list", self.store.list(filter, page).await)
    }

    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>> {
        let taken = self.tally.of("take", self.store.take(owner, apps, lease).await)?;
        if taken.as_ref().is_some_and(|taken| taken.job.planned) {
            self.tally.resumed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(taken)
    }

    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews> {
        self.tally.of("renew", self.store.renew(id, epoch, lease).await)
    }

    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
        self.tally.of("wanted", self.store.wanted(id, epoch).await)
    }

    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.tally.of("release", self.store.release(id, epoch).await)
    }

    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()> {
        self.tally.of("plan", self.store.plan(id, epoch, planned).await)
    }

    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
        self.tally.of("partitions", self.store.partitions(id, page).await)
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

    async fn partials(&self, id: JobId, after: Option<u32>, max_bytes: u64) -> StoreResult<Vec<Partial>> {
        self.tally.of("partials", self.store.partials(id, after, max_bytes).await)
    }

    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.tally.of("merge", self.store.merge(id, epoch).await)
    }

    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job> {
        self.tally.of("finish", self.store.finish(id, epoch, ended).await)
    }

    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>> {
        self.tally.of("result_info", self.store.result_info(id).await)
    }

    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes> {
        self.tally.of("result_part", self.store.result_part(id, epoch, from, most).await)
    }

    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job> {
        self.tally.of("cancel", self.store.cancel(id, keep_partial).await)
    }

    async fn redrive(&self, id: JobId) -> StoreResult<Job> {
        self.tally.of("redrive", self.store.redrive(id).await)
    }

    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job> {
        self.tally.of("retain", self.store.retain(id, retention_ms).await)
    }

    async fn delete(&self, id: JobId) -> StoreResult<Job> {
        self.tally.of("delete", self.store.delete(id).await)
    }

    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()> {
        self.tally.of("append", self.store.append(id, epoch, news).await)
    }

    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
        self.tally.of("events", self.store.events(id, after, limit).await)
    }

    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
        self.tally.of("history", self.store.history(app, version, limit).await)
    }

    async fn sweep(&self) -> StoreResult<SweepReport> {
        self.tally.of("sweep", self.store.sweep().await)
    }

    async fn ping(&self) -> StoreResult<()> {
        self.tally.of("ping", self.store.ping().await)
    }

    async fn usage(&self) -> StoreResult<Usage> {
        self.tally.of("usage", self.store.usage().await)
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn has_artifact(&self, app: &str, version: &str) -> StoreResult<bool> {
        self.tally.of("has_artifact", self.store.has_artifact(app, version).await)
    }

    async fn keep_artifact(&self, app: &str, version: &str, artifact: &Artifact) -> StoreResult<()> {
        self.tally.of("keep_artifact", self.store.keep_artifact(app, version, artifact).await)
    }

    async fn artifact(&self, app: &str, version: &str) -> StoreResult<Option<Artifact>> {
        self.tally.of("artifact", self.store.artifact(app, version).await)
    }
}
