//! Attempts of a query, from their orders to what the root would account for.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use frond_root::ledger::PartialRange;
use frond_root::share::{Part, Share, Stretch};
use frond_root::{AttemptId, Content, Grain, Limit, Partition, PieceSizes, Units};
use tokio::time::Instant;

use crate::frames::{AttemptOf, FileOf, MOST_TIME, Order, Unit, owned};
use crate::worker::content::{InlineContent, PulledContent, Pulls};
use crate::worker::located::{FileReach, LocatedContent};

/// Attempt that no slot has claimed.
pub(super) struct Waiting {
    pub(super) id: AttemptId,
    /// Time at which its order arrived.
    pub(super) received: Instant,
    pub(super) deadline: Instant,
    pub(super) limit: Limit,
    pub(super) partition: Partition,
    /// The partition's content, if it is read from the root.
    pub(super) pulled: Option<Arc<PulledContent>>,
    pub(super) share: Option<Arc<Share>>,
    pub(super) token: Bytes,
}

/// Attempt that a slot runs.
pub(super) struct Running {
    pub(super) share: Option<Arc<Share>>,
    pub(super) pulled: Option<Arc<PulledContent>>,
    /// Time at which its order arrived.
    pub(super) received: Instant,
    /// Time of the claim.
    pub(super) claimed: Instant,
    /// The leaf that waits for more units.
    pub(super) waker: Option<Waker>,
    /// True while it waits for something that is not the root's, and the root knows.
    pub(super) is_waiting: bool,
    /// True if it must stop, because another attempt was done first.
    pub(super) is_superseded: bool,
    /// Token of the attempt, for what is kept of it.
    pub(super) token: Bytes,
}

/// Maker of a query's attempts from their orders, with contents from the root or from files.
pub(super) struct OrderReader {
    /// Number of the query.
    pub(super) query: u64,
    pub(super) pulls: Arc<Pulls>,
    /// Files that are read in place of pulls, if the worker has any.
    pub(super) files: Option<Arc<dyn FileReach>>,
}

impl OrderReader {
    /// Makes an attempt of its order, which arrived at `now`.
    pub(super) fn waiting(&self, order: Order, now: Instant) -> Waiting {
        let id = AttemptId { partition: order.partition, number: order.number };
        let of = AttemptOf { query: self.query, partition: id.partition, number: id.number };
        let grain = match order.unit() {
            Unit::Byte => Grain::Byte,
            Unit::Integer => Grain::Integer,
            Unit::Whole => Grain::Whole,
        };
        let units = Units { count: order.units, grain };
        let size = order.size;
        let share = order.share.map(|of| {
            let sizes = if of.is_fixed { PieceSizes::Fixed } else { PieceSizes::Timed };
            let share = Share::new(units, Stretch { begin: of.begin, end: of.end, ..Stretch::whole(0) }, sizes);
            share.leased(of.leased, of.end);
            Arc::new(share)
        });
        let pull = || Arc::new(PulledContent::new(self.pulls.clone(), of, size, units, share.clone()));
        let pulled = order.content.is_none().then(pull);
        let content: Arc<dyn Content> = match (order.content, &pulled) {
            (None, Some(pulled)) => self.located(order.file, pulled),
            (bytes, _) => Arc::new(InlineContent { bytes: bytes.unwrap_or_default(), size, units }),
        };
        let partition = Partition { key: order.key.into(), weight: order.weight.max(1), content };
        let left = Duration::from_micros(order.left).min(MOST_TIME);
        let deadline = now + left;
        let time = Limit::time(frond_root::Scope::Query, left);
        let limit = order.limit.parse().map_or(time, |key| Limit { key, value: order.limit_value });
        Waiting { id, received: now, deadline, limit, partition, pulled, share, token: owned(order.token) }
    }

    /// Content that is pulled, unless the worker has its file.
    fn located(&self, file: Option<FileOf>, pulled: &Arc<PulledContent>) -> Arc<dyn Content> {
        let piece = file.map(|file| file.piece(pulled.size()));
        let file = self.files.as_ref().zip(piece).and_then(|(files, piece)| files.content(&piece));
        match file {
            Some(file) => Arc::new(LocatedContent::new(file, pulled.clone())),
            None => pulled.clone(),
        }
    }
}

/// Units that the partial of a success accounts for; `None` for a whole partition of which the leaf
/// has kept nothing before. Skipped units end with the lease: the root may have cut the rest off.
pub(super) fn accounted(part: &Part, leased: u64) -> Option<PartialRange> {
    let Part { units: of, stretch, kept, skipped, .. } = *part;
    let end = part.done();
    let is_plain = part.is_whole() && !skipped && kept <= stretch.begin;
    let until = if skipped { stretch.end.min(leased).max(end) } else { end };
    (!is_plain).then_some(PartialRange { begin: stretch.begin, end, until, of })
}
