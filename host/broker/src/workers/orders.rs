//! Orders of attempts to workers, with their contents or without, and the openings of queries.

use bytes::Bytes;
use frond_root::policy::credits::first_lease_time;
use frond_root::{Content, Failure, Grain, Memo, PieceSizes, Ticket, TimeLimits};
use tokio::time::Instant;

use super::memo_key::{MemoKey, token_of};
use super::peer::Recipient;
use super::queries::Query;
use crate::frames::{FileOf, MAX_INLINE, MemoOf, Open, Order, ShareOf, Unit};
use crate::outcome::micros;

/// The largest content of a file that goes to a worker with its order, in bytes: a pull would cost
/// more than the read.
const MAX_INLINE_FILE: u64 = 64 << 10;

/// Reads the content of an attempt, if it goes with the order.
///
/// # Errors
/// The content cannot be read: the attempt fails.
pub(super) fn content(content: &dyn Content) -> Result<Option<Bytes>, Failure> {
    let size = content.size();
    let is_made = content.units().grain == Grain::Integer;
    let in_memory = content.place().is_none() || is_made;
    let fits = if in_memory { size <= MAX_INLINE } else { size <= MAX_INLINE_FILE && content.remote().is_none() };
    if fits { content.whole().map(Some) } else { Ok(None) }
}

/// Makes the order of an attempt for a worker. One without its content has the content's file, if
/// the worker wants to know it.
pub(super) fn order(query: &Query, ticket: &Ticket, content: Option<Bytes>, worker: &Recipient, now: Instant) -> Order {
    let is_told = worker.reads_files && content.is_none();
    let file = is_told.then(|| ticket.partition.content.file()).flatten();
    let units = ticket.partition.content.units();
    let share = ticket.share.as_deref().map(|share| {
        let time = first_lease_time(worker.sender.round_trip());
        let leased = query.work.lease(ticket, time, None, now).map_or(share.stretch().begin, |units| units.end);
        let stretch = share.stretch();
        let is_fixed = query.source.pieces == Some(PieceSizes::Fixed);
        ShareOf { begin: stretch.begin, end: stretch.end, leased, is_fixed }
    });
    let TimeLimits { until, limit, each } = ticket.limits;
    let unit = match units.grain {
        Grain::Byte => Unit::Byte,
        Grain::Integer => Unit::Integer,
        Grain::Whole => Unit::Whole,
    };
    Order {
        partition: ticket.id.partition,
        number: ticket.id.number,
        key: ticket.partition.key.to_string(),
        weight: ticket.partition.weight,
        left: micros(until.saturating_duration_since(now)),
        limit: limit.key.to_string(),
        limit_value: limit.value,
        time: each.map(micros),
        size: ticket.partition.content.size(),
        content,
        share,
        units: units.count,
        unit: unit.into(),
        file: file.as_ref().and_then(FileOf::new),
        token: query.work.memo().map(|memo| token_of(memo, ticket)).unwrap_or_default(),
    }
}

/// Makes the opening of a query.
pub(super) fn open(query: &Query) -> Open {
    let tenant = query.work.tenant();
    let memo_of = |memo: &Memo| MemoOf { id: MemoKey::new(memo.key.clone()).id(), epoch: memo.epoch };
    Open {
        query: query.number,
        leaf: query.source.leaf.clone(),
        bytes: query.work.query().clone(),
        caller: tenant.caller.to_string(),
        app: tenant.app.to_string(),
        background: query.work.background(),
        memo: query.work.memo().map(memo_of),
    }
}
