//! What is submitted to a store, within which bounds, and what becomes of it.

use bytes::Bytes;
use frond_root::{Floor, PartitionKey};

use crate::job::JobId;

use super::Job;

/// A job as it is asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct NewJob {
    /// Its id, made by the caller.
    pub id: JobId,
    /// The app's name.
    pub app: String,
    /// Which version of the app it was submitted to.
    pub version: String,
    /// The query itself.
    pub query: Bytes,
    /// How much must be there.
    pub floor: Floor,
    /// Partitions that must be there whatever the floor says.
    pub required: Vec<PartitionKey>,
    /// How long it may run.
    pub run_timeout_ms: u64,
    /// How long its answer is kept.
    pub retention_ms: u64,
    /// Its share beside others, at least 1: twice the weight, twice as many jobs of its app at a time, and twice the time of leaf
    /// threads. 0 counts as 1.
    pub weight: u32,
    /// The name of the token that asked; `None` where none is needed.
    pub caller: Option<String>,
    /// By what the same request is known when it comes again.
    pub idempotency: Option<Idempotency>,
    /// What the app and the caller may have in the store, this job included.
    pub bounds: Bounds,
}

/// Bounds on what an app and a caller may have in the store when a job is submitted. `None` is no bound, and a job without
/// a caller has those of its app alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// Jobs of the app, and of the caller, that have not ended.
    pub waiting: Option<u64>,
    /// Jobs of the caller that are kept, tombstones left out.
    pub jobs: Option<u64>,
    /// Bytes that these take.
    pub bytes: Option<u64>,
}

/// A bound of [`Bounds`] that a job would exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverBound {
    /// Jobs of the app that have not ended.
    AppWaiting(u64),
    /// Jobs of the caller that have not ended.
    CallerWaiting(u64),
    /// Jobs of the caller that are kept, and the milliseconds until the first of them expires, if one has ended.
    CallerJobs(u64, Option<u64>),
    /// Bytes that the caller's jobs take, and the milliseconds until the first of these expires, if one has ended.
    CallerBytes(u64, Option<u64>),
}

/// By what a request is known when it comes again. Keys of different callers are different.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    /// What the caller calls the request.
    pub key: String,
    /// A digest of the request: the same key with another one is refused.
    pub fingerprint: Bytes,
}

/// What became of a submission.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// The job: this one, or the one that was there before.
    pub job: Job,
    /// True when it was not there before.
    pub fresh: bool,
}
