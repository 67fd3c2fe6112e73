//! Seam for durable partials (write-ahead): a leaf's partial is stored first, and counts only then.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::failure::Failure;

/// Partial of a leaf, to be stored.
#[derive(Clone, Debug)]
pub struct KeptPartial {
    /// The partition's index.
    pub partition: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Run time of the leaf.
    pub ran: Duration,
    /// The partial.
    pub partial: Bytes,
}

/// Pending write of partials.
pub type KeepFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Pending read of a page of stored partials, ascending by index; empty when there are no more.
pub type RecallFuture = Pin<Box<dyn Future<Output = Result<Vec<(u32, Bytes)>, Failure>> + Send>>;

/// Stores the partials of one query.
pub trait Journal: Send + Sync {
    /// Stores partials, one batch at a time. They are durable, and count, once the future resolves.
    /// A failure stops the query.
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture;

    /// Reads the next stored partials with indexes above `after`: about `bytes` of them, at least
    /// one. The page has every partial that the plan calls kept, within its range. It may also have
    /// partials that this run has stored; the caller ignores them.
    fn recall(&self, after: Option<u32>, bytes: u64) -> RecallFuture;
}
