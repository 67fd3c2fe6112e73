//! Job ids and the state machine of jobs. Pure: every transition is decided here.

use std::fmt;
use std::str::FromStr;

use frond_root::QueryId;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Id of a job, from its submission until its tombstone is removed. Ids sort by submission time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct JobId(QueryId);

impl JobId {
    /// Id of the query that the job answers: the same bits.
    #[must_use]
    pub fn query(self) -> QueryId {
        self.0
    }
}

impl From<QueryId> for JobId {
    fn from(id: QueryId) -> Self {
        Self(id)
    }
}

/// Parses the displayed form: 32 hexadecimal digits.
impl FromStr for JobId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        bits.map(|bits| Self(QueryId::from(bits)))
            .ok_or_else(|| format!("`{text}` is not a job's id\n(an id has 32 hexadecimal digits)"))
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A wall-clock time in Unix milliseconds. The times of a job are by the store's clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Returns the time `ms` milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// State of a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Submitted. The store queues the job in the same transaction, so no reader sees this state.
    Submitted,
    /// Waiting for an owner.
    Queued,
    /// Being cut into partitions by an owner.
    Planning,
    /// Running its partitions.
    Running,
    /// No longer waiting for partials; the answer is being made.
    Merging,
    /// Ended with a complete answer.
    Succeeded,
    /// Ended with a partial answer that reaches the floor.
    Partial,
    /// Ended without an answer.
    Failed,
    /// Ended by a cancel. The accepted partials may have been made into an answer.
    Cancelled,
    /// A tombstone: the answer existed, and its retention is over.
    Expired,
}

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 10] = [
        Self::Submitted,
        Self::Queued,
        Self::Planning,
        Self::Running,
        Self::Merging,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Name of the state in JSON, SQL, events and docs.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Merging => "merging",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// True while an owner works on the job, under a lease.
    #[must_use]
    pub fn is_held(self) -> bool {
        matches!(self, Self::Planning | Self::Running | Self::Merging)
    }

    /// True for a final state: only a redrive or the end of the retention changes it.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Returns the state after the move `by`.
    ///
    /// # Errors
    /// [`IllegalMove`] if the move is not possible in this state.
    pub fn next(self, by: Move) -> Result<Self, IllegalMove> {
        let to = match (self, by) {
            (Self::Submitted, Move::Queue) => Self::Queued,
            (Self::Queued, Move::Start { planned: false }) => Self::Planning,
            (Self::Queued, Move::Start { planned: true }) | (Self::Planning, Move::Run) => Self::Running,
            (Self::Running, Move::Merge) => Self::Merging,
            (Self::Merging, Move::End(End::Succeeded)) => Self::Succeeded,
            (Self::Merging, Move::End(End::Partial)) => Self::Partial,
            // A split can fail, and the timeout can pass, before there is anything to merge.
            (from, Move::End(End::Failed)) if from.is_held() => Self::Failed,
            (from, Move::End(End::Cancelled)) if !from.is_ended() => Self::Cancelled,
            (from, Move::Requeue) if from.is_held() => Self::Queued,
            (Self::Partial | Self::Failed | Self::Cancelled, Move::Redrive) => Self::Queued,
            (Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled, Move::Expire) => Self::Expired,
            (from, by) => return Err(IllegalMove { from, by }),
        };
        Ok(to)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// Parses the displayed form.
impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.slug() == text)
            .ok_or_else(|| format!("`{text}` is not a job's state\n(known: {})", Self::ALL.map(Self::slug).join(", ")))
    }
}

/// Outcome with which an owner ends a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// A complete answer.
    Succeeded,
    /// An answer that reaches the floor.
    Partial,
    /// No answer.
    Failed,
    /// A cancel.
    Cancelled,
}

impl End {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled];
}

/// A transition of a job's state machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// The job is accepted.
    Queue,
    /// An owner takes the job, to plan it or to resume it with its existing plan.
    Start {
        /// True if the job has a plan; a job is planned only once.
        planned: bool,
    },
    /// The plan is stored.
    Run,
    /// No more partials are awaited.
    Merge,
    /// The owner ends the job.
    End(End),
    /// The owner released the job, or its lease lapsed.
    Requeue,
    /// A client requests another run of the failed and missing partitions.
    Redrive,
    /// The retention is over, or the job is deleted.
    Expire,
}

impl Move {
    /// All moves.
    pub const ALL: [Self; 12] = [
        Self::Queue,
        Self::Start { planned: false },
        Self::Start { planned: true },
        Self::Run,
        Self::Merge,
        Self::End(End::Succeeded),
        Self::End(End::Partial),
        Self::End(End::Failed),
        Self::End(End::Cancelled),
        Self::Requeue,
        Self::Redrive,
        Self::Expire,
    ];
}

/// Formats the move to complete the sentence "a running job cannot be …".
impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "queued",
            Self::Start { .. } => "taken",
            Self::Run => "planned",
            Self::Merge => "merged",
            Self::End(End::Succeeded) => "ended as succeeded",
            Self::End(End::Partial) => "ended as partial",
            Self::End(End::Failed) => "ended as failed",
            Self::End(End::Cancelled) => "cancelled",
            Self::Requeue => "queued again",
            Self::Redrive => "redriven",
            Self::Expire => "deleted",
        })
    }
}

/// A move that is not possible in the job's state. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a job that is {from} cannot be {by}{}", self.hint())]
pub struct IllegalMove {
    /// State of the job.
    pub from: JobState,
    /// The refused move.
    pub by: Move,
}

impl IllegalMove {
    /// True if the job had already ended, so that the move came too late and the caller can ignore
    /// the error.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.from.is_ended()
    }

    fn hint(&self) -> &'static str {
        match (self.from, self.by) {
            (JobState::Succeeded, Move::Redrive) => "\n(no partition of the job is missing)",
            (from, Move::Expire) if !from.is_ended() => "\n(cancel it first)",
            (_, Move::Redrive) => "\n(only jobs that ended as partial, failed or cancelled can)",
            (from, _) if from.is_ended() => "\n(it has ended)",
            (JobState::Running | JobState::Merging, Move::Run) => "\n(it has a plan, which is never made again)",
            _ => "",
        }
    }
}
