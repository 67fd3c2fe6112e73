//! Failures of guest calls. A [`Failure`] is data inside an answer; an [`Error`] stops a query
//! before it has an answer.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::PartitionKey;
use crate::limit::Limit;
use crate::quote::clipped;

/// Closed list of failure kinds. JSON, events, exit tables and docs spell the slugs alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The guest rejects the query, whatever the partition: ends the query.
    InvalidQuery,
    /// The partition's content is wrong, or differs from what was planned.
    InvalidPartition,
    /// A transient failure; may be retried.
    Unavailable,
    /// The guest trapped: a panic, an abort, an exit, or a fault.
    Trap,
    /// The call used up its fuel.
    OutOfFuel,
    /// The call asked for more memory or table elements than it may have.
    OutOfMemory,
    /// The call was still running when its time was up.
    OutOfTime,
    /// The result is larger than the limit.
    OutputTooLarge,
    /// The guest used a capability that it was not granted, or exceeded a host call budget.
    HostCallDenied,
    /// The component does not fit the contract.
    Incompatible,
    /// The runner had no room for the attempt; may be retried.
    Overloaded,
    /// The query ended before the attempt did.
    Cancelled,
    /// The runner was lost together with the attempt; may be retried.
    Lost,
}

impl FailureKind {
    /// Every kind, in the order of the documentation's table.
    pub const ALL: [Self; 13] = [
        Self::InvalidQuery,
        Self::InvalidPartition,
        Self::Unavailable,
        Self::Trap,
        Self::OutOfFuel,
        Self::OutOfMemory,
        Self::OutOfTime,
        Self::OutputTooLarge,
        Self::HostCallDenied,
        Self::Incompatible,
        Self::Overloaded,
        Self::Cancelled,
        Self::Lost,
    ];

    /// Spelling used everywhere outside the code.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::InvalidQuery => "invalid-query",
            Self::InvalidPartition => "invalid-partition",
            Self::Unavailable => "unavailable",
            Self::Trap => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::OutOfMemory => "out-of-memory",
            Self::OutOfTime => "out-of-time",
            Self::OutputTooLarge => "output-too-large",
            Self::HostCallDenied => "host-call-denied",
            Self::Incompatible => "incompatible",
            Self::Overloaded => "overloaded",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// True when a retry may end differently (transient failures). Others are deterministic or
    /// final.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded | Self::Lost)
    }

    /// True when the call was cut off while it worked, so that its last emission may count.
    #[must_use]
    pub fn is_cut_off(self) -> bool {
        matches!(self, Self::OutOfTime | Self::OutOfFuel | Self::Cancelled)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// Message of a leaf that was cut off at its deadline.
pub const TIME_UP: &str = "still running when its time was up";
/// Message of a leaf that was cut off because the query had enough.
pub const WAIT_OVER: &str = "still running when the query stopped waiting for it";
/// Message of a leaf that was stopped because its query was cancelled.
pub const CANCELLED: &str = "the query was cancelled while it was running";
/// Message of an attempt that was stopped because another one at the same units had succeeded.
pub const SUPERSEDED: &str = "another attempt at the same partition was done first";

/// Rank of a failure among those of one query: own failures explain more than their consequences.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// It failed, and a retry would fail again.
    Own,
    /// It failed transiently: a retry might have succeeded.
    Passing,
    /// Its time was up.
    Late,
    /// It did not begin.
    NotStarted,
    /// It was stopped because the query ended.
    Consequence,
}

impl From<FailureKind> for Cause {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Cancelled => Self::Consequence,
            FailureKind::OutOfTime => Self::Late,
            kind if kind.is_passing() => Self::Passing,
            _ => Self::Own,
        }
    }
}

/// One failed guest call, with what its author needs to debug it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Kind of failure; decides what the root does next.
    pub kind: FailureKind,
    /// Message in lower case, without a full stop.
    pub message: String,
    /// The guest's call stack, innermost first; empty when it did not trap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The last lines that the guest wrote to stdout and stderr.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Limit that ended the call, if one did. The message contains it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Wait that the unavailable service asks for, in milliseconds: the `retry-after` of an HTTP
    /// API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Indexes of the partitions that ran before in the same instance, oldest first: the last
    /// [`MAX_BEFORE`]. Empty for a fresh instance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<u32>,
    /// Bytes of message, backtrace, log and indexes that are left out because the failures together
    /// exceed their [`TextBudget`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub omitted: u64,
}

fn is_none(omitted: &u64) -> bool {
    *omitted == 0
}

/// The most partitions that a failure names as those that ran before in its instance.
pub const MAX_BEFORE: usize = 256;
/// The most bytes of texts of all failures that one account names.
pub const MAX_ACCOUNT_TEXTS: u64 = 256 << 10;
/// The most bytes of texts of all failures in the events of one query or one job.
pub const MAX_EVENT_TEXTS: u64 = 1 << 20;
/// The most bytes of a message beyond the budget.
const MAX_BRIEF: usize = 256;

/// Bytes left for the texts of several failures. A failure beyond the budget keeps its kind, its
/// limit and the beginning of its message, and says how much is left out.
#[derive(Clone, Copy, Debug)]
pub struct TextBudget {
    most: u64,
    used: u64,
}

impl TextBudget {
    /// A budget of `most` bytes, of which `used` are spent.
    #[must_use]
    pub fn new(most: u64, used: u64) -> Self {
        Self { most, used }
    }

