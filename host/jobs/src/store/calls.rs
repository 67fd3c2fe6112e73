//! List of a store's calls, for stores that wrap another one.

pub(super) use std::time::Duration;

pub(super) use async_trait::async_trait;
pub(super) use bytes::Bytes;
pub(super) use frond_root::ledger::Position;

pub(super) use crate::job::JobId;
pub(super) use crate::store::{
    AcceptReport, Artifact, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews,
    NewJob, Page, Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo, StoreResult,
    Submission, SweepReport, TakenJob, Usage,
};

/// Passes the list of all calls of [`JobStore`] but `is_shared` to the macro `$wrap`: in brackets
/// those of which more is counted than their errors, then all others.
macro_rules! calls {
    ($wrap:ident) => {
        $wrap! {
            [
                take(owner: &str, apps: &JobFilter, lease: Duration) -> Option<TakenJob>;
                accept(id: JobId, epoch: u64, results: Vec<PartitionResult>) -> AcceptReport;
            ]
            submit(job: NewJob) -> Submission;
            get(id: JobId) -> Job;
            get_of(id: JobId, caller: &str) -> Job;
            bytes_of(caller: &str) -> u64;
            asked(id: JobId) -> JobQuery;
            list(filter: &Filter, page: Page) -> Vec<Job>;
            renew(id: JobId, epoch: u64, lease: Duration) -> LeaseNews;
            wanted(id: JobId, epoch: u64) -> LeaseNews;
            release(id: JobId, epoch: u64) -> ();
            plan(id: JobId, epoch: u64, planned: PlanRecord) -> ();
            partitions(id: JobId, page: &PartitionPage) -> Vec<PartitionRow>;
            partials(id: JobId, after: Option<Position>, max_bytes: u64) -> Vec<Partial>;
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
            has_artifact(app: &str, version: &str) -> bool;
            keep_artifact(app: &str, version: &str, artifact: &Artifact) -> ();
            artifact(app: &str, version: &str) -> Option<Artifact>;
        }
    };
}

pub(super) use calls;
