//! Events of a query as one enum: the only source of progress displays, recordings and views.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::answer::{Coverage, Reason, Status};
use crate::call::Usage;
use crate::failure::{Failure, FailureKind};
use crate::ids::{PartitionKey, QueryId};
use crate::request::Floor;
use crate::runner::Covered;
use crate::share::Part;
use crate::worker_times::WorkerTimes;

/// Version of the recorded format. A reader refuses a newer one.
pub const FORMAT_VERSION: u32 = 1;

/// The most bytes of log lines of successful leaves in one query's events. Lines beyond that are
/// only counted.
pub const MAX_LOGS: usize = 64 << 10;

/// One event with its time.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Event {
    /// Microseconds since the query began.
    pub at: u64,
    /// The event.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Reason why the gather stopped waiting.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum GatherEnd {
    /// Every partition is settled.
    AllSettled,
    /// The gather's share of the deadline is over.
    Deadline,
    /// The floor is reached and the adaptive wait is over.
    WaitOver,
    /// The floor or a required partition is out of reach.
    OutOfReach,
    /// A leaf rejected the query.
    InvalidQuery,
    /// A merge failed.
    MergeFailed,
    /// The query was cancelled.
    Cancelled,
}

/// Part of a partition that an ended attempt had, in units of the partition.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct EndedPart {
    /// First unit.
    pub begin: u64,
    /// Unit after the last that its partial covers, or that it skipped.
    pub done: u64,
    /// Unit after the last that was left to it, after all cuts.
    pub end: u64,
    /// All units of the partition.
    pub of: u64,
    /// Units that were handed out to the attempt and that its partial does not have, because it
    /// failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

impl EndedPart {
    /// The part of an attempt that has succeeded or failed.
    #[must_use]
    pub fn new(part: &Part, is_success: bool) -> Self {
        let done = if is_success { part.accounted() } else { part.kept };
        let dropped = if is_success { 0 } else { part.taken - part.kept };
        Self { begin: part.stretch.begin, done, end: part.stretch.end, of: part.units, dropped }
    }

    /// True if the attempt had the whole partition, and did all of it in a success, or was handed
    /// out nothing in a failure.
    #[must_use]
    pub fn is_plain(&self, is_success: bool) -> bool {
        let plain = if is_success { self.end } else { self.begin };
        self.begin == 0 && self.end == self.of && self.done == plain && self.dropped == 0
    }
}