    /// Spent bytes, without the beginnings of messages beyond the budget.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Returns the failure, shortened if the budget has no room for its texts.
    #[must_use]
    pub fn take(&mut self, failure: &Failure) -> Failure {
        let all = failure.texts();
        if self.used + all <= self.most {
            self.used += all;
            return failure.clone();
        }
        let end = failure.message.floor_char_boundary(MAX_BRIEF);
        let begin = failure.message.get(..end).unwrap_or_default();
        let omitted = all - begin.len() as u64;
        let message = if omitted == 0 {
            begin.to_owned()
        } else {
            format!("{begin}… ({omitted} bytes of its texts are left out: all failures together have too many)")
        };
        let omitted = failure.omitted + omitted;
        Failure { message, backtrace: Vec::new(), log: Vec::new(), before: Vec::new(), omitted, ..*failure }
    }
}

impl Failure {
    /// Bytes of message, backtrace, log and indexes.
    fn texts(&self) -> u64 {
        let lines = self.backtrace.iter().chain(&self.log).chain([&self.message]);
        lines.map(|line| line.len() as u64).sum::<u64>() + size_of_val(self.before.as_slice()) as u64
    }

    /// A failure with neither backtrace nor log, in a fresh instance.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            backtrace: Vec::new(),
            log: Vec::new(),
            limit: None,
            retry_after_ms: None,
            before: Vec::new(),
            omitted: 0,
        }
    }

    /// The failure of a leaf that was cut off at its deadline, which this limit sets.
    #[must_use]
    pub fn time_up(limit: Limit) -> Self {
        Self::new(FailureKind::OutOfTime, TIME_UP).ended_by(limit)
    }

    /// Wait that the failure asks for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// Sets the partitions that ran before in the same instance; the last [`MAX_BEFORE`] are kept.
    #[must_use]
    pub fn after(self, before: &[u32]) -> Self {
        let kept = before.len().saturating_sub(MAX_BEFORE);
        Self { before: before.get(kept..).unwrap_or_default().to_vec(), ..self }
    }

    /// Sets the limit that ended the call, both as data and in the message.
    #[must_use]
    pub fn ended_by(self, limit: Limit) -> Self {
        let own = self.limit.map(suffix).unwrap_or_default();
        let what = self.message.strip_suffix(&own).unwrap_or(&self.message);
        Self { message: format!("{what}{}", suffix(limit)), limit: Some(limit), ..self }
    }

    /// Sets `time` as the limit if time ended the call and no limit is known yet.
    #[must_use]
    pub fn within(self, time: Limit) -> Self {
        match (self.kind, self.limit) {
            (FailureKind::OutOfTime, None) => self.ended_by(time),
            _ => self,
        }
    }
}

/// End of a message that names the limit.
fn suffix(limit: Limit) -> String {
    format!(": {limit}")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

/// Error that stops a query before it has an answer: a mistake in the request or the setup, never a
/// leaf's failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two partitions have one key.
    #[error("two partitions have the key `{}`\n(keys name what is missing from an answer, so each must be unique)", clipped(.0.as_str()))]
    DuplicateKey(PartitionKey),
    /// A key contains a NUL character, which not every database, log or terminal can store.
    #[error("a partition's key contains a NUL character: `{}`\n(leave it out: keys are texts)", clipped(.0.as_str()).escape_debug())]
    NulInKey(PartitionKey),
    /// More partitions than a plan may hold.
    #[error("{count} partitions are more than the {limit} that one query may have\n(make the pieces larger)")]
    TooManyPartitions {
        /// Number of partitions.
        count: usize,
        /// The limit, [`crate::plan::MAX_PARTITIONS`].
        limit: usize,
    },
    /// A partition exceeds the weight limit.
    #[error(
        "the partition `{}` weighs {weight}, and a weight is 1 to {limit}\n(weigh it in a larger unit, or leave the weight out to weigh its bytes)",
        clipped(.key.as_str())
    )]
    TooHeavy {
        /// The partition.
        key: PartitionKey,
        /// Its weight.
        weight: u64,
        /// The limit, [`crate::plan::MAX_WEIGHT`].
        limit: u64,
    },
    /// No partition has a required key.
    #[error("the required partition `{}` is not in the plan\n(the plan has: {known})", clipped(.key.as_str()))]
    UnknownRequired {
        /// The required key.
        key: PartitionKey,
        /// Some of the plan's keys.
        known: String,
    },
    /// The largest possible partials of all slots together exceed the memory for partials.
    #[error(
        "{slots} slots × {output} bytes of output × 1.5 exceed the {memory} bytes that partials may take\n\
         (lower limits.leaf.output or the slots, or raise limits.merge.partials)"
    )]
    PartialsTooLarge {
        /// The most leaves at once.
        slots: usize,
        /// The largest partial, in bytes.
        output: u64,
        /// The most bytes that held partials may take.
        memory: u64,
    },
    /// The running queries of the process hold the memory that they may.
    #[error(
        "there is no memory for a plan of {partitions} partitions beside the running queries\n\
         (ask again later, or make the pieces larger; `limits.memory` in the server's settings)"
    )]
    NoMemory {
        /// Number of partitions of the plan.
        partitions: usize,
    },
    /// The query could not be cut into partitions: the source is missing or unreadable.
    #[error("the query's work could not be cut")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The split component failed: the query then ends as [`crate::Reason::Split`].
    #[error("the split failed: {0}")]
    Split(Box<Failure>),
    /// Partials could not be stored or recalled. A later run resumes from the journal.
    #[error("the partials could not be kept: {0}")]
    Journal(Box<Failure>),
}

#[cfg(test)]
mod tests;
