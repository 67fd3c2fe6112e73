//! Seams behind which guests run: in this process, in others, on other hosts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::event::Usage;
use crate::failure::Failure;
use crate::scatter::Scatter;

/// Runs leaves. A runner claims attempts from every attached scatter, each on a slot, and ends each
/// attempt. When a scatter closes, the runner stops its leaves and drops it.
pub trait LeafRunner: Send + Sync {
    /// Attaches a query's scatter.
    fn attach(&self, scatter: Arc<Scatter>);

    /// Signals that attempts are claimable again: after a retry or after backpressure.
    fn nudge(&self);
}

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
