//! What goes into a store and comes out of it.

use bytes::Bytes;
use frond_root::{Failure, Floor, PartitionKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::account::Account;
use crate::job::{End, JobId, JobState, UnixMs};

use super::sharing::RunnableJobs;

/// A job as it is kept, without its large parts.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Where it is.
    pub state: JobState,
    /// The app's name.
    pub app: String,
    /// The version of the app that planned it; before that, the one that it was submitted to.
    pub version: String,
    /// How much must be there.
    pub floor: Floor,
    /// Partitions that must be there whatever the floor says.
    pub required: Vec<PartitionKey>,
    /// How long it may run.
    pub run_timeout_ms: u64,
    /// How long its answer is kept.
    pub retention_ms: u64,
    /// Its app's share beside others.
    pub weight: u32,
    /// Who asked.
    pub caller: Option<String>,
    /// When it was asked for.
    pub created: UnixMs,
    /// When it was first taken, since the latest redrive if there was one. The run timeout counts from here.
    pub started: Option<UnixMs>,
    /// When it ended.
    pub finished: Option<UnixMs>,
    /// When its answer goes; in a tombstone, when it went.
    pub expires: Option<UnixMs>,
    /// Who holds it.
    pub owner: Option<String>,
    /// How often it was taken: which of its owners holds it.
    pub epoch: u64,
    /// Until when it is held.
    pub lease_until: Option<UnixMs>,
    /// Set once it was asked to stop while it was at work.
    pub cancel: Option<CancelKind>,
    /// True once it has a plan.
    pub planned: bool,
    /// How far it is.
    pub counts: Counts,
    /// How many events it has had: the number of the last one.
    pub events: u64,
    /// How often it was taken since something of it was last kept: owners that are gone without a result, and the one that
    /// holds it.
    pub strikes: u64,
    /// What its owners have told of all its lives.
    pub account: Account,
    /// Bytes that are kept of it: query, plan, partials and answer, without its events.
    pub bytes: u64,
    /// Why it ended as it did: `frond_root::Reason` as JSON, or what its owner made of it.
    pub reason: Option<Value>,
    /// The account of its answer: `frond_root::Coverage` as JSON.
    pub coverage: Option<Value>,
}

/// What the job was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobQuery {
    /// The query.
    pub query: Bytes,
    /// What leaves and merges get in its place, when the plan says so.
    pub planned: Option<Bytes>,
}

/// How far a job is. What is neither done, degraded nor failed is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// All partitions; 0 before there is a plan.
    pub partitions: u64,
    /// Their weight.
    pub weight: u64,
    /// Those with a whole partial.
    pub done: u64,
    /// Those with a cut-off one.
    pub degraded: u64,
    /// Those that failed.
    pub failed: u64,
    /// The weight of those that are done or degraded.
    pub settled_weight: u64,
    /// Attempts of leaves that began, all owners' together, as far as these have told.
    pub attempts: u64,
    /// Those that have failed with the owner of the moment, as far as that has told: it may turn out otherwise. 0 once the
    /// job has ended.
    pub failing: u64,
}

/// What an owner tells of its work while it is at it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EventBatch {
    /// Events, each one line of JSON, to be numbered from 1.
    pub lines: Vec<String>,
    /// Attempts of leaves that began since it last told.
    pub attempts: u64,
    /// Partitions that have failed by now.
    pub failing: u64,
    /// The account of all lives up to now; `None` leaves the one that was told before.
    pub account: Option<Account>,
}

/// How a job was asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelKind {
    /// True when what has arrived should be made into an answer.
    pub keep_partial: bool,
}

/// Which jobs to list. What is empty or `None` does not restrict.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Of this app.
    pub app: Option<String>,
    /// In one of these states.
    pub states: Vec<JobState>,
    /// Of this caller.
    pub caller: Option<String>,
}

/// Which part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// What comes after this one; from the first when `None`.
    pub after: Option<JobId>,
    /// The most to return.
    pub limit: u32,
}

/// Whose jobs an owner can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobFilter {
    /// Every app's.
    All,
    /// Only those of these.
    Only(Vec<String>),
    /// All but those of these: of apps that have as much at work as they may, for one.
    Except(Vec<String>),
    /// Only those of these that the owner can run: see [`RunnableJobs`]. A store that is not shared takes it as [`JobFilter::Only`].
    Runnable(RunnableJobs),
}

