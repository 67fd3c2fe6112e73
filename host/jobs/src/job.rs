//! A job's name and its states. Pure: which move leads where is decided here, and nowhere else.

use std::fmt;
use std::str::FromStr;

use frond_root::QueryId;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// A job, from its submission until its tombstone is gone: sortable by the time it was submitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct JobId(QueryId);

impl JobId {
    /// The id of the query that the job answers: the same bits.
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

/// As it is displayed: 32 hexadecimal digits.
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

/// A wall-clock time in Unix milliseconds. Stores have no clock of their own: callers pass the time in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// The time `ms` milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The milliseconds since `earlier`; 0 when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It is asked for. A store queues it in the same transaction, so that nobody finds it in this state.
    Submitted,
    /// It waits for an owner.
    Queued,
    /// An owner cuts it into partitions.
    Planning,
    /// Its partitions run.
    Running,
    /// No more partials are waited for: the answer is made.
    Merging,
    /// It has a whole answer.
    Succeeded,
    /// It has an answer that stands on enough.
    Partial,
    /// It has no answer.
    Failed,
    /// Somebody did not want it any more. What had arrived may have been made into an answer.
    Cancelled,
    /// Its answer was kept as long as was promised, and is gone: this tombstone says that there was one.
    Expired,
}

impl JobState {
    /// Every state, in the order of a job's life.
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

    /// The spelling used in JSON, SQL, events and docs.
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

    /// True while an owner works on it, under a lease.
    #[must_use]
    pub fn is_held(self) -> bool {
        matches!(self, Self::Planning | Self::Running | Self::Merging)
    }

    /// True when nothing more happens to it, unless somebody asks for a redrive or its retention is over.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Where `by` leads from here.
    ///
    /// # Errors
    /// [`IllegalMove`] when it leads nowhere from here.
    pub fn next(self, by: Move) -> Result<Self, IllegalMove> {
        let to = match (self, by) {
            (Self::Submitted, Move::Queue) => Self::Queued,
            (Self::Queued, Move::Start { planned: false }) => Self::Planning,
            (Self::Queued, Move::Start { planned: true }) | (Self::Planning, Move::Run) => Self::Running,
            (Self::Running, Move::Merge) => Self::Merging,
            (Self::Merging, Move::End(End::Succeeded)) => Self::Succeeded,
            (Self::Merging, Move::End(End::Partial)) => Self::Partial,
            // A split can fail, and time can be up, before there is anything to merge.
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

/// As it is displayed.
impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.slug() == text)
            .ok_or_else(|| format!("`{text}` is not a job's state\n(known: {})", Self::ALL.map(Self::slug).join(", ")))
    }
}

/// How an owner ends a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// With everything.
    Succeeded,
    /// With enough.
    Partial,
    /// Without an answer.
    Failed,
    /// Because it was asked to stop.
    Cancelled,
}

impl End {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled];
}

/// What can happen to a job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// It is accepted.
    Queue,
    /// An owner takes it: to plan it, or to go on with the plan that there is.
    Start {
        /// True when it has a plan, which is never made again.
        planned: bool,
    },
    /// It is planned.
    Run,
    /// No more partials are waited for.
    Merge,
    /// It ends.
    End(End),
    /// Its owner gave it back, or is gone.
    Requeue,
    /// Somebody wants what failed or is missing to be tried again.
    Redrive,
    /// Its retention is over.
    Expire,
}

impl Move {
    /// Every move.
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

/// As it is told: "a running job cannot be …".
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

/// A move that leads nowhere from where the job is. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a job that is {from} cannot be {by}{}", self.hint())]
pub struct IllegalMove {
    /// Where the job is.
    pub from: JobState,
    /// What was tried.
    pub by: Move,
}

impl IllegalMove {
    /// True when the job had ended before: whoever tried was late, and can leave it at that.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.from.is_ended()
    }

    fn hint(&self) -> &'static str {
        match (self.from, self.by) {
            (JobState::Succeeded, Move::Redrive) => "\n(nothing of it is missing)",
            (from, Move::Expire) if !from.is_ended() => "\n(cancel it first)",
            (_, Move::Redrive) => "\n(only jobs that ended as partial, failed or cancelled can)",
            (from, _) if from.is_ended() => "\n(it has ended)",
            (JobState::Running | JobState::Merging, Move::Run) => "\n(it has a plan, which is never made again)",
            _ => "",
        }
    }
}
