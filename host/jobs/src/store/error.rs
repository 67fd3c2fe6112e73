//! Errors of stores.

use std::error::Error;
use std::sync::Arc;

use crate::job::{IllegalMove, JobId};

use super::submission::OverBound;

#[cfg(test)]
mod tests;

/// The database's error. Shared, as one failed transaction may end many calls.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Result of a call to a store.
pub type StoreResult<T> = Result<T, StoreError>;

/// A timeout of a statement, a lock or a silent connection. As the cause of
/// [`StoreError::Unavailable`], it has a separate slug.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TimedOut(pub(crate) String);

/// Error of a store's call. Except for [`StoreError::Unavailable`], nothing has changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such job.
    #[error("there is no job {0}\n(a job is forgotten at most 30 days after its answer has expired)")]
    NotFound(JobId),
    /// There is only the job's tombstone: its retention is over, or it was deleted.
    #[error("job {0} has expired\n(its retention is over, or it was deleted; submit the job again for a new answer)")]
    Expired(JobId),
    /// The caller does not own the job.
    #[error(
        "the lease of the job is lost: its epoch is {epoch} now\n\
         (stop working on the job: the owner with that epoch continues it)"
    )]
    Fenced {
        /// Epoch of the latest owner.
        epoch: u64,
    },
    /// The job's state does not allow this.
    #[error(transparent)]
    Illegal(#[from] IllegalMove),
    /// The plan has no such partition.
    #[error("the job has no partition {index}\n(there are {partitions}, counted from 0)")]
    NoPartition {
        /// The requested index.
        index: u32,
        /// Number of partitions.
        partitions: u64,
    },
    /// The idempotency key was used before with another request.
    #[error("the idempotency key belongs to another request\n(a new request needs a new key)")]
    KeyReused,
    /// The app or the caller has reached a bound.
    #[error("{}", over(*.0))]
    OverBound(OverBound),
    /// The store has no room.
    #[error("the store of jobs is full\n(make room on its disk or raise its quota; jobs make room when they expire)")]
    Full(#[source] Option<Cause>),
    /// The store can be read but not written.
    #[error(
        "the store of jobs cannot be written\n\
         (for a folder, check its permissions and those of its files; a database may be a standby)"
    )]
    ReadOnly(#[source] Cause),
    /// The database role lacks rights; the error names them.
    #[error("{what}")]
    Denied {
        /// The missing rights and the remedy.
        what: String,
        /// The database's error.
        #[source]
        cause: Cause,
    },
    /// The settings that locate the store are wrong. The text names the problem and never contains
    /// a password.
    #[error("{0}")]
    Settings(String),
    /// The database is unreachable or too busy for now. The call may or may not have had its
    /// effect.
    #[error("the store of jobs cannot be reached\n(this error is temporary: check the job, and try again)")]
    Unavailable(#[source] Cause),
    /// The store could not be opened when the server started; the server keeps retrying.
    #[error("the store of jobs is not open: {0}\n(queries are served without it; the server tries again to open it)")]
    Unopened(String),
    /// The stored data are not what was written.
    #[error("the store of jobs is damaged, or is not a store of jobs\n(move it away, or restore a copy)")]
    Corrupt(#[source] Cause),
    /// A newer Frond has migrated the store.
    #[error("the store of jobs has version {found}, and this Frond reads versions up to {known}\n(update Frond)")]
    Newer {
        /// Version of the store.
        found: u32,
        /// Latest known version.
        known: u32,
    },
    /// Data exceed a limit of the store.
    #[error("{size} {what} exceed the {limit} that the store of jobs takes\n(cut the work into smaller pieces)")]
    TooLarge {
        /// The counted unit, such as "bytes of an answer".
        what: &'static str,
        /// The size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The database cannot store this text. A retry with the same text fails the same way.
    #[error(
        "the store of jobs cannot keep this text\n\
         (it contains a NUL character, or one that the encoding of the database lacks)"
    )]
    Unkeepable(#[source] Cause),
    /// An unexpected error.
    #[error("the store of jobs failed\n(its database returned an unexpected error: see the server's log)")]
    Other(#[source] Cause),
}

impl StoreError {
    /// Name of the error's kind, for metrics.
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

    /// True if opening the store may succeed later, once its folder or disk has been repaired.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::ReadOnly(_) | Self::Corrupt(_) | Self::Other(_))
    }

    /// True for faults of the store or of its caller in this process; false for wrong requests of
    /// clients.
    #[must_use]
    pub(crate) fn is_fault(&self) -> bool {
        !self.is_refusal() || matches!(self, Self::Fenced { .. } | Self::NoPartition { .. })
    }

    /// True if the call was refused because of its arguments, while the store itself works.
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

    /// True if the content or its owner's quota is the reason, so that another owner would get the
    /// same refusal.
    #[must_use]
    pub(crate) fn is_about_content(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unkeepable(_) | Self::OverBound(_))
    }
}

/// Message about the bound that is reached.
fn over(bound: OverBound) -> String {
    match bound {
        OverBound::AppWaiting(most) => format!(
            "{most} jobs of this app have not ended: no more are accepted\n(`jobs.waiting` in the server's settings)"
        ),
        OverBound::CallerWaiting(most) => format!(
            "{most} jobs of this token have not ended: no more are accepted\n(`jobs.waiting` in the server's settings)"
        ),
        OverBound::CallerJobs(most, _) => format!(
            "{most} jobs of this token are stored: no more are accepted\n\
             (delete some with `frond jobs delete`, or raise `jobs.token-jobs` in the server's settings)"
        ),
        OverBound::CallerBytes(most, _) => format!(
            "the jobs of this token use all of their {most} bytes: no more are accepted\n\
             (delete some with `frond jobs delete`, or raise `jobs.token-quota` in the server's settings)"
        ),
    }
}

/// Makes a cause of a text or of another error.
pub(crate) fn cause(of: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
    Arc::from(of.into())
}

/// Formats an error with all its causes, for logs and for the reason of a job's end.
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
