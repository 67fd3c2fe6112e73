//! Load that one root puts on a worker, within bounds: a worker runs leaves for its roots, but none
//! of them fills its memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::frames::{MAX_INLINE, MAX_PATH, MOST_AHEAD, Open, Order, TOKEN};

/// The most queries of one root that are not over.
const MOST_QUERIES: usize = 10_000;
/// The most bytes of all of them.
const MOST_QUERY_BYTES: usize = 1 << 30;
/// The most bytes of an order beside its content and its path: the key of its partition.
const MOST_KEY: usize = 1 << 20;

/// Load of one session.
#[derive(Debug)]
pub(super) struct Load {
    /// The most attempts.
    most: usize,
    /// Number of attempts that have not ended.
    attempts: AtomicUsize,
    queries: AtomicUsize,
    query_bytes: AtomicUsize,
}

impl Load {
    /// No load yet, on a worker with so many slots and waiting leaves.
    pub(super) fn new(slots: u32, waiting: u32) -> Self {
        // One more than a root believes to wait may have waited when it gave the last one.
        let most = (slots.max(1) as usize).saturating_mul(1 + MOST_AHEAD).saturating_add(waiting as usize + 1);
        Self { most, attempts: AtomicUsize::new(0), queries: AtomicUsize::new(0), query_bytes: AtomicUsize::new(0) }
    }

    /// Adds attempts. An error is what the root did wrong.
    pub(super) fn take(&self, orders: &[Order]) -> Result<(), String> {
        if self.attempts.fetch_add(orders.len(), Ordering::SeqCst) + orders.len() > self.most {
            return Err(format!("gave more than {} attempts at once", self.most));
        }
        if orders.iter().all(can_be) { Ok(()) } else { Err("gave an attempt that cannot be".to_owned()) }
    }

    /// Removes attempts that ended, or were given back.
    pub(super) fn ended(&self, count: usize) {
        self.attempts.fetch_sub(count, Ordering::SeqCst);
    }

    /// Adds a query. Returns its bytes; an error is what the root did wrong.
    pub(super) fn open(&self, open: &Open) -> Result<usize, String> {
        let bytes = open.bytes.len() + open.caller.len() + open.app.len() + open.leaf.len();
        let queries = self.queries.fetch_add(1, Ordering::SeqCst) + 1;
        let all = self.query_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let fits = queries <= MOST_QUERIES && all <= MOST_QUERY_BYTES;
        if fits { Ok(bytes) } else { Err("has too many queries at once".to_owned()) }
    }

    /// Removes a query of so many bytes.
    pub(super) fn closed(&self, bytes: usize) {
        self.queries.fetch_sub(1, Ordering::SeqCst);
        self.query_bytes.fetch_sub(bytes, Ordering::SeqCst);
    }
}

/// True for an order with a share of its own units, with a token or none, and without more content
/// than goes with one.
fn can_be(order: &Order) -> bool {
    let is_small = order.content.as_ref().is_none_or(|content| content.len() as u64 <= MAX_INLINE);
    let is_within = order.share.is_none_or(|share| share.begin <= share.end && share.end <= order.units);
    let is_short = order.file.as_ref().is_none_or(|file| file.path.len() <= MAX_PATH);
    let has_token = [0, TOKEN].contains(&order.token.len());
    is_small && is_within && is_short && has_token && order.key.len() + order.limit.len() <= MOST_KEY
}
