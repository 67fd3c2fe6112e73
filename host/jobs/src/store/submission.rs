//! Submissions to a store: new jobs, their bounds and idempotency keys, and the outcome.

use bytes::Bytes;
use frond_root::{Floor, PartitionKey};

use crate::job::JobId;

use super::Job;

/// A job to be submitted.
#[derive(Clone, PartialEq, Debug)]
pub struct NewJob {
    /// Id of the job, chosen by the caller.
    pub id: JobId,
    /// Name of the app.
    pub app: String,
    /// Version of the app that the job was submitted to.
    pub version: String,
    /// The query.
    pub query: Bytes,
    /// Least coverage of the answer.
    pub floor: Floor,
    /// Partitions that the answer must include whatever the floor.
    pub required: Vec<PartitionKey>,
    /// Run timeout, in milliseconds.
    pub run_timeout_ms: u64,
    /// Retention of the answer after the job's end, in milliseconds.
    pub retention_ms: u64,
    /// Weight of the app among others, at least 1: an app with twice the weight may have twice as
    /// many jobs at work, and gets twice the leaf time. 0 counts as 1.
    pub weight: u32,
    /// Name of the submitting token; `None` if no token is needed.
    pub caller: Option<String>,
    /// Idempotency key, which identifies a repeated request.
    pub idempotency: Option<Idempotency>,
    /// Bounds on the use of the store by the app and the caller.
    pub bounds: Bounds,
}

impl NewJob {
    /// Bytes that the new job takes: its query and its required keys.
    pub(crate) fn bytes(&self) -> u64 {
        let required = self.required.iter().map(|key| key.as_str().len());
        required.fold(self.query.len(), usize::saturating_add) as u64
    }
}

/// Bounds on the use of the store by an app and a caller, checked at submission. `None` is
/// unlimited. A job without a caller is only subject to the bound of its app.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// Most jobs of the app, and most jobs of the caller, that have not ended.
    pub waiting: Option<u64>,
    /// Most jobs of the caller, without tombstones.
    pub jobs: Option<u64>,
    /// Most bytes of the caller's jobs.
    pub bytes: Option<u64>,
}

/// A bound of [`Bounds`] that a job would exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverBound {
    /// Jobs of the app that have not ended.
    AppWaiting(u64),
    /// Jobs of the caller that have not ended.
    CallerWaiting(u64),
    /// Jobs of the caller; and the milliseconds until the first of them expires, if one has ended.
    CallerJobs(u64, Option<u64>),
    /// Bytes of the caller's jobs; and the milliseconds until the first of them expires, if one has
    /// ended.
    CallerBytes(u64, Option<u64>),
}

/// Idempotency key of a request, in the scope of its caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    /// The key.
    pub key: String,
    /// Digest of the request. The same key with another digest is refused.
    pub fingerprint: Bytes,
}

/// Outcome of a submission.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// The job: the new one, or the one of an earlier request.
    pub job: Job,
    /// True if the job is new.
    pub fresh: bool,
}
