//! Seam behind which merges run.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::time::Instant;

use crate::call::Usage;
use crate::failure::Failure;

/// Coverage as the merge receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Planned weight.
    pub planned: u64,
    /// Weight in the answer.
    pub covered: u64,
    /// True when nothing is missing.
    pub complete: bool,
}

/// Result of a merge and its resource usage.
pub type MergeResult = Result<(Bytes, Usage), Box<Failure>>;

/// A running merge. Dropping it stops the guest.
pub type MergeFuture = Pin<Box<dyn Future<Output = MergeResult> + Send>>;

/// Runs the merge component. Each call ends by `until`, with `out-of-time` if necessary.
pub trait Merger: Send + Sync {
    /// Folds two or more partials into one.
    fn merge(&self, query: Bytes, partials: Vec<Bytes>, until: Instant) -> MergeFuture;

    /// Makes the answer from the last partial; `None` when there were no partials.
    fn finish(&self, query: Bytes, merged: Option<Bytes>, covered: Covered, until: Instant) -> MergeFuture;
}
