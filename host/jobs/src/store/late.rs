//! A store that could not be opened when the server started and may be opened later. Queries are
//! served without it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::job::JobId;

use super::{
    AcceptReport, Artifact, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews,
    NewJob, Page, Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo, StoreError,
    StoreResult, Submission, SweepReport, TakenJob, Usage,
};

/// Store of one server that is opened later. Until then every call fails with the reason.
pub struct LateStore {
    why: String,
    opened: OnceLock<Arc<dyn JobStore>>,
}

impl LateStore {
    /// Creates a store that is not open yet; `error` is the reason.
    #[must_use]
    pub fn new(error: &StoreError) -> Self {
        let text = error.to_string();
        Self { why: text.lines().next().unwrap_or_default().to_owned(), opened: OnceLock::new() }
    }

    /// Forwards all calls to `store` from now on. Only the first call of this method has an effect.
    pub fn open(&self, store: Arc<dyn JobStore>) {
        let _ = self.opened.set(store);
    }

    fn opened(&self) -> StoreResult<&Arc<dyn JobStore>> {
        self.opened.get().ok_or_else(|| StoreError::Unopened(self.why.clone()))
    }
}

#[async_trait]
impl JobStore for LateStore {
    async fn submit(&self, job: NewJob) -> StoreResult<Submission> {
        self.opened()?.submit(job).await
    }

    async fn get(&self, id: JobId) -> StoreResult<Job> {
        self.opened()?.get(id).await
    }

    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job> {
        self.opened()?.get_of(id, caller).await
    }

    async fn bytes_of(&self, caller: &str) -> StoreResult<u64> {
        self.opened()?.bytes_of(caller).await
    }

    async fn asked(&self, id: JobId) -> StoreResult<JobQuery> {
        self.opened()?.asked(id).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
        self.opened()?.list(filter, page).await
    }

    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>> {
        self.opened()?.take(owner, apps, lease).await
    }

    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews> {
        self.opened()?.renew(id, epoch, lease).await
    }

    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
        self.opened()?.wanted(id, epoch).await
    }

    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.opened()?.release(id, epoch).await
    }

    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()> {
        self.opened()?.plan(id, epoch, planned).await
    }

    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
        self.opened()?.partitions(id, page).await
    }

    async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport> {
        self.opened()?.accept(id, epoch, results).await
    }

    async fn partials(&self, id: JobId, after: Option<u32>, max_bytes: u64) -> StoreResult<Vec<Partial>> {
        self.opened()?.partials(id, after, max_bytes).await
    }

    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.opened()?.merge(id, epoch).await
    }

    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job> {
        self.opened()?.finish(id, epoch, ended).await
    }

    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>> {
        self.opened()?.result_info(id).await
    }

    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes> {
        self.opened()?.result_part(id, epoch, from, most).await
    }

    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job> {
        self.opened()?.cancel(id, keep_partial).await
    }

    async fn redrive(&self, id: JobId) -> StoreResult<Job> {
        self.opened()?.redrive(id).await
    }

    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job> {
        self.opened()?.retain(id, retention_ms).await
    }

    async fn delete(&self, id: JobId) -> StoreResult<Job> {
        self.opened()?.delete(id).await
    }

    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()> {
        self.opened()?.append(id, epoch, news).await
    }

    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
        self.opened()?.events(id, after, limit).await
    }

    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
        self.opened()?.history(app, version, limit).await
    }

    async fn sweep(&self) -> StoreResult<SweepReport> {
        self.opened()?.sweep().await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.opened()?.ping().await
    }

    async fn usage(&self) -> StoreResult<Usage> {
        self.opened()?.usage().await
    }

    async fn has_artifact(&self, app: &str, version: &str) -> StoreResult<bool> {
        self.opened()?.has_artifact(app, version).await
    }

    async fn keep_artifact(&self, app: &str, version: &str, artifact: &Artifact) -> StoreResult<()> {
        self.opened()?.keep_artifact(app, version, artifact).await
    }

    async fn artifact(&self, app: &str, version: &str) -> StoreResult<Option<Artifact>> {
        self.opened()?.artifact(app, version).await
    }
}
