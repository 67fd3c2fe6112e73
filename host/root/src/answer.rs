//! Result of a query: the answer, always with the account of what is in it and what is missing.

mod workers;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};
use crate::ids::{PartitionKey, QueryId};
use crate::request::Floor;

pub(crate) use workers::WorkerCounts;
pub use workers::{MAX_NAMED_WORKERS, WorkerAccount, WorkerShare};

/// The most missing partitions that a report names. [`Coverage::missing_omitted`] counts the rest.
pub const MAX_MISSING: usize = 100;

/// Outcome of a query. Each case carries its coverage, so that no answer is passed on without it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Every partition is in the answer.
    Complete {
        /// Result of `finish`.
        body: Bytes,
        /// Account of the query.
        coverage: Box<Coverage>,
    },
    /// Enough is in the answer; the coverage says what is missing.
    Partial {
        /// Result of `finish`.
        body: Bytes,
        /// Account of the query.
        coverage: Box<Coverage>,
    },
    /// There is no answer.
    Failed {
        /// Reason of the failure.
        reason: Reason,
        /// Account of the query.
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

    /// The answer's bytes; `None` for a failed query.
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

/// Reason why a query has no answer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", tag = "reason", content = "failure")]
pub enum Reason {
    /// A guest rejected the query.
    InvalidQuery(Failure),
    /// The covered weight is below the floor, or a required partition is missing.
    BelowFloor,
    /// The deadline passed before anything arrived.
    Deadline,
    /// The query was cancelled before enough had arrived.
    Cancelled,
    /// The split failed.
    Split(Failure),
    /// A merge or the finish failed.
    Merge(Failure),
}

impl Reason {
    /// Spelling used everywhere outside the code.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::InvalidQuery(_) => "invalid-query",
            Self::BelowFloor => "below-floor",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
            Self::Split(_) => "split",
            Self::Merge(_) => "merge",
        }
    }
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

/// Outcome of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Planned, and known to add nothing.
    Skipped,
    /// Its partial is in the answer.
    Succeeded,
    /// It was cut off, or a part of it was given up; its last emission, or its other parts, are in
    /// the answer.
    Degraded,
    /// Its last attempt failed.
    Failed,
    /// It was still running when its time, or the gather's, was up.
    TimedOut,
    /// The query ended before the partition did.
    Cancelled,
    /// The gather ended before an attempt began.
    NotStarted,
}

/// Partitions or weights by outcome. `planned` is always the sum of all other fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Sum of all other fields.
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
    /// Adds `amount` to `planned` and to the field of `status`.
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

    /// True when the outcomes sum up to `planned`.
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

/// One partition that is missing from the answer, wholly or in part.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Missing {
    /// Key of the partition.
    pub key: PartitionKey,
    /// Position in the plan.
    pub index: u32,
    /// Planned weight.
    pub weight: u64,
    /// Outcome.
    pub status: Status,
    /// Share of its weight that is in the answer, 0 to 1; above 0 only when degraded.
    pub share: f64,
    /// Units that are missing, each range without its end, if the partition is taken in parts and
    /// some of them are in the answer: bytes, or the integers of a range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<(u64, u64)>,
    /// Number of attempts that were started.
    pub attempts: u32,
    /// Slug of the last failure, if it ran.
    pub slug: Option<FailureKind>,
    /// Last failure in full, if it ran.
    pub failure: Option<Failure>,
}

/// A straggler took at least this many times the median.
pub const STRAGGLER_TIMES: f64 = 2.0;
/// A straggler took at least this many milliseconds, however short the others were.
pub const STRAGGLER_MS: f64 = 1.0;

/// A partition that took far longer than the median: at least [`STRAGGLER_TIMES`] as long, and at
/// least [`STRAGGLER_MS`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Straggler {
    /// Key of the partition.
    pub key: PartitionKey,
    /// Run time of its attempt, in milliseconds.
    pub ms: f64,
    /// Run time over the median of all successful partitions.
    pub times_median: f64,
}

/// Attempts by purpose and result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// All attempts that ran.
    pub started: u64,
    /// Attempts after a transient failure.
    pub retries: u64,
    /// Hedged attempts, beside a running attempt of the same partition: copies.
    pub hedges: u64,
    /// Hedges that succeeded first.
    pub hedge_wins: u64,
    /// Slot time of attempts that were not done first, in milliseconds: a part of
    /// [`Timings::leaf_wasted`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wasted_ms: u64,
    /// Successful results that are not in the answer: they arrived after the partition was settled
    /// or the gather had ended, or overlap with a part that is in the answer.
    pub discarded: u64,
    /// Attempts that ended in a warm instance: one that had served earlier partitions of the query.
    #[serde(default)]
    pub warm: u64,
    /// Cuts: attempts that took the second half of a running attempt's rest.
    #[serde(default)]
    pub cuts: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Units of the partitions that were taken in parts: bytes, or integers of a range. `planned` is
