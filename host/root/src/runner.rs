//! The seams behind which guests run: in this process, in others, on other hosts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::event::Usage;
use crate::failure::Failure;
use crate::scatter::Scatter;

/// Runs leaves. A runner claims attempts from every scatter attached to it, each on a slot, ends each attempt, and
/// lets go of a scatter once it is closed. It stops what it runs for a scatter that closes.
pub trait LeafRunner: Send + Sync {
    /// Takes on a query.
    fn attach(&self, scatter: Arc<Scatter>);

    /// Something has become claimable again: a retry, or leaves that were held back.
    fn nudge(&self);
}

/// What the merge is told of the coverage, as the contract words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The planned weight.
    pub planned: u64,
    /// The weight in the answer.
    pub covered: u64,
    /// True when nothing is missing.
    pub complete: bool,
}

/// A merge's result and what it used.
pub type MergeResult = Result<(Bytes, Usage), Box<Failure>>;

/// A merge under way. Dropping it stops the guest.
pub type MergeFuture = Pin<Box<dyn Future<Output = MergeResult> + Send>>;

/// Runs the merge component. Each call ends by `until`, as `out-of-time` if need be.
pub trait Merger: Send + Sync {
    /// Folds partials, two or more, into one.
    fn merge(&self, query: Bytes, partials: Vec<Bytes>, until: Instant) -> MergeFuture;

    /// Makes the answer.
    fn finish(&self, query: Bytes, merged: Option<Bytes>, covered: Covered, until: Instant) -> MergeFuture;
}