/// Events of a query. Times are in microseconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The query was accepted.
    QueryStarted {
        /// [`FORMAT_VERSION`].
        version: u32,
        /// The query.
        query: QueryId,
        /// The app's name.
        app: String,
        /// Time from the start to the answer.
        deadline: u64,
        /// The most leaves at once.
        slots: usize,
        /// Floor that the request asks for.
        floor: Floor,
        /// Start in Unix milliseconds.
        unix_ms: u64,
    },
    /// The plan is made.
    Planned {
        /// Number of partitions.
        partitions: u64,
        /// Sum of their weights.
        weight: u64,
        /// Time at which leaves are cut off.
        leaf_deadline: u64,
        /// Time at which the gather ends.
        gather_deadline: u64,
    },
    /// A leaf began.
    AttemptStarted {
        /// The partition's index.
        partition: u32,
        /// Its key.
        key: PartitionKey,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Slot that the leaf runs on.
        slot: u32,
        /// The partition's weight; 0 in recordings that lack it.
        #[serde(default)]
        weight: u64,
        /// Units of the partition that the attempt has: the first, and the one after the last.
        /// `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        units: Option<(u64, u64)>,
        /// Number of the attempt whose share was cut for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut_from: Option<u32>,
        /// Number of the running attempt that it copies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy_of: Option<u32>,
        /// Name of the worker that runs it; `None` for the root's own process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<String>,
    },
    /// A leaf ended.
    AttemptEnded {
        /// The partition's index.
        partition: u32,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Slot that the leaf ran on.
        slot: u32,
        /// The failure; `None` for a success.
        failure: Option<Failure>,
        /// Resources that the call used.
        usage: Usage,
        /// Last log lines of a successful leaf, within [`MAX_LOGS`] for all of the query's leaves.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
        /// Number of earlier calls that the same instance served; 0 for a fresh instance.
        #[serde(default, skip_serializing_if = "is_zero")]
        earlier: u32,
        /// Time for which the leaf waited without a slot, in microseconds.
        #[serde(default, skip_serializing_if = "is_zero")]
        waited: u64,
        /// Its longest waits, each from its start to its end, in microseconds since the query's
        /// start; at most [`MAX_WAITS`](crate::waits::MAX_WAITS).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waits: Vec<(u64, u64)>,
        /// Part of the partition that the attempt had; `None` if it had and took all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<EndedPart>,
        /// Times on the worker that ran it; `None` for the root's own process, or if the worker did
        /// not report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_worker: Option<Box<WorkerTimes>>,
        /// True if another attempt at the same units was done first: this one counts for nothing.
        #[serde(default, skip_serializing_if = "is_false")]
        beaten: bool,
    },
    /// A retry of a failed attempt is scheduled.
    RetryScheduled {
        /// The partition's index.
        partition: u32,
        /// Number of the coming attempt.
        attempt: u32,
        /// Earliest start of the retry.
        start: u64,
    },
    /// A partition is settled without a success.
    PartitionMissing {
        /// The partition's index.
        partition: u32,
        /// Its key.
        key: PartitionKey,
        /// Outcome of the partition.
        status: Status,
        /// Slug of the last failure.
        slug: Option<FailureKind>,
    },
    /// A merge began.
    FoldStarted {
        /// Number of the fold, from 0.
        fold: u32,
        /// Number of its inputs.
        inputs: u32,
        /// Bytes of its inputs.
        bytes: u64,
    },
    /// A merge ended.
    FoldEnded {
        /// Number of the fold, from 0.
        fold: u32,
        /// Bytes of its result.
        bytes: u64,
        /// The failure; `None` for a success.
        failure: Option<Failure>,
    },
    /// The floor is reached and no required partition is missing.
    FloorReached {
        /// Covered share of the weight.
        fraction: f64,
    },
    /// Backpressure starts or ends: no leaves start while too much memory is taken by partials.
    Held {
        /// True when it starts.
        held: bool,
        /// Bytes of partials held in memory.
        bytes: u64,
    },
    /// The gather ended: nothing more is waited for.
    GatherEnded {
        /// Reason of the end.
        why: GatherEnd,
    },
    /// The last step, `finish`, began.
    FinishStarted {},
    /// The query is over.
    QueryEnded {
        /// `complete`, `partial` or `failed`.
        outcome: String,
        /// Reason of the failure. Also `None` for a query that ended in an error before it was
        /// scattered: its caller gets the error.
        reason: Option<Reason>,
        /// Account of the query.
        coverage: Box<Coverage>,
    },
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// Observer of events. It is called in order, from the query's task, and must not block for long.
pub trait Listener: Send + Sync {
    /// Receives one event.
    fn event(&self, event: &Event);
}

/// Observer of previews: the answer as it would be so far, while leaves still run. A preview merges
/// and finishes the current partials, beside the query's own merges. A preview that fails, or that
/// would be too large for one merge, is left out.
pub trait Preview: Send + Sync {
    /// The least time between two previews.
    fn every(&self) -> Duration;

    /// Receives one preview: the answer so far and its coverage, as of `since_start`.
    fn take(&self, since_start: Duration, body: Bytes, covered: Covered);
}

/// Observers of one query. Events are only built when there is a listener.
#[derive(Clone, Default)]
pub struct Events {
    listeners: Vec<Arc<dyn Listener>>,
    preview: Option<Arc<dyn Preview>>,
}

impl Events {
    /// Sends every event to each of `listeners`.
    #[must_use]
    pub fn new(listeners: Vec<Arc<dyn Listener>>) -> Self {
        Self { listeners, preview: None }
    }

    /// Adds a listener.
    #[must_use]
    pub fn and(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Adds an observer of previews.
    #[must_use]
    pub fn previewing(self, preview: Arc<dyn Preview>) -> Self {
        Self { preview: Some(preview), ..self }
    }

    pub(crate) fn preview(&self) -> Option<&Arc<dyn Preview>> {
        self.preview.as_ref()
    }

    /// True when there is a listener.
    #[must_use]
    pub fn wanted(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Builds the event if there is a listener, and sends it to each.
    pub fn emit(&self, since_start: Duration, kind: impl FnOnce() -> EventKind) {
        if self.wanted() {
            let at = u64::try_from(since_start.as_micros()).unwrap_or(u64::MAX);
            let event = Event { at, kind: kind() };
            for listener in &self.listeners {
                listener.event(&event);
            }
        }
    }
}
