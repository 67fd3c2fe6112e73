//! Inputs and outputs of a store.

use std::sync::Arc;

use bytes::Bytes;
use frond_root::ledger::PartialRange;
use frond_root::{Failure, Floor, PartitionKey, Tenant};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::account::Account;
use crate::job::{End, JobId, JobState, UnixMs};

use super::sharing::RunnableJobs;

/// A stored job, without its large parts.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Job {
    /// Id of the job.
    pub id: JobId,
    /// State of the job.
    pub state: JobState,
    /// Name of the app.
    pub app: String,
    /// Version of the app that planned the job; before that, the version that the job was submitted
    /// to.
    pub version: String,
    /// Least coverage of the answer.
    pub floor: Floor,
    /// Partitions that the answer must include whatever the floor.
    pub required: Vec<PartitionKey>,
    /// Run timeout, in milliseconds.
    pub run_timeout_ms: u64,
    /// Retention of the answer after the job's end, in milliseconds.
    pub retention_ms: u64,
    /// Weight of the app among others.
    pub weight: u32,
    /// Name of the submitting token.
    pub caller: Option<String>,
    /// Time of the submission.
    pub created: UnixMs,
    /// Time when the job was first taken, or first taken after the latest redrive. The run timeout
    /// starts here.
    pub started: Option<UnixMs>,
    /// Time when the job ended.
    pub finished: Option<UnixMs>,
    /// Time when the answer expires; for a tombstone, when it expired.
    pub expires: Option<UnixMs>,
    /// Current owner.
    pub owner: Option<String>,
    /// Number of times that the job was taken; identifies the owner as a fencing token.
    pub epoch: u64,
    /// Time when the lease lapses.
    pub lease_until: Option<UnixMs>,
    /// Set once the job was cancelled.
    pub cancel: Option<CancelKind>,
    /// True once the job has a plan.
    pub planned: bool,
    /// Progress of the job.
    pub counts: Counts,
    /// Number of the latest event, counted from 1.
    pub events: u64,
    /// Number of takes since a result or plan was last stored: owners lost without a result, and
    /// the current one.
    pub strikes: u64,
    /// Sums of attempts, failures and times over all lives, as reported by the owners.
    pub account: Account,
    /// Stored bytes of the job: query, required keys, plan, partials and answer, without its
    /// events.
    pub bytes: u64,
    /// Reason of the job's end: `frond_root::Reason` as JSON, or a reason of its owner.
    pub reason: Option<Value>,
    /// Coverage of the answer: `frond_root::Coverage` as JSON.
    pub coverage: Option<Value>,
}

impl Job {
    /// The fair-share group of the job, where `app` is that of its app.
    #[must_use]
    pub fn tenant(&self, app: Tenant) -> Tenant {
        match &self.caller {
            Some(caller) => Tenant { caller: Arc::from(caller.as_str()), ..app },
            None => app,
        }
    }
}

/// Query of a job, as its caller sent it and as the plan replaced it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobQuery {
    /// The query.
    pub query: Bytes,
    /// The query for leaves and merges, if the plan replaced it.
    pub planned: Option<Bytes>,
}

/// Progress of a job in numbers of partitions. Partitions that are neither done, degraded nor
/// failed are pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// All partitions; 0 without a plan.
    pub partitions: u64,
    /// Total weight of the partitions.
    pub weight: u64,
    /// Partitions with a complete partial, or with parts that account for all of them.
    pub done: u64,
    /// Partitions with a partial that was cut off.
    pub degraded: u64,
    /// Failed partitions.
    pub failed: u64,
    /// Weight of the partitions that are done or degraded, and of the stored parts of others.
    pub settled_weight: u64,
    /// Started attempts of leaves, over all owners, as far as reported.
    pub attempts: u64,
    /// Partitions that failed under the current owner, as far as reported; they may still succeed
    /// later. 0 once the job has ended.
    pub failing: u64,
}

/// Report of an owner on its running work.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventBatch {
    /// Events, each one line of JSON; the store numbers them from 1.
    pub lines: Vec<String>,
    /// Attempts of leaves that started since the previous report.
    pub attempts: u64,
    /// Partitions that have failed so far.
    pub failing: u64,
    /// Account of all lives so far; `None` keeps the previous one.
    pub account: Option<Account>,
}

/// Kind of a cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelKind {
    /// True if the accepted partials are to be made into an answer.
    pub keep_partial: bool,
}

/// Filter of listed jobs. Empty lists and `None` do not restrict.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Jobs of this app.
    pub app: Option<String>,
    /// Jobs in one of these states.
    pub states: Vec<JobState>,
    /// Jobs of this caller.
    pub caller: Option<String>,
}

/// A page of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Cursor: the page starts after this job, or at the first one if `None`.
    pub after: Option<JobId>,
    /// Most jobs to return.
    pub limit: u32,
}

/// Filter of the jobs that an owner can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobFilter {
    /// Jobs of all apps.
    All,
    /// Jobs of these apps.
    Only(Vec<String>),
    /// Jobs of all apps but these, for example because these apps are at their limit.
    Except(Vec<String>),
    /// Jobs that the owner can run: see [`RunnableJobs`]. A store that is not shared treats it as
    /// [`JobFilter::Only`].
    Runnable(RunnableJobs),
    /// Jobs that pass another filter and are not this caller's.
    NotOf {
        /// The caller; `None` stands for the jobs without one.
        caller: Option<String>,
        /// The other filter.
        among: Box<JobFilter>,
    },
}

