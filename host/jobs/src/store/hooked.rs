//! A store whose calls can be counted, delayed and failed, for tests of code that uses a store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::job::JobId;

use super::{
    AcceptReport, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews, NewJob, Page,
    Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo, StoreResult, Submission,
    SweepReport, TakenJob, Usage,
};

/// Hook that runs before a call, with the name of its method. The call is made once the hook
/// resolves, unless the hook fails.
pub type Hook = Box<dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = StoreResult<()>> + Send>> + Send + Sync>;

/// A store with a hook before each call.
pub struct HookedStore {
    store: Arc<dyn JobStore>,
    hook: Hook,
    after: Option<Hook>,
}

impl HookedStore {
    /// Runs `hook` before each call to `store`.
    #[must_use]
    pub fn new(store: Arc<dyn JobStore>, hook: Hook) -> Self {
        Self { store, hook, after: None }
    }

    /// Runs `after` once a call to the store has returned, before its caller learns the result.
    #[must_use]
    pub fn and_after(self, after: Hook) -> Self {
        Self { after: Some(after), ..self }
    }
}

macro_rules! hooked {
    ($($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl JobStore for HookedStore {
            $(async fn $name(&self, $($value: $kind),*) -> StoreResult<$answer> {
                (self.hook)(stringify!($name)).await?;
                let result = self.store.$name($($value),*).await;
                if let Some(after) = &self.after {
                    after(stringify!($name)).await?;
                }
                result
            })*
        }
    };
}

hooked! {
    submit(job: NewJob) -> Submission;
    get(id: JobId) -> Job;
    get_of(id: JobId, caller: &str) -> Job;
    bytes_of(caller: &str) -> u64;
    asked(id: JobId) -> JobQuery;
    list(filter: &Filter, page: Page) -> Vec<Job>;
    take(owner: &str, apps: &JobFilter, lease: Duration) -> Option<TakenJob>;
    renew(id: JobId, epoch: u64, lease: Duration) -> LeaseNews;
    wanted(id: JobId, epoch: u64) -> LeaseNews;
    release(id: JobId, epoch: u64) -> ();
    plan(id: JobId, epoch: u64, planned: PlanRecord) -> ();
    partitions(id: JobId, page: &PartitionPage) -> Vec<PartitionRow>;
    accept(id: JobId, epoch: u64, results: Vec<PartitionResult>) -> AcceptReport;
    partials(id: JobId, after: Option<u32>, max_bytes: u64) -> Vec<Partial>;
    merge(id: JobId, epoch: u64) -> ();
    finish(id: JobId, epoch: u64, ended: JobEnd) -> Job;
    result_info(id: JobId) -> Option<ResultInfo>;
    result_part(id: JobId, epoch: u64, from: u64, most: u32) -> Bytes;
    cancel(id: JobId, keep_partial: bool) -> Job;
    redrive(id: JobId) -> Job;
    retain(id: JobId, retention_ms: u64) -> Job;
    delete(id: JobId) -> Job;
    append(id: JobId, epoch: u64, news: EventBatch) -> ();
    events(id: JobId, after: u64, limit: u32) -> EventPage;
    history(app: &str, version: &str, limit: u32) -> Vec<PastJob>;
    sweep() -> SweepReport;
    ping() -> ();
    usage() -> Usage;
}
