//! Reasons of an owner that lets go of its job.

use crate::store::StoreError;

/// Reason why an owner lets go of a job that has not ended.
#[derive(Debug)]
pub(crate) enum Exit {
    /// The processor stops, or cannot run the job's version, or the job's turn is over.
    Stopped,
    /// Another owner has the job, or the job is gone.
    Fenced,
    /// The lease could not be renewed in time: another owner may take the job soon.
    Lapsed,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Exit {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced { .. } | StoreError::NotFound(_) | StoreError::Expired(_) => Self::Fenced,
            error => Self::Store(error),
        }
    }
}