/// A job just taken by an owner.
#[derive(Clone, PartialEq, Debug)]
pub struct TakenJob {
    /// The job: `planning`, or `running` if it has a plan.
    pub job: Job,
    /// Epoch of the lease: the fencing token of the owner's writes.
    pub epoch: u64,
    /// Time of the take. The owner counts the job's run time from here.
    pub at: UnixMs,
}

/// News on a job for its owner, returned by a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaseNews {
    /// Set if the job was cancelled.
    pub cancel: Option<CancelKind>,
}

/// A plan to be stored.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PlanRecord {
    /// Version of the app that made the plan; becomes the job's version.
    pub version: String,
    /// The query for leaves and merges, if it replaces the job's.
    pub query: Option<Bytes>,
    /// Partitions, by index.
    pub partitions: Vec<PartitionPlan>,
}

/// One partition of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionPlan {
    /// Stable name of the partition.
    pub key: PartitionKey,
    /// Weight of the partition.
    pub weight: u64,
    /// Location of the content that its leaf reads.
    pub place: Locator,
}

/// Location of a partition's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Locator {
    /// The content itself.
    Inline(Bytes),
    /// Text that locates the content; opaque to the store.
    Elsewhere(String),
}

/// A page of a job's partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionPage {
    /// Cursor: the page starts after this index, or at the first one if `None`.
    pub after: Option<u32>,
    /// Most partitions to return.
    pub limit: u32,
    /// Partitions in one of these states; all if empty.
    pub states: Vec<PartitionState>,
}

/// State of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionState {
    /// There is no result.
    Pending,
    /// The partial is stored.
    Done,
    /// The leaf was cut off; its output so far is stored.
    Degraded,
    /// The partition failed.
    Failed,
}

impl PartitionState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Degraded, Self::Failed];

    /// Name of the state in JSON and SQL.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// A stored partition.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionRow {
    /// Index in the plan.
    pub index: u32,
    /// Stable name of the partition.
    pub key: PartitionKey,
    /// Weight of the partition.
    pub weight: u64,
    /// Location of the content that its leaf reads.
    pub place: Locator,
    /// State of the partition.
    pub state: PartitionState,
    /// Latest attempt of which something is stored, from 1; 0 if nothing is.
    pub attempts: u32,
    /// Run time of the attempts of which something is stored, in milliseconds.
    pub run_ms: u64,
    /// Failure of the partition, if it failed.
    pub failure: Option<Failure>,
    /// Parts whose partials are stored, ascending; empty if the partial of the whole is.
    pub parts: Vec<PartialRange>,
}

/// Result of a partition.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionResult {
    /// Index of the partition in the plan.
    pub index: u32,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Epoch of the lease under which the attempt ran; `None` for that under which it is stored.
    pub epoch: Option<u64>,
    /// Run time of the leaf, in milliseconds.
    pub run_ms: u64,
    /// Outcome of the attempt.
    pub outcome: Outcome,
}

/// Outcome of a partition.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// A complete partial.
    Done(Bytes),
    /// The partial of a part. The partition is done once its parts account for all of it.
    Part(PartialRange, Bytes),
    /// The output of a leaf that was cut off.
    Degraded(Bytes),
    /// No output.
    Failed(Failure),
}

impl Outcome {
    /// State of a partition without parts.
    pub(crate) fn state(&self) -> PartitionState {
        match self {
            Self::Done(_) | Self::Part(..) => PartitionState::Done,
            Self::Degraded(_) => PartitionState::Degraded,
            Self::Failed(_) => PartitionState::Failed,
        }
    }

    /// Output of the leaf.
    pub(crate) fn partial(&self) -> Option<&Bytes> {
        match self {
            Self::Done(bytes) | Self::Part(_, bytes) | Self::Degraded(bytes) => Some(bytes),
            Self::Failed(_) => None,
        }
    }
}

/// Outcome of accepting results.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AcceptReport {
    /// Indexes of the partitions of the stored results, ascending; an index for each result.
    pub fresh: Vec<u32>,
    /// Number of late results, discarded because their partitions or units had one.
    pub discarded: u32,
}

/// An accepted partial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial {
    /// Index of the partition.
    pub index: u32,
    /// Part of the partition; `None` for the whole.
    pub range: Option<PartialRange>,
    /// Output of the leaf.
    pub bytes: Bytes,
    /// True if the leaf was cut off.
    pub degraded: bool,
}

/// End of a job.
#[derive(Clone, PartialEq, Debug)]
pub struct JobEnd {
    /// Outcome of the job.
    pub end: End,
    /// Reason of the outcome.
    pub reason: Option<Value>,
    /// Coverage of the answer.
    pub coverage: Value,
    /// The answer.
    pub result: Option<Bytes>,
    /// Media type of the answer.
    pub content_type: Option<String>,
}

/// Description of a job's answer, without its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultInfo {
    /// Size in bytes.
    pub size: u64,
    /// Media type of the answer.
    pub content_type: Option<String>,
    /// Epoch of the owner that made the answer. Parts are requested with it, since a redrive makes
    /// another answer.
    pub epoch: u64,
}

/// Answer of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobResult {
    /// Bytes of the answer.
    pub bytes: Bytes,
    /// Media type of the answer.
    pub content_type: Option<String>,
}

/// A page of a job's events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventPage {
    /// Events with their numbers, ascending.
    pub events: Vec<(u64, String)>,
    /// Number of events between `after` and the first event here that are no longer kept.
    pub missed: u64,
}
