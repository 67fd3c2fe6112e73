//! What a store tells of past work, and of itself.

use std::collections::BTreeMap;

use crate::job::{JobId, JobState, UnixMs};

/// What a succeeded job took.
#[derive(Clone, PartialEq, Debug)]
pub struct PastJob {
    /// The job.
    pub id: JobId,
    /// How many partitions.
    pub partitions: u64,
    /// Their weight.
    pub weight: u64,
    /// From its start to its end.
    pub run_ms: u64,
    /// The time of all leaves whose results were accepted.
    pub leaf_ms: u64,
    /// The same by unit of weight; 0 for an empty plan.
    pub leaf_ms_per_weight: f64,
    /// When it ended.
    pub finished: UnixMs,
}

/// What a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SweepReport {
    /// Jobs that became tombstones.
    pub expired: u64,
    /// Tombstones that went.
    pub forgotten: u64,
    /// Files that belonged to no job.
    pub blobs_removed: u64,
    /// The bytes of queries, partials and answers of jobs that expired.
    pub bytes: u64,
}

/// What a store takes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Jobs, tombstones included.
    pub jobs: u64,
    /// The same by their state. Those without a job are left out.
    pub states: BTreeMap<JobState, u64>,
    /// Since when the job waits that has been waiting longest to be taken, if one does.
    pub oldest_queued: Option<UnixMs>,
    /// The store's time when it was asked.
    pub now: UnixMs,
}
