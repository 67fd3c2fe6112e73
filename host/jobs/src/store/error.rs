//! What can go wrong between a caller and a store.

use std::error::Error;
use std::sync::Arc;

use crate::job::{IllegalMove, JobId};

use super::submission::OverBound;

#[cfg(test)]
mod tests;

/// What the database said. Shared, as one failed transaction may be the end of many calls.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Time that ran out: of a statement, a lock, or a connection that has fallen silent. As the cause of
/// [`StoreError::Unavailable`], it is counted apart.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TimedOut(pub(crate) String);

/// Why a store did not do what it was asked. Except for [`StoreError::Unavailable`], nothing has changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such job.
    #[error("there is no job {0}\n(a job is forgotten 30 days after its answer has expired)")]
    NotFound(JobId),
    /// There was one, and its answer's time is over.
    #[error("job {0} has expired\n(its answer was kept for its retention; submit it again for another)")]
    Expired(JobId),
    /// The caller does not hold the job.
    #[error(
        "the job has been given to another, or back: its epoch is {epoch} now\n\
         (drop what you hold of it: who has that epoch goes on with it)"
    )]
    Fenced {
        /// The epoch of the latest owner.
        epoch: u64,
    },
    /// The job is not where that can be done with it.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// The plan has no such partition.
    #[error("the job has no partition {index}\n(there are {partitions}, counted from 0)")]
    NoPartition {
        /// What was named.
        index: u32,
        /// How many there are.
        partitions: u64,
    },
    /// An idempotency key came with another request than before.
    #[error("the idempotency key belongs to another request\n(a new request needs a new key)")]
    KeyReused,
    /// The app or the caller has as much as it may.
    #[error("{}", over(*.0))]
    OverBound(OverBound),
    /// There is no room.
    #[error("the store of jobs is full\n(make room on its disk or raise its quota; jobs make room when they expire)")]
    Full(#[source] Option<Cause>),
    /// The store can be read, but not written.
    #[error(
        "the store of jobs cannot be written\n\
         (of a folder, look at the permissions and those of its files; a database may be a standby)"
    )]
    ReadOnly(#[source] Cause),
    /// The role lacks rights in the database. It says which.
    #[error("{what}")]
    Denied {
        /// What is missing, and what helps.
        what: String,
        /// What the database said.
        #[source]
        cause: Cause,
    },
    /// What says where the store is, is wrong. It says what of it; never a password.
    #[error("{0}")]
    Settings(String),
    /// The database is away or too busy, for now: the call may or may not have had its effect.
    #[error("the store of jobs cannot be reached\n(this passes: look at the job, and try again)")]
    Unavailable(#[source] Cause),
    /// It could not be opened when the server started, and is tried again.
    #[error("the store of jobs is not open: {0}\n(queries are served without it; the server tries again to open it)")]
    Unopened(String),
    /// What is there is not what was written.
    #[error("the store of jobs is damaged, or is something else\n(put it aside, or bring back a copy)")]
    Corrupt(#[source] Cause),
    /// A newer Frond has been here.
    #[error("the store of jobs is of version {found}, and this Frond knows versions to {known}\n(update Frond)")]
    Newer {
        /// The version of the store.
        found: u32,
        /// The latest that is known.
        known: u32,
    },
    /// Something exceeds what can be kept.
    #[error("{size} {what} exceed the {limit} that the store of jobs takes\n(cut the work into smaller pieces)")]
    TooLarge {
        /// What is counted, as "bytes of an answer".
        what: &'static str,
        /// How many.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A text that the database does not keep: another call with the same text ends the same way.
    #[error(
        "the store of jobs cannot keep this text\n\
         (it contains a NUL character, or one that the encoding of the database lacks)"
    )]
    Unkeepable(#[source] Cause),
    /// What should not happen.
    #[error("the store of jobs failed\n(its database returned an unexpected error: see the server's log)")]
    Other(#[source] Cause),
}

impl StoreError {
    /// Its kind, as a word for metrics.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Expired(_) => "expired",
            Self::Fenced { .. } => "fenced",
            Self::Illegal(_) => "illegal",
            Self::NoPartition { .. } => "no-partition",
            Self::KeyReused => "key-reused",
            Self::OverBound(_) => "over-bound",
            Self::Full(_) => "full",
            Self::ReadOnly(_) => "read-only",
            Self::Denied { .. } => "denied",
            Self::Settings(_) => "settings",
            Self::Unavailable(cause) if cause.is::<TimedOut>() => "timed-out",
            Self::Unavailable(_) => "unavailable",
            Self::Unopened(_) => "unopened",
            Self::Corrupt(_) => "corrupt",
            Self::Newer { .. } => "newer",
            Self::TooLarge { .. } => "too-large",
            Self::Unkeepable(_) => "unkeepable",
            Self::Other(_) => "other",
        }
    }

    /// True when another try to open the store may succeed, once somebody has mended its folder or its disk.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::ReadOnly(_) | Self::Corrupt(_) | Self::Other(_))
    }

    /// True when something is the matter, with the store or with who calls it; false for what clients may ask wrongly.
    #[must_use]
    pub(crate) fn is_fault(&self) -> bool {
        !self.is_refusal() || matches!(self, Self::Fenced { .. } | Self::NoPartition { .. })
    }

    /// True when the call was refused for what it asked of which job: the store itself is well.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NotFound(_)
                | Self::Expired(_)
                | Self::Fenced { .. }
                | Self::Illegal(_)
                | Self::NoPartition { .. }
                | Self::KeyReused
                | Self::OverBound(_)
                | Self::TooLarge { .. }
                | Self::Unkeepable(_)
        )
    }

    /// True when what was to be kept, or whose it is, is the reason: another owner would be refused the same.
    #[must_use]
    pub(crate) fn is_about_content(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unkeepable(_) | Self::OverBound(_))
    }
}

/// Which bound is met, in words.
fn over(bound: OverBound) -> String {
    match bound {
        OverBound::AppWaiting(most) => format!(
            "{most} jobs of this app have not ended: more are not taken\n(`jobs.waiting` in the server's settings)"
        ),
        OverBound::CallerWaiting(most) => format!(
            "{most} jobs of this token have not ended: more are not taken\n(`jobs.waiting` in the server's settings)"
        ),
        OverBound::CallerJobs(most, _) => format!(
            "{most} jobs of this token are kept: more are not taken\n\
             (delete some with `frond jobs delete`, or raise `jobs.token-jobs` in the server's settings)"
        ),
        OverBound::CallerBytes(most, _) => format!(
            "the jobs of this token take the {most} bytes that they may: more are not taken\n\
             (delete some with `frond jobs delete`, or raise `jobs.token-quota` in the server's settings)"
        ),
    }
}

/// What went wrong, in words or as another error.
pub(crate) fn cause(of: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
    Arc::from(of.into())
}

/// An error with all of its causes, for logs and for what is kept of a job's end.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str("\n  because: ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
