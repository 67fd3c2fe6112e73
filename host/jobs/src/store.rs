//! What is kept of jobs, as one narrow trait. Two implementations pass one suite: [`sqlite`] and `postgres`.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::job::JobId;

mod accounts;
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
pub mod sqlite;
mod submission;
mod types;

pub use accounts::{PastJob, SweepReport, Usage};
pub use counted::{CountedStore, Tally};
#[cfg(feature = "postgres")]
pub(crate) use error::TimedOut;
pub(crate) use error::cause;
pub use error::{Cause, StoreError, chain};
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

/// A store's answer.
pub type StoreResult<T> = Result<T, StoreError>;

/// The durable store of jobs.
///
/// What returned `Ok` is durable: it is there after the process was killed. What a store loses when the power fails, if
/// anything, its own docs say. A future that is dropped may or may not have had its effect; so may one that ends as
/// [`StoreError::Unavailable`]: ask [`JobStore::get`].
///
/// Methods that take an `epoch` are for the job's owner, who got it from [`JobStore::take`]. Each of them ends as
/// [`StoreError::Fenced`], without an effect, as soon as the job has another owner, or none: because the owner has
/// released or ended it itself, or because it was taken by another after the lease had lapsed.
///
/// All times are those of one clock, the store's: the database server's where several processes share one, this
/// process's where it has the store to itself. No caller's clock is ever compared with it, so servers may disagree about
/// the time.
///
/// Every method that names a job ends as [`StoreError::NotFound`] when there is no such job, and all but
/// [`JobStore::get`] as [`StoreError::Expired`] when there is only its tombstone.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Keeps a job and queues it, if the store has room for one: [`StoreError::Full`] else. A job with the same idempotency key of the same caller, or with the same id, is
    /// returned in its place, not fresh; so this can be tried again.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] when the key was used for a request with another fingerprint; [`StoreError::OverBound`]
    /// for a fresh job with which the app or the caller would have more than its bounds say.
    async fn submit(&self, job: NewJob) -> StoreResult<Submission>;

    /// The job, also as a tombstone.
    async fn get(&self, id: JobId) -> StoreResult<Job>;

    /// The job if it is this caller's, also as a tombstone. Another's, or one without a caller, is
    /// [`StoreError::NotFound`]: by the same look-up, so that time tells nothing either.
    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job>;

    /// Bytes that this caller's jobs take, tombstones left out.
    async fn bytes_of(&self, caller: &str) -> StoreResult<u64>;

    /// What the job was asked, and what its plan made of that. Not part of [`Job`], as it may be large.
    async fn asked(&self, id: JobId) -> StoreResult<JobQuery>;

    /// Jobs that pass the filter, newest first, tombstones included.
    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>>;

    /// Takes a job for `owner`, for the time of `lease`, under a new epoch: one that is queued, or whose owner has let its
    /// lease lapse. First the app that has the least at work for its weight (jobs under a lease, divided by the weight of
    /// the job that waits); then the job that has been waiting longest. `None` when no job of these apps waits.
    ///
    /// A job that was planned comes back `running`, to go on with; one that was not, `planning`. It may have been asked
    /// to stop in the meantime: see [`Job::cancel`].
    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>>;

    /// Keeps the job for another `lease` from now, and tells what others want of it.
    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews>;

    /// Tells what others want of a job that the caller holds, without keeping it any longer.
    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews>;

    /// Gives the job back to the queue, at the place that it had there. A job that was asked to stop, and has nothing to
    /// be made into an answer, ends instead: nobody may take it again.
    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()>;

    /// Keeps the plan, whole or not at all; the job then runs. Keys are taken to be unique, as in `frond_root::Plan`.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] when there is a plan: it is never made again. [`StoreError::TooLarge`] for more
    /// than [`frond_root::plan::MAX_PARTITIONS`].
    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()>;

    /// Partitions by index, with what became of them.
    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>>;

    /// Keeps results. The first one of a partition counts; later ones are discarded, and counted in the answer. Failures
    /// are results too: only [`JobStore::redrive`] makes room for another.
    ///
    /// # Errors
    /// [`StoreError::NoPartition`] when one names a partition that is not in the plan: then none is kept.
    async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport>;

    /// Accepted partials of partitions beyond the index `after`, in the order of the partitions: as many as `max_bytes`
    /// hold, but at least one; empty when there are no more.
    async fn partials(&self, id: JobId, after: Option<u32>, max_bytes: u64) -> StoreResult<Vec<Partial>>;

    /// Says that no more partials are waited for: the job is `merging`.
    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()>;

    /// Ends the job, with all that is to be kept of its end. Of one that succeeded nothing is ever tried again: its
    /// partitions go, with their partials. One that was asked to stop ends as cancelled, whatever `ended` says of it:
    /// what [`JobStore::cancel`] has accepted is never lost. Its answer is then kept if the cancel says so.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] for an answer of a job that is not `merging`. Failing and cancelling need no merge.
    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job>;

    /// What is known of the answer; `None` when there is none, or none yet.
    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>>;

    /// Bytes of the answer that this epoch made, from the offset `from` on: at most `most`, and none beyond its end.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when that answer is gone, because of a redrive.
    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes>;

    /// The answer in one piece; `None` when there is none, or none yet.
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

    /// Stops a job. One that waits, or whose owner has let its lease lapse, has ended when this returns, unless its
    /// partials are to be made into an answer; one that is at work is told when it renews its lease, and again when it is
    /// told otherwise: the latest `keep_partial` counts. From then on the job ends as cancelled.
    ///
    /// # Errors
    /// [`StoreError::Illegal`], late, when the job has ended.
    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job>;

    /// Queues an ended job again, for what failed or is missing: its failed partitions are pending again, and its answer
    /// and coverage are gone. What has been accepted, degraded partials included, stays.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] unless the job ended as partial, failed or cancelled.
    async fn redrive(&self, id: JobId) -> StoreResult<Job>;

    /// Keeps the job's answer for `retention_ms` from its end.
    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job>;

    /// Makes a tombstone of an ended job at once, as the sweep does when its time is over.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] unless the job has ended.
    async fn delete(&self, id: JobId) -> StoreResult<Job>;

    /// Keeps what the owner tells of its work: events, of which only the latest are kept, 10,000 unless the store was told
    /// otherwise, and counts.
    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()>;

    /// The job's events that come after the number `after` (0: from the first), at most `limit`, and how many of those are
    /// no longer kept.
    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage>;

    /// What succeeded jobs of this version of an app took, the latest first: what an estimate can stand on.
    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>>;

    /// Forgets what was promised to be kept only until now: jobs become tombstones, tombstones go 30 days later. Their
    /// idempotency keys are free again. Jobs that were asked to stop end here if nobody is at them and nothing of them is to
    /// be made into an answer. Repeats nothing and can be stopped anywhere.
    async fn sweep(&self) -> StoreResult<SweepReport>;

    /// Whether the store can be reached: the cheapest call that there is.
    async fn ping(&self) -> StoreResult<()>;

    /// What the store takes.
    async fn usage(&self) -> StoreResult<Usage>;

    /// True when several servers may share the store: then it keeps artifacts, and a job is left to a server that has the
    /// version which planned it.
    fn is_shared(&self) -> bool {
        false
    }

    /// True when the store has the artifact of this version of an app, or none is needed. It then stays for long enough to
    /// plan a job.
    async fn has_artifact(&self, _app: &str, _version: &str) -> StoreResult<bool> {
        Ok(true)
    }

    /// Keeps the artifact of a version, for as long as a job may need it: see [`JobStore::sweep`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] when all artifacts together would be more than the store keeps.
    async fn keep_artifact(&self, _app: &str, _version: &str, _artifact: &Artifact) -> StoreResult<()> {
        Ok(())
    }

    /// The artifact of a version, if it is kept.
    async fn artifact(&self, _app: &str, _version: &str) -> StoreResult<Option<Artifact>> {
        Ok(None)
    }
}

/// The bytes of an answer that are read at once.
pub const RESULT_PART: u32 = 1 << 20;

/// How long a tombstone stays, in milliseconds.
pub const TOMBSTONE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The most tombstones that one transaction drops: others write in between.
pub(crate) const TOMBSTONES: u32 = 10_000;

/// The most jobs, partitions, events or past jobs that one call returns, whatever limit it is given.
pub const MAX_PAGE: u32 = 10_000;

/// The events kept of a job, unless the store is told otherwise.
pub const EVENTS_KEPT: u64 = 10_000;
