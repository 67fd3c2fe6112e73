//! Why a guest call did not give a result. A `Failure` is data inside an answer; an [`Error`] stops a query before
//! it has one.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::PartitionKey;
use crate::limit::Limit;

/// The closed list of failures. Its slugs are spelled the same in JSON, events, exit tables and docs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The guest says that the query is wrong, whatever the partition: it ends the query.
    InvalidQuery,
    /// The partition's content is wrong, or is no longer what was planned.
    InvalidPartition,
    /// Something passing went wrong; may be tried again.
    Unavailable,
    /// The guest trapped: a panic, an abort, an exit, a fault of its own.
    Trap,
    /// The call used up its fuel.
    OutOfFuel,
    /// The call asked for more memory or table elements than it may have.
    OutOfMemory,
    /// The call was still running when its time was up.
    OutOfTime,
    /// The result is larger than the limit.
    OutputTooLarge,
    /// The guest used something that it has not been granted, or used a host call beyond its budget.
    HostCallDenied,
    /// The component does not fit the contract.
    Incompatible,
    /// The runner had no room for the attempt; may be tried again.
    Overloaded,
    /// The query ended before this attempt did.
    Cancelled,
    /// The runner went away with the attempt; may be tried again.
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

    /// The spelling used everywhere outside the code.
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

    /// True when another attempt may end differently. All others are deterministic or final.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded | Self::Lost)
    }

    /// True when the call was cut off in the midst of its work, so that what it emitted so far may count.
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

/// What a leaf did whose time was up.
pub const TIME_UP: &str = "still running when its time was up";
/// What a leaf did that the query no longer waited for, as it had enough.
pub const WAIT_OVER: &str = "still running when the query stopped waiting for it";
/// What a leaf was stopped for when its query was cancelled.
pub const CANCELLED: &str = "the query was cancelled while it was running";

/// How much a failure explains of a query that has several: what failed by itself before what was stopped for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// It failed, and would again.
    Own,
    /// It failed for now: another attempt might have succeeded.
    Passing,
    /// Its time was over.
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

/// One failed guest call, with what its author needs to find out why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure; decides what the root does next.
    pub kind: FailureKind,
    /// What happened, in words: lower case, no full stop.
    pub message: String,
    /// The guest's functions on the stack, innermost first; empty when it did not trap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The last lines that the guest wrote to stdout and stderr.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The limit that ended the call, when one did; the message tells it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// How long whatever is unavailable asked to be left alone, in milliseconds: the `retry-after` of an HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Bytes of its message, backtrace and log that are left out, as all failures beside it have too many: see
    /// [`TextBudget`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub omitted: u64,
}

fn is_none(omitted: &u64) -> bool {
    *omitted == 0
}

/// The bytes that the texts of all failures may have which one account names.
pub const MAX_ACCOUNT_TEXTS: u64 = 256 << 10;
/// The bytes that the texts of all failures may have which the events of one query tell, or of one job.
pub const MAX_EVENT_TEXTS: u64 = 1 << 20;
/// The bytes of a message beyond the budget.
const MAX_BRIEF: usize = 256;

/// What the texts of several failures may still have, in bytes. A failure beyond that keeps its kind, its limit and the
/// beginning of its message, and says how much is left out.
#[derive(Clone, Copy, Debug)]
pub struct TextBudget {
    most: u64,
    used: u64,
}

impl TextBudget {
    /// A budget of so many bytes, of which some are used.
    #[must_use]
    pub fn new(most: u64, used: u64) -> Self {
        Self { most, used }
    }

    /// What has been used, the beginnings of messages beyond the budget aside.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The failure as far as the budget goes.
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
        let message = match omitted {
            0 => begin.to_owned(),
            _ => format!("{begin}… ({omitted} bytes of its texts are left out: the failures beside it have too many)"),
        };
        let omitted = failure.omitted + omitted;
        Failure { message, backtrace: Vec::new(), log: Vec::new(), omitted, ..*failure }
    }
}

impl Failure {
    /// The bytes of its texts.
    fn texts(&self) -> u64 {
        let lines = self.backtrace.iter().chain(&self.log).chain([&self.message]);
        lines.map(|line| line.len() as u64).sum()
    }

    /// A failure with neither backtrace nor log.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            backtrace: Vec::new(),
            log: Vec::new(),
            limit: None,
            retry_after_ms: None,
            omitted: 0,
        }
    }

    /// The wait that it asks for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// The same failure, ended by `limit`: as data, and in the message, so that every display tells it.
    #[must_use]
    pub fn ended_by(self, limit: Limit) -> Self {
        let own = self.limit.map(told).unwrap_or_default();
        let what = self.message.strip_suffix(&own).unwrap_or(&self.message);
        Self { message: format!("{what}{}", told(limit)), limit: Some(limit), ..self }
    }

    /// The same failure; where time ended it and no limit is known yet, `time` was the limit.
    #[must_use]
    pub fn within(self, time: Limit) -> Self {
        match (self.kind, self.limit) {
            (FailureKind::OutOfTime, None) => self.ended_by(time),
            _ => self,
        }
    }
}

/// How a message tells its limit.
fn told(limit: Limit) -> String {
    format!(": {limit}")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

/// What stops a query before it can have an answer: a mistake in what was asked for, never a leaf's failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two partitions have one key.
    #[error("two partitions have the key `{0}`\n(keys name what is missing from an answer, so each must be unique)")]
    DuplicateKey(PartitionKey),
    /// A key that not every database, log or terminal can keep.
    #[error("a partition's key contains a NUL character: `{}`\n(leave it out: keys are texts)", .0.as_str().escape_debug())]
    NulInKey(PartitionKey),
    /// More partitions than a plan may hold.
    #[error("{count} partitions are more than the {limit} that one query may have\n(make the pieces larger)")]
    TooManyPartitions {
        /// How many there are.
        count: usize,
        /// The limit, [`crate::plan::MAX_PARTITIONS`].
        limit: usize,
    },
    /// A partition weighs more than one may.
    #[error(
        "the partition `{key}` weighs {weight}, and a weight is 1 to {limit}\n(weigh it in a larger unit, or leave the weight out to weigh its bytes)"
    )]
    TooHeavy {
        /// The partition.
        key: PartitionKey,
        /// Its weight.
        weight: u64,
        /// The limit, [`crate::plan::MAX_WEIGHT`].
        limit: u64,
    },
    /// A required key that no partition has.
    #[error("the required partition `{key}` is not among those planned\n(there are: {known})")]
    UnknownRequired {
        /// The key that was asked for.
        key: PartitionKey,
        /// Some of the keys that there are.
        known: String,
    },
    /// The worst case of partials held at once does not fit the merge's memory.
    #[error(
        "{slots} slots × {output} bytes of output × 1.5 exceed the {memory} bytes that partials may take\n\
         (lower limits.leaf.output or the slots, or raise limits.merge.partials)"
    )]
    PartialsTooLarge {
        /// Leaves that run at once.
        slots: usize,
        /// The largest partial, in bytes.
        output: u64,
        /// The bytes that held partials may take.
        memory: u64,
    },
    /// The query could not be cut into partitions: the source is missing or unreadable.
    #[error("the query's work could not be cut")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The split component failed: the query then ends as [`crate::Reason::Split`].
    #[error("the split failed: {0}")]
    Split(Box<Failure>),
    /// Partials could not be kept, or recalled: the query goes on where it was once they can.
    #[error("the partials could not be kept: {0}")]
    Journal(Box<Failure>),
}

#[cfg(test)]
mod tests;
