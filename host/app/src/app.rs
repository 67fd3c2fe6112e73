//! A resolved app: the contents of `frond.toml`, with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use frond_root::call::{Grants, InstanceMode, Isolation};
use frond_root::{Floor, MergeOrder, PartitionKey};

use crate::component::Component;
use crate::limits::AppLimits;
use crate::retry::Retries;
use crate::source::Source;

pub(crate) const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// Longest deadline that a query may ask for, unless the app sets one or has a longer default
/// deadline.
pub(crate) const DEFAULT_MAX_DEADLINE: Duration = Duration::from_secs(60);
/// Default time limit of one call of the leaf in a query.
const LEAF_TIME: Duration = Duration::from_secs(60);
/// Default time limit of one call of the leaf in a job.
const JOB_LEAF_TIME: Duration = Duration::from_secs(600);

/// An app, ready to run once its component files exist.
#[derive(Clone, Debug)]
pub struct App {
    /// The app's folder, usable from the current folder.
    pub dir: PathBuf,
    /// The app's name; by default the name of its folder.
    pub name: String,
    /// Media type of the app's answers.
    pub content_type: String,
    /// Component that processes each partition.
    pub leaf: Component,
    /// Component that merges the partials and finishes the answer.
    pub merge: Component,
    /// Component that splits the query into partitions. Always present when the source is
    /// [`Source::Split`].
    pub split: Option<Component>,
    /// Lifetime of the leaf's instances.
    pub instance: InstanceMode,
    /// Process in which leaves run.
    pub isolation: Isolation,
    /// Order in which partials are merged.
    pub order: MergeOrder,
    /// Source of the app's partitions.
    pub source: Source,
    /// Default deadline of a query.
    pub deadline: Duration,
    /// Longest deadline that a client's query may ask for.
    pub max_deadline: Duration,
    /// Default coverage floor of a query.
    pub floor: Floor,
    /// Partitions that every answer must include.
    pub required: Vec<PartitionKey>,
    /// Capabilities of the leaf and the split beyond computing.
    pub grants: Grants,
    /// Resource limits of the app's guests.
    pub limits: AppLimits,
    /// Rules for retries of failed attempts.
    pub retry: Retries,
    /// True if the leaf reads its partition itself, instead of getting it as a whole; known once
    /// the component is loaded.
    pub pulls: bool,
}

impl App {
    /// Largest partition, in bytes: without a limit if the leaf reads its partition itself.
    pub(crate) fn largest_partition(&self) -> u64 {
        if self.pulls { u64::MAX } else { self.limits.leaf.partition }
    }

    /// Time limit of one call of the leaf in a query: `limits.leaf.time`, or else the larger of
    /// 60 s and the app's longest deadline.
    #[must_use]
    pub fn leaf_time(&self) -> Duration {
        self.limits.leaf_time.unwrap_or(LEAF_TIME.max(self.max_deadline))
    }

    /// Time limit of one call of the leaf in a job: `limits.leaf.time`, or else the larger of
    /// 10 min and the app's longest deadline. A job's leaf may wait longer than a query's, but not
    /// for as long as the job may run.
    #[must_use]
    pub fn job_leaf_time(&self) -> Duration {
        self.limits.leaf_time.unwrap_or(JOB_LEAF_TIME.max(self.max_deadline))
    }
}