/// the sum of `taken`, `skipped`, `lost` and what is still open. What attempts were handed out is
/// taken, redone, discarded or lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitTally {
    /// All units of these partitions.
    pub planned: u64,
    /// Units whose partials are in the answer.
    pub taken: u64,
    /// Units that the answer does not need.
    pub skipped: u64,
    /// Units that are missing.
    pub lost: u64,
    /// Units that were handed out once more, because an attempt failed or was cut off before it
    /// kept them. Those of partitions that were not taken in parts count, too.
    pub redone: u64,
    /// Units in kept partials of attempts that failed or were cut off later: they were spared.
    pub saved: u64,
    /// Units in discarded partials, and others that were handed out twice at a time.
    pub discarded: u64,
}

impl UnitTally {
    /// True if no partition was taken in parts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Times of a query by step, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Time that the query was given.
    pub deadline: f64,
    /// Time reserved for merging.
    pub reserve: f64,
    /// From the request to the plan.
    pub plan: f64,
    /// From the plan to the last partial that was waited for.
    pub gather: f64,
    /// From the last awaited partial to the answer.
    pub merge: f64,
    /// From the request to the answer.
    pub total: f64,
    /// Slot time of attempts whose results are in the answer.
    pub leaf_used: f64,
    /// Slot time of all other attempts.
    pub leaf_wasted: f64,
    /// Time that attempts waited for something outside, without a slot.
    #[serde(default)]
    pub leaf_waited: f64,
}

/// Account of one query: the planned partitions, their outcomes, and where the time went.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Coverage {
    /// Id of the query.
    pub query: QueryId,
    /// True when nothing is missing.
    pub complete: bool,
    /// The share of the planned weight that is in the answer, 0 to 1; 1 for an empty plan.
    pub fraction: f64,
    /// Floor that the request asked for.
    pub floor: Floor,
    /// The required partitions that are missing.
    pub required_missing: Vec<PartitionKey>,
    /// Number of partitions by outcome.
    pub partitions: Tally,
    /// Weight by outcome. The whole weight of a degraded partition counts as `degraded`.
    pub weight: Tally,
    /// Weight in the answer, including the emitted share, or the parts, of degraded partitions.
    pub covered: u64,
    /// The missing partitions, at most [`MAX_MISSING`]. Ordered by cause: own failures, late ones,
    /// not started ones, and last the ones stopped because the query ended; each by index.
    pub missing: Vec<Missing>,
    /// Number of missing partitions that `missing` leaves out.
    pub missing_omitted: u64,
    /// Failed attempts by slug, including retried ones.
    pub failures: std::collections::BTreeMap<FailureKind, u64>,
    /// Attempts by purpose and result.
    pub attempts: Attempts,
    /// Units of the partitions that were taken in parts.
    #[serde(default, skip_serializing_if = "UnitTally::is_empty")]
    pub units: UnitTally,
    /// Workers that were there; `None` if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Box<WorkerAccount>>,
    /// Where the time went, in milliseconds.
    pub timings: Timings,
    /// The slowest stragglers, slowest first.
    pub stragglers: Vec<Straggler>,
    /// Remarks on inputs, such as a compressed file that was read undecoded: see [`crate::Notes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Share of `whole` that `part` is, 0 to 1; 1 when `whole` is 0. Rounding never yields 1 while
/// anything is missing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if part >= whole {
        return 1.0;
    }
    below_all(part as f64 / whole as f64)
}

/// Clamps the share of something incomplete to below 1, against rounding.
#[must_use]
pub(crate) fn below_all(share: f64) -> f64 {
    share.min(1.0_f64.next_down())
}

/// Formats a share with four decimals, as headers and logs show it. `1.0000` means everything and
/// `0.0000` nothing: other shares never round to them.
#[must_use]
pub fn four_decimals(share: f64) -> String {
    match share {
        all if all >= 1.0 => "1.0000".to_owned(),
        some if some > 0.0 => format!("{:.4}", some.clamp(0.0001, 0.9999)),
        _ => "0.0000".to_owned(),
    }
}

/// A duration in milliseconds, rounded to microseconds, as reports show it.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
