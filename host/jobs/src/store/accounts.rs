//! Reports of a store on past work and on itself.

use std::collections::BTreeMap;

use crate::job::{JobId, JobState, UnixMs};

/// Work and times of a succeeded job.
#[derive(Clone, PartialEq, Debug)]
pub struct PastJob {
    /// Id of the job.
    pub id: JobId,
    /// Number of partitions.
    pub partitions: u64,
    /// Total weight of the partitions.
    pub weight: u64,
    /// Time from start to end, in milliseconds.
    pub run_ms: u64,
    /// Time of all leaves whose results were accepted, in milliseconds.
    pub leaf_ms: u64,
    /// Time of these leaves per unit of weight, in milliseconds; 0 for an empty plan.
    pub leaf_ms_per_weight: f64,
    /// End of the job.
    pub finished: UnixMs,
}

/// Numbers of what a sweep removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SweepReport {
    /// Jobs that became tombstones.
    pub expired: u64,
    /// Tombstones that were removed.
    pub forgotten: u64,
    /// Files that belonged to no job.
    pub blobs_removed: u64,
    /// Bytes of queries, partials and answers of expired jobs.
    pub bytes: u64,
}

/// Size and contents of a store in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Number of jobs, tombstones included.
    pub jobs: u64,
    /// Number of jobs by state; states without jobs are left out.
    pub states: BTreeMap<JobState, u64>,
    /// Time since when the longest-waiting job waits to be taken, if any waits.
    pub oldest_queued: Option<UnixMs>,
    /// The store's time at this report.
    pub now: UnixMs,
}
