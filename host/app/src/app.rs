//! An app as resolved: what `frond.toml` says, with the defaults filled in and the contradictions refused.

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

/// One app, ready to run once its components are there.
#[derive(Clone, Debug)]
pub struct App {
    /// Its folder, usable from the current one.
    pub dir: PathBuf,
    /// Its name; its folder's, unless it says otherwise.
    pub name: String,
    /// The media type of its answers.
    pub content_type: String,
    /// What runs on each partition.
    pub leaf: Component,
    /// What folds the partials.
    pub merge: Component,
    /// What cuts the query. Always there when the source is [`Source::Split`].
    pub split: Option<Component>,
    /// The order in which partials are folded.
    pub order: MergeOrder,
    /// Where its partitions come from.
    pub source: Source,
    /// How long a query may take, unless it says otherwise.
    pub deadline: Duration,
    /// The longest deadline that a client's query may ask for.
    pub max_deadline: Duration,
    /// How much an answer must stand on, unless the query says otherwise.
    pub floor: Floor,
    /// Partitions that must be in every answer.
    pub required: Vec<PartitionKey>,
    /// What its leaf and its split may use beyond computing.
    pub grants: Grants,
    /// What its guests may take.
    pub limits: Limits,
    /// When failed attempts are tried again.
    pub retry: Retries,
}

impl App {
    /// Reads an app from its folder, or from the path of its `frond.toml`. Its components and data may be missing.
    ///
    /// # Errors
    /// When there is no app, or its `frond.toml` is wrong: with the line, the key and the remedy.
    pub fn load(dir: &Path) -> Result<Self, AppError> {
        Package::load(dir)?.app()
    }

    /// The time limit of one call of its leaf: `limits.leaf.time`, or a default that no query's deadline reaches.
    #[must_use]
    pub fn leaf_time(&self) -> Duration {
        self.limits.leaf.time.unwrap_or(LEAF_TIME.max(self.max_deadline))
    }

    /// Time limit of one call of the leaf in a job. Leaves of jobs may wait longer, and yet not as long as the job may run.
    #[must_use]
    pub fn job_leaf_time(&self) -> Duration {
        self.limits.leaf.time.unwrap_or(JOB_LEAF_TIME.max(self.max_deadline))
    }

    /// Runs its build commands: see [`Package::build`].
    ///
    /// # Errors
    /// As there.
    pub fn build(&self) -> Result<usize, AppError> {
        Package::from(self).build()
    }
}
