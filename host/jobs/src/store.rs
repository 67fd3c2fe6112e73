//! Durable store of jobs, as one narrow trait. Two implementations pass one test suite: [`sqlite`]
//! and `postgres`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use frond_root::ledger::Position;

use crate::job::JobId;

mod accounts;
mod calls;
mod counted;
mod error;
mod hooked;
mod late;
pub mod location;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rows;
mod rules;
mod sharing;
mod sql;
pub mod sqlite;
mod submission;
mod types;

pub use accounts::{PastJob, SweepReport, Usage};
pub use counted::{CountedStore, Tally};
#[cfg(feature = "postgres")]
pub(crate) use error::TimedOut;
pub(crate) use error::cause;
pub use error::{Cause, StoreError, StoreResult, chain};
pub use hooked::{Hook, HookedStore};
pub use late::LateStore;
pub(crate) use rules::plan_bytes;
pub use sharing::{Artifact, RunnableJobs};
pub use submission::{Bounds, Idempotency, NewJob, OverBound, Submission};
pub use types::{
    AcceptReport, CancelKind, Counts, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobResult,
    LeaseNews, Locator, Outcome, Page, Partial, PartitionPage, PartitionPlan, PartitionResult, PartitionRow,
    PartitionState, PlanRecord, ResultInfo, TakenJob,
};

