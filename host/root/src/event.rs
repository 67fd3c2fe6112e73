//! Everything that happens to a query, as one enum: the only source for progress, recording and every view.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::answer::{Coverage, Reason, Status};
use crate::failure::{Failure, FailureKind};
use crate::ids::{PartitionKey, QueryId};
use crate::request::Floor;
use crate::runner::Covered;

/// The version of the recorded form. A reader refuses a newer one.
pub const FORMAT_VERSION: u32 = 1;

/// The bytes of lines that the events of one query tell of leaves that succeed; those of later leaves are only counted.
pub const MAX_LOGS: usize = 64 << 10;

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Event {
    /// Microseconds since the query began.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What a guest call used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Usage {
    /// Fuel consumed; 0 when unmetered.
    pub fuel: u64,
    /// The most linear memory held at once, in bytes, summed over the store.
    pub memory: u64,
    /// Bytes of result.
    pub output: u64,
    /// Bytes written to stdout and stderr, those above the cap included.
    pub log: u64,
}

/// Why the gather stopped waiting.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum GatherEnd {
    /// Every partition is settled.
    AllSettled,
    /// The gather's share of the deadline is over.
    Deadline,
    /// The floor is reached and the adaptive wait is over.
    WaitOver,
    /// The floor, or a required partition, can no longer be had.
    OutOfReach,
    /// A leaf said that the query is wrong.
    InvalidQuery,
    /// A merge failed.
    MergeFailed,
    /// The query was cancelled.
    Cancelled,
}

/// The events. Times are in microseconds, sizes in bytes.
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
        /// From the start to the answer.
        deadline: u64,
        /// Leaves at once.
        slots: usize,
        /// How much must be there.
        floor: Floor,
        /// When it began, in Unix milliseconds.
        unix_ms: u64,
    },
    /// The work is cut.
    Planned {
        /// How many partitions.
        partitions: u64,
        /// Their weight.
        weight: u64,
        /// When leaves are cut off.
        leaf_deadline: u64,
        /// When the gather ends.
        gather_deadline: u64,
    },
    /// A leaf began.
    AttemptStarted {
        /// The partition's index.
        partition: u32,
        /// Its key.
        key: PartitionKey,
        /// The attempt, from 1.
        attempt: u32,
        /// The slot that it runs on.
        slot: u32,
        /// The partition's weight; 0 in recordings that do not tell it.
        #[serde(default)]
        weight: u64,
    },
    /// A leaf ended.
    AttemptEnded {
        /// The partition's index.
        partition: u32,
        /// The attempt.
        attempt: u32,
        /// The slot.
        slot: u32,
        /// `None` for a success.
        failure: Option<Failure>,
        /// What it used.
        usage: Usage,
        /// The last lines that a leaf wrote which succeeded, within [`MAX_LOGS`] of all of the query's leaves.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
    /// A failed attempt will be tried again.
    RetryScheduled {
        /// The partition's index.
        partition: u32,
        /// The coming attempt.
        attempt: u32,
        /// When it may start.
        start: u64,
    },
    /// A partition is settled without a success.
    PartitionMissing {
        /// The partition's index.
        partition: u32,
        /// Its key.
        key: PartitionKey,
        /// What became of it.
        status: Status,
        /// The slug of its last failure.
        slug: Option<FailureKind>,
    },
    /// A merge began.
    FoldStarted {
        /// Which one, from 0.
        fold: u32,
        /// Partials in.
        inputs: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// A merge ended.
    FoldEnded {
        /// Which one.
        fold: u32,
        /// Bytes out.
        bytes: u64,
        /// `None` for a success.
        failure: Option<Failure>,
    },
    /// Enough is there.
    FloorReached {
        /// The covered share of the weight.
        fraction: f64,
    },
    /// Leaves are held back, or let go on, for the memory of partials.
    Held {
        /// True when held back.
        held: bool,
        /// Bytes of partials held.
        bytes: u64,
    },
    /// No more partials are waited for.
    GatherEnded {
        /// Why.
        why: GatherEnd,
    },
    /// The last step began.
    FinishStarted {},
    /// The query is over.
    QueryEnded {
        /// `complete`, `partial` or `failed`.
        outcome: String,
        /// Why it failed, if it did; `None` also for a query that could not be scattered, whose caller has the error.
        reason: Option<Reason>,
        /// The account.
        coverage: Box<Coverage>,
    },
}

/// Who wants to know. Called in order, from the query's own task: it must not block for long.
pub trait Listener: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// Who wants to know what the answer would be by now, while leaves still run. What there is is merged and finished for
/// it, beside the query's own merges; a preview that fails, or that would be too large for one merge, is left out.
pub trait Preview: Send + Sync {
    /// The shortest time between two.
    fn every(&self) -> Duration;

    /// Takes one: the answer so far, and what is in it, as of `since_start`.
    fn take(&self, since_start: Duration, body: Bytes, covered: Covered);
}

/// The listeners of one query. Events are only made when there is one.
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

    /// The same, with previews of the answer for `preview`.
    #[must_use]
    pub fn previewing(self, preview: Arc<dyn Preview>) -> Self {
        Self { preview: Some(preview), ..self }
    }

    pub(crate) fn preview(&self) -> Option<&Arc<dyn Preview>> {
        self.preview.as_ref()
    }

    /// True when an event would be seen.
    #[must_use]
    pub fn wanted(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Makes the event, if anyone wants it, and hands it on.
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
