//! What a query ends with: the answer and, always, the account of what is in it and what is not.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};
use crate::ids::{PartitionKey, QueryId};
use crate::request::Floor;

/// The most missing partitions that a report names. [`Coverage::missing_omitted`] counts the others.
pub const MAX_MISSING: usize = 100;

/// How a query ended. Each case carries its coverage, so that none can be passed on without it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Every partition is in the answer.
    Complete {
        /// What `finish` returned.
        body: Bytes,
        /// The account.
        coverage: Box<Coverage>,
    },
    /// Enough is in the answer; the coverage says what is not.
    Partial {
        /// What `finish` returned.
        body: Bytes,
        /// The account.
        coverage: Box<Coverage>,
    },
    /// There is no answer.
    Failed {
        /// Why.
        reason: Reason,
        /// The account.
        coverage: Box<Coverage>,
    },
}

impl Answer {
    /// The account of what is in the answer and what is not.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        match self {
            Self::Complete { coverage, .. } | Self::Partial { coverage, .. } | Self::Failed { coverage, .. } => {
                coverage
            }
        }
    }

    /// The answer's bytes, when there is one.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        match self {
            Self::Complete { body, .. } | Self::Partial { body, .. } => Some(body),
            Self::Failed { .. } => None,
        }
    }

    /// The case as a word: `complete`, `partial` or `failed`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Partial { .. } => "partial",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Why a query has no answer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", tag = "reason", content = "failure")]
pub enum Reason {
    /// A guest says that the query is wrong.
    InvalidQuery(Failure),
    /// Too little, or not a required partition, arrived.
    BelowFloor,
    /// The deadline came before anything did.
    Deadline,
    /// It was cancelled before enough had arrived.
    Cancelled,
    /// The split failed.
    Split(Failure),
    /// A merge or the finish failed.
    Merge(Failure),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidQuery(failure) => write!(f, "{failure}"),
            Self::BelowFloor => f.write_str("too little arrived to answer"),
            Self::Deadline => f.write_str("nothing arrived before the deadline"),
            Self::Cancelled => f.write_str("cancelled before enough had arrived"),
            Self::Split(failure) => write!(f, "the split failed: {failure}"),
            Self::Merge(failure) => write!(f, "the merge failed: {failure}"),
        }
    }
}

/// What became of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was planned, and known to add nothing.
    Skipped,
    /// Its partial is in the answer.
    Succeeded,
    /// It was cut off, and what it had emitted is in the answer.
    Degraded,
    /// It failed.
    Failed,
    /// It was still running when its time, or the gather's, was up.
    TimedOut,
    /// The query ended before it did.
    Cancelled,
    /// The gather ended before it began.
    NotStarted,
}

/// The closed sum: `planned` is always the sum of all the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All there were.
    pub planned: u64,
    /// See [`Status::Skipped`].
    pub skipped: u64,
    /// See [`Status::Succeeded`].
    pub succeeded: u64,
    /// See [`Status::Degraded`].
    pub degraded: u64,
    /// See [`Status::Failed`].
    pub failed: u64,
    /// See [`Status::TimedOut`].
    pub timed_out: u64,
    /// See [`Status::Cancelled`].
    pub cancelled: u64,
    /// See [`Status::NotStarted`].
    pub not_started: u64,
}

impl Tally {
    /// Adds `amount` to the sum and to its part.
    pub fn add(&mut self, status: Status, amount: u64) {
        self.planned += amount;
        *match status {
            Status::Skipped => &mut self.skipped,
            Status::Succeeded => &mut self.succeeded,
            Status::Degraded => &mut self.degraded,
            Status::Failed => &mut self.failed,
            Status::TimedOut => &mut self.timed_out,
            Status::Cancelled => &mut self.cancelled,
            Status::NotStarted => &mut self.not_started,
        } += amount;
    }

    /// True when the parts add up.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let parts = [
            self.skipped,
            self.succeeded,
            self.degraded,
            self.failed,
            self.timed_out,
            self.cancelled,
            self.not_started,
        ];
        parts.iter().sum::<u64>() == self.planned
    }

    /// True when nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.succeeded + self.skipped == self.planned
    }
}