/// A job that was taken.
#[derive(Clone, PartialEq, Debug)]
pub struct TakenJob {
    /// The job, `planning` or, when it has a plan, `running`.
    pub job: Job,
    /// What the owner's writes carry.
    pub epoch: u64,
    /// When it was taken: how long it has run is counted from there on by the owner.
    pub at: UnixMs,
}

/// What an owner is told when it renews its lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaseNews {
    /// Set when it should stop.
    pub cancel: Option<CancelKind>,
}

/// A plan.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PlanRecord {
    /// The version of the app that made it: the job's from now on.
    pub version: String,
    /// What leaves and merges get in the place of the query, if anything.
    pub query: Option<Bytes>,
    /// The partitions, by index.
    pub partitions: Vec<PartitionPlan>,
}

/// One piece of a job's work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionPlan {
    /// Its stable name.
    pub key: PartitionKey,
    /// Its share of the work.
    pub weight: u64,
    /// What its leaf reads.
    pub place: Locator,
}

/// Where a partition's content is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Locator {
    /// Here.
    Inline(Bytes),
    /// Where this text says; opaque to the store.
    Elsewhere(String),
}

/// Which partitions to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionPage {
    /// Those beyond this index; from the first when `None`.
    pub after: Option<u32>,
    /// The most to return.
    pub limit: u32,
    /// Those in one of these states; all when empty.
    pub states: Vec<PartitionState>,
}

/// Where a partition is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionState {
    /// It has no result.
    Pending,
    /// Its partial is kept.
    Done,
    /// It was cut off; what it had emitted is kept.
    Degraded,
    /// It failed.
    Failed,
}

impl PartitionState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Degraded, Self::Failed];

    /// The spelling used in JSON and SQL.
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

/// A partition as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionRow {
    /// Its position in the plan.
    pub index: u32,
    /// Its stable name.
    pub key: PartitionKey,
    /// Its share of the work.
    pub weight: u64,
    /// What its leaf reads.
    pub place: Locator,
    /// Where it is.
    pub state: PartitionState,
    /// The attempt whose result is kept, from 1; 0 while pending.
    pub attempts: u32,
    /// How long that attempt ran; 0 while pending.
    pub run_ms: u64,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// A partition's result.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionResult {
    /// The partition's position in the plan.
    pub index: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// How long its leaf ran.
    pub run_ms: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a partition.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// A partial.
    Done(Bytes),
    /// What was emitted before it was cut off.
    Degraded(Bytes),
    /// Nothing.
    Failed(Failure),
}

/// What became of the results that were handed in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AcceptReport {
    /// The partitions that had none before, ascending.
    pub fresh: Vec<u32>,
    /// How many came too late.
    pub discarded: u32,
}

/// A partial that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial {
    /// Its partition.
    pub index: u32,
    /// What the leaf returned.
    pub bytes: Bytes,
    /// True when it was cut off.
    pub degraded: bool,
}

/// A job's end.
#[derive(Clone, PartialEq, Debug)]
pub struct JobEnd {
    /// How.
    pub end: End,
    /// Why.
    pub reason: Option<Value>,
    /// The account.
    pub coverage: Value,
    /// The answer.
    pub result: Option<Bytes>,
    /// What the answer is written in, as HTTP names it.
    pub content_type: Option<String>,
}

/// What is known of a job's answer before it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultInfo {
    /// Its bytes.
    pub size: u64,
    /// What it is written in, as HTTP names it.
    pub content_type: Option<String>,
    /// The epoch of the owner who made it: parts are asked for by it, as a redrive makes another answer.
    pub epoch: u64,
}

/// A job's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobResult {
    /// The answer.
    pub bytes: Bytes,
    /// What it is written in, as HTTP names it.
    pub content_type: Option<String>,
}

/// A part of a job's events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventPage {
    /// The events with their numbers, ascending.
    pub events: Vec<(u64, String)>,
    /// How many between `after` and the first of them are no longer kept.
    pub missed: u64,
}
