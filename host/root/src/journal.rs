//! Seam for durable partials (write-ahead): a leaf's partial is stored first, and counts only then.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::failure::Failure;
use crate::ledger::{PartialRange, Position};

/// Partial of a leaf, to be stored.
#[derive(Clone, Debug)]
pub struct KeptPartial {
    /// The partition's index.
    pub partition: u32,
    /// Number of the attempt, from 1. Within one run, it identifies an attempt at the partition.
    pub attempt: u32,
    /// Run time of the leaf so far.
    pub ran: Duration,
    /// The partial.
    pub partial: Bytes,
    /// Units that it accounts for; `None` for the whole partition.
    pub units: Option<PartialRange>,
    /// Bytes of the stored partial of the same attempt that this one replaces.
    pub replaces: u64,
}

/// Pending write of partials.
pub type KeepFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Pending read of a page of stored partials, ascending by position; empty when there are no more.
/// A whole partition is at its unit 0.
pub type RecallFuture = Pin<Box<dyn Future<Output = Result<Vec<(Position, Bytes)>, Failure>> + Send>>;

/// Stores the partials of one query.
pub trait Journal: Send + Sync {
    /// Stores partials, one batch at a time, in their order. They are durable, and count, once the
    /// future resolves. A failure stops the query.
    ///
    /// A partial replaces that of the same attempt, which reaches less far. One whose units overlap
    /// with those of another attempt is discarded, as is one of a partition that is stored whole.
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture;

    /// Reads the next stored partials behind the position `after`: about `bytes` of them, at least
    /// one. The page has every partial that the plan calls stored, within its range. It may also
    /// have partials that this run has stored; the caller ignores them.
    fn recall(&self, after: Option<Position>, bytes: u64) -> RecallFuture;
}
