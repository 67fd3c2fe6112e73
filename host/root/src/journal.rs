//! The seam behind which partials outlive their process: what a leaf returned is kept first, and counts only then.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::failure::Failure;

/// What a leaf returned.
#[derive(Clone, Debug)]
pub struct KeptPartial {
    /// The partition's index.
    pub partition: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// How long its leaf ran.
    pub ran: Duration,
    /// The partial.
    pub partial: Bytes,
}

/// Partials being kept.
pub type KeepFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A page of kept partials, ascending by index; empty when there are no more.
pub type RecallFuture = Pin<Box<dyn Future<Output = Result<Vec<(u32, Bytes)>, Failure>> + Send>>;

/// Keeps the partials of one query.
pub trait Journal: Send + Sync {
    /// Keeps partials, one batch at a time. They count once this resolves: then they are durable. A failure ends the
    /// query as a cancel does.
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture;

    /// Reads the next kept partials with indexes above `after`, about `bytes` of them but at least one. None that the plan
    /// calls kept is left out; those that this run has kept may be among them, and are ignored.
    fn recall(&self, after: Option<u32>, bytes: u64) -> RecallFuture;
}
