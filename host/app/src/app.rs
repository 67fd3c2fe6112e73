//! A resolved app: the contents of `frond.toml` with defaults filled in and contradictions refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use frond_root::{Floor, MergeOrder, PartitionKey};

use crate::component::Component;
use crate::error::AppError;
use crate::grants::Grants;
use crate::limits::Limits;
use crate::package::Package;
use crate::retry::Retries;
use crate::source::Source;

pub(crate) mod grants;
mod limits;
pub(crate) mod resolve;
mod retry;
mod source;

#[cfg(test)]
mod tests;

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
    pub limits: Limits,
    /// Rules for retries of failed attempts.
    pub retry: Retries,
}

impl App {
    /// Reads an app from its folder, or from the path of its `frond.toml`. Its components and data
    /// may be missing.
    ///
    /// # Errors
    /// [`AppError`] with the line, the key and the remedy, when there is no app or its `frond.toml`
    /// is wrong.
    pub fn load(dir: &Path) -> Result<Self, AppError> {
        Package::load(dir)?.app()
    }

    /// Time limit of one call of the leaf in a query: `limits.leaf.time`, or else the larger of
    /// 60 s and the app's longest deadline.
    #[must_use]
    pub fn leaf_time(&self) -> Duration {
        self.limits.leaf.time.unwrap_or(LEAF_TIME.max(self.max_deadline))
    }

    /// Time limit of one call of the leaf in a job: `limits.leaf.time`, or else the larger of
    /// 10 min and the app's longest deadline. A job's leaf may wait longer than a query's, but not
    /// for as long as the job may run.
    #[must_use]
    pub fn job_leaf_time(&self) -> Duration {
        self.limits.leaf.time.unwrap_or(JOB_LEAF_TIME.max(self.max_deadline))
    }

    /// Runs the app's build commands: see [`Package::build`].
    ///
    /// # Errors
    /// The errors of [`Package::build`].
    pub fn build(&self) -> Result<usize, AppError> {
        Package::from(self).build()
    }
}
