//! Limits for the leaves of one query.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::Limit;
use crate::request::{Memo, Tenant};
use crate::share::PieceSizes;

/// Limits for a query's leaves.
#[derive(Clone, Debug)]
pub struct Window {
    /// The most leaves at once.
    pub slots: usize,
    /// Time at which the last leaf is cut off.
    pub leaf_deadline: Instant,
    /// Limit behind `leaf_deadline`.
    pub limit: Limit,
    /// Time limit of one attempt.
    pub leaf_time: Option<Duration>,
    /// Bytes of partials in unread reports above which no more leaves start.
    pub unread: u64,
    /// True to start the heaviest partitions first, so that none of them starts last.
    pub heaviest_first: bool,
    /// Weight of a background query: see [`Request`](crate::Request).
    pub background: Option<u32>,
    /// Fair-share group: see [`Request`](crate::Request).
    pub tenant: Tenant,
    /// Sizes of the pieces; `None` if the leaves do not take their partitions piece by piece.
    pub pieces: Option<PieceSizes>,
    /// True if what running leaves keep is stored before they end.
    pub stores: bool,
    /// Key under which workers keep what is not stored: see [`Request`](crate::Request).
    pub memo: Option<Memo>,
}