/// The durable store of jobs.
///
/// A write that returned `Ok` survives a kill of the process. Each store documents its durability
/// on power failure. A call whose future was dropped, or that fails with
/// [`StoreError::Unavailable`], may or may not have had its effect: ask [`JobStore::get`].
///
/// Methods with an `epoch` are for the job's owner, who got the epoch from [`JobStore::take`]; it
/// is the fencing token of the lease. They fail with [`StoreError::Fenced`], without an effect,
/// once the job has another owner or none: because the owner released or ended it, or because
/// another owner took it after the lease had lapsed.
///
/// All times are by one clock, the store's: the database server's if several processes share the
/// store, this process's otherwise. The store never compares a caller's clock with it, so servers
/// may disagree about the time.
///
/// Every method on a job fails with [`StoreError::NotFound`] if there is no such job. If only its
/// tombstone is left, all but [`JobStore::get`] and [`JobStore::get_of`] fail with
/// [`StoreError::Expired`].
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Stores a job and queues it. If there is a job with the same id, or with the same caller and
    /// idempotency key, returns that job as not fresh instead, so this call can be retried.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the store has no room for a job; [`StoreError::KeyReused`] if the
    /// key was used for a request with another fingerprint; [`StoreError::OverBound`] if a fresh
    /// job would take the app or the caller over its bounds.
    async fn submit(&self, job: NewJob) -> StoreResult<Submission>;

    /// Returns the job, or its tombstone.
    async fn get(&self, id: JobId) -> StoreResult<Job>;

    /// Returns the job, or its tombstone, if it belongs to this caller. A job of another caller, or
    /// of none, is [`StoreError::NotFound`], by the same look-up, so that not even the time reveals
    /// it.
    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job>;

    /// Bytes that this caller's jobs take, without tombstones.
    async fn bytes_of(&self, caller: &str) -> StoreResult<u64>;

    /// Returns the job's query, and the query that its plan made of it. Not part of [`Job`], as it
    /// may be large.
    async fn asked(&self, id: JobId) -> StoreResult<JobQuery>;

    /// Returns the jobs that pass the filter, newest first, tombstones included. Each is without
    /// its required partitions, its account, its coverage, and a reason of more than 1 KiB.
    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>>;

    /// Takes a job for `owner`, for the time of `lease`, under a new epoch: a queued job, or one
    /// whose lease has lapsed. First comes the caller with the fewest jobs under a lease; a weight,
    /// which callers choose themselves, does not count here. Then comes the app with the least work
    /// for its weight (jobs under a lease, divided by the weight of the waiting job); among equals,
    /// the job that has waited longest. `None` if no job that passes the filter waits.
    ///
    /// A job with a plan comes back `running`, to be resumed; one without, `planning`. It may have
    /// been cancelled in the meantime: see [`Job::cancel`].
    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>>;

    /// Renews the lease for another `lease` from now, and returns the news on the job.
    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews>;

    /// Returns the news on the job without renewing the lease.
    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews>;

    /// Returns the job to its former place in the queue. A cancelled job without partials to be
    /// made into an answer ends instead, and is never taken again.
    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()>;

    /// Stores the plan atomically; the job is then `running`. Keys are assumed to be unique, as in
    /// `frond_root::Plan`.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] if there is a plan already: a job is planned only once.
    /// [`StoreError::TooLarge`] for more than [`frond_root::plan::MAX_PARTITIONS`].
    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()>;

    /// Returns partitions by index, with their states.
    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>>;

    /// Stores results, in their order. The first result of a partition counts; later ones are
    /// discarded and counted in the report. Failures are results, too: only [`JobStore::redrive`]
    /// makes room for another.
    ///
    /// The partials of the parts of a partition do not overlap. A part replaces an earlier one of
    /// the same epoch and attempt that begins at the same unit. One that overlaps with another, or
    /// is stored already, is discarded, and so is the partial of a whole partition with parts.
    ///
    /// # Errors
    /// [`StoreError::NoPartition`] if a result names a partition that is not in the plan; then none
    /// is stored.
    async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport>;

    /// Returns accepted partials behind the position `after`, in the order of their positions: as
    /// many as fit into `max_bytes`, but at least one; empty at the end.
    async fn partials(&self, id: JobId, after: Option<Position>, max_bytes: u64) -> StoreResult<Vec<Partial>>;

    /// Moves the job to `merging`: no more partials are awaited.
    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()>;

    /// Ends the job and stores its outcome. A succeeded job is never retried: its partitions and
    /// partials are removed. A cancelled job ends as cancelled, whatever `ended` says, so an
    /// accepted [`JobStore::cancel`] is never lost; its answer is then kept only if the cancel says
    /// so.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] for an answer of a job that is not `merging`. Failing and cancelling
    /// need no merge.
    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job>;

    /// Returns the description of the answer; `None` if there is no answer (yet).
    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>>;

    /// Returns bytes of the answer that this epoch made, from the offset `from`: at most `most`,
    /// and none beyond the end.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if that answer is gone because of a redrive.
    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes>;

    /// Returns the whole answer; `None` if there is no answer (yet).
    async fn result(&self, id: JobId) -> StoreResult<Option<JobResult>> {
        let Some(info) = self.result_info(id).await? else { return Ok(None) };
        let mut bytes = BytesMut::new();
        while (bytes.len() as u64) < info.size {
            let part = self.result_part(id, info.epoch, bytes.len() as u64, RESULT_PART).await?;
            if part.is_empty() {
                return Err(rows::damaged("result"));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Some(JobResult { bytes: bytes.freeze(), content_type: info.content_type }))
    }

    /// Cancels a job. A queued job, or one whose lease has lapsed, has ended when this returns,
    /// unless its partials are to be made into an answer. The owner of a running job learns of the
    /// cancel with its next renewal or poll. A cancel may be repeated: the latest `keep_partial`
    /// counts. From then on the job ends as cancelled.
    ///
    /// # Errors
    /// [`StoreError::Illegal`], late, if the job has ended.
    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job>;

    /// Queues an ended job again for its failed and missing partitions: failed partitions become
    /// pending, and the answer and coverage are removed. Accepted partials stay, including degraded
    /// ones.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] unless the job ended as partial, failed or cancelled.
    async fn redrive(&self, id: JobId) -> StoreResult<Job>;

    /// Sets the retention of the job's answer to `retention_ms` from the job's end.
    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job>;

    /// Makes an ended job a tombstone at once, as the sweep does at the end of its retention.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] unless the job has ended.
    async fn delete(&self, id: JobId) -> StoreResult<Job>;

    /// Stores the owner's report: events, of which only the latest are kept (10,000 unless the
    /// store is configured otherwise), and counts.
    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()>;

    /// Returns the job's events after the number `after` (0: from the first), at most `limit`, and
    /// how many of those are no longer kept.
    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage>;

    /// Returns past run times of succeeded jobs of this version of an app, latest first: the basis
    /// of estimates.
    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>>;

    /// Removes data whose retention is over: jobs become tombstones, tombstones are removed 30 days
    /// later. Their idempotency keys become free. Of each caller, only the latest tombstones are
    /// kept (1,000 unless the store is configured otherwise), here and in [`JobStore::delete`].
    /// Cancelled jobs end here if they have no owner and no partials to be made into an answer.
    /// Idempotent, and may be interrupted anywhere.
    async fn sweep(&self) -> StoreResult<SweepReport>;

    /// Checks that the store can be reached, by its cheapest call.
    async fn ping(&self) -> StoreResult<()>;

    /// Returns the size and the contents of the store in numbers.
    async fn usage(&self) -> StoreResult<Usage>;

    /// True if several servers may share the store. Then the store keeps artifacts, and a job is
    /// left to a server that has the version that planned it.
    fn is_shared(&self) -> bool {
        false
    }

    /// True if the store has the artifact of this version of an app, or needs none. The artifact
    /// then stays for long enough to plan a job.
    async fn has_artifact(&self, _app: &str, _version: &str) -> StoreResult<bool> {
        Ok(true)
    }

    /// Stores the artifact of a version for as long as a job may need it: see [`JobStore::sweep`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if all artifacts together would exceed the store's limit.
    async fn keep_artifact(&self, _app: &str, _version: &str, _artifact: &Artifact) -> StoreResult<()> {
        Ok(())
    }

    /// Returns the artifact of a version, if it is stored.
    async fn artifact(&self, _app: &str, _version: &str) -> StoreResult<Option<Artifact>> {
        Ok(None)
    }
}

/// Bytes of an answer per read.
pub const RESULT_PART: u32 = 256 << 10;

/// Time for which a tombstone stays, in milliseconds.
pub const TOMBSTONE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Most tombstones that one transaction removes, so that others can write in between.
pub(crate) const TOMBSTONES: u32 = 10_000;

/// Most jobs, partitions, events or past jobs that one call returns, whatever its limit.
pub const MAX_PAGE: u32 = 10_000;

/// Default number of events kept per job.
pub const EVENTS_KEPT: u64 = 10_000;

/// Default number of tombstones kept per caller; the oldest are removed first.
pub const TOMBSTONES_KEPT: u64 = 1_000;