/// One partition that is not, or not whole, in the answer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Missing {
    /// Its key.
    pub key: PartitionKey,
    /// Its position in the plan.
    pub index: u32,
    /// Its weight.
    pub weight: u64,
    /// What became of it.
    pub status: Status,
    /// The share of its weight that is in the answer after all, 0 to 1; above 0 only when degraded.
    pub share: f64,
    /// How many attempts were started.
    pub attempts: u32,
    /// The slug of its last failure, if it ran.
    pub slug: Option<FailureKind>,
    /// Its last failure in full, if it ran.
    pub failure: Option<Failure>,
}

/// A partition that took this many times the median is a straggler.
pub const STRAGGLER_TIMES: f64 = 2.0;
/// In milliseconds: what took less is no straggler, however short the others were.
pub const STRAGGLER_MS: f64 = 1.0;

/// A partition that took far longer than the median: at least [`STRAGGLER_TIMES`] it, and [`STRAGGLER_MS`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Straggler {
    /// Its key.
    pub key: PartitionKey,
    /// How long its attempt ran, in milliseconds.
    pub ms: f64,
    /// That time over the median of all that succeeded.
    pub times_median: f64,
}

/// Attempts, by what they were for and what came of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// All that ran.
    pub started: u64,
    /// Those after a passing failure.
    pub retries: u64,
    /// Those beside a running attempt of the same partition.
    pub hedges: u64,
    /// Hedges that succeeded first.
    pub hedge_wins: u64,
    /// Results that came when they were no longer wanted.
    pub discarded: u64,
}

/// Where the time went, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Timings {
    /// What was asked for.
    pub deadline: f64,
    /// Kept back for merging.
    pub reserve: f64,
    /// From the request to the plan.
    pub plan: f64,
    /// From the plan to the last partial that was waited for.
    pub gather: f64,
    /// From then to the answer.
    pub merge: f64,
    /// From the request to the answer.
    pub total: f64,
    /// Slot time of attempts whose results are in the answer.
    pub leaf_used: f64,
    /// Slot time of all other attempts.
    pub leaf_wasted: f64,
}

/// The account of one query: what was planned, what became of it, and where the time went.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Coverage {
    /// The query.
    pub query: QueryId,
    /// True when nothing is missing.
    pub complete: bool,
    /// The share of the planned weight that is in the answer, 0 to 1; 1 for an empty plan.
    pub fraction: f64,
    /// What was asked for.
    pub floor: Floor,
    /// The required partitions that are missing.
    pub required_missing: Vec<PartitionKey>,
    /// Partitions, counted.
    pub partitions: Tally,
    /// Partitions, weighed. A degraded one's weight stands whole under `degraded`.
    pub weight: Tally,
    /// The weight that is in the answer, the emitted share of degraded partitions included.
    pub covered: u64,
    /// What is missing, at most [`MAX_MISSING`]: first what failed by itself, then what was late, then what did not
    /// begin, last what was stopped because of the others; each by index.
    pub missing: Vec<Missing>,
    /// How many more are missing than `missing` names.
    pub missing_omitted: u64,
    /// Failed attempts by slug, those that were tried again included.
    pub failures: std::collections::BTreeMap<FailureKind, u64>,
    /// Attempts.
    pub attempts: Attempts,
    /// Where the time went, in milliseconds.
    pub timings: Timings,
    /// The slowest partitions that took at least twice the median, slowest first.
    pub stragglers: Vec<Straggler>,
    /// Remarks on inputs, such as files that are compressed and were read as they are: see [`crate::Notes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The share that `part` is of `whole`, 0 to 1; 1 for a part of nothing. Rounding never makes it 1 while anything is
/// missing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if part >= whole {
        return 1.0;
    }
    below_all(part as f64 / whole as f64)
}

/// A share of something that is incomplete: below 1, whatever rounding has made of it.
#[must_use]
pub(crate) fn below_all(share: f64) -> f64 {
    share.min(1.0_f64.next_down())
}

/// A share with four decimals, as headers and logs have it: 1 only for everything, 0 only for nothing.
#[must_use]
pub fn four_decimals(share: f64) -> String {
    match share {
        all if all >= 1.0 => "1.0000".to_owned(),
        some if some > 0.0 => format!("{:.4}", some.clamp(0.0001, 0.9999)),
        _ => "0.0000".to_owned(),
    }
}

/// A duration in milliseconds, as reports give it.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
