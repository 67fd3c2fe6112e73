//! Leaves of a root's query, as the slots of a worker see them. What the slots report goes to the
//! root, which decides.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use frond_root::share::{Share, Stretch};
use frond_root::{
    AttemptId, Content, Done, Emission, Grain, Limit, Outcome, Partition, PieceSizes, StopReason, Tenant, Ticket,
    Units, Work,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::content::{InlineContent, PulledContent, Pulls};
use super::load::Load;
use crate::frames::{
    self, AttemptOf, Emitted, GivenBack, Lease, MOST_GIVEN_BACK, More, Open, Order, Said, Started, Unit, Waits, owned,
};
use crate::outcome::to_frame;
use crate::session::FrameSender;

/// The longest time of a leaf: a year.
const MOST_TIME: Duration = Duration::from_secs(365 * 86_400);
/// Bytes queued for a root above which no partials are handed over before the end of a leaf.
const MOST_UNSENT: usize = 32 << 20;
/// Bytes queued for a root above which the session ends: it does not read.
const MOST_UNREAD: usize = 2 << 30;

/// Function that a runner registers.
type Hook = Box<dyn Fn() + Send + Sync>;

/// Attempt that no slot has claimed.
struct Waiting {
    id: AttemptId,
    deadline: Instant,
    limit: Limit,
    partition: Partition,
    /// The partition's content, if it is read from the root.
    pulled: Option<Arc<PulledContent>>,
    share: Option<Arc<Share>>,
}

/// Attempt that a slot runs.
#[derive(Default)]
struct Running {
    share: Option<Arc<Share>>,
    pulled: Option<Arc<PulledContent>>,
    /// The leaf that waits for more units.
    waker: Option<Waker>,
}

/// Leaves of one query.
pub(super) struct Inbox {
    query: u64,
    bytes: Bytes,
    tenant: Tenant,
    background: Option<u32>,
    sender: FrameSender,
    pulls: Arc<Pulls>,
    load: Arc<Load>,
    waiting: Mutex<VecDeque<Waiting>>,
    running: Mutex<HashMap<AttemptId, Running>>,
    /// Number of claimed attempts.
    claimed: AtomicUsize,
    closed: AtomicBool,
    late: AtomicBool,
    hooks: Mutex<Vec<Hook>>,
    /// Told when a claimed attempt has ended.
    ended: Notify,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("query", &self.query).field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Inbox {
    pub(super) fn new(open: Open, sender: FrameSender, pulls: Arc<Pulls>, load: Arc<Load>) -> Arc<Self> {
        let Open { query, bytes, caller, app, background, .. } = open;
        Arc::new(Self {
            query,
            bytes: owned(bytes),
            tenant: Tenant { caller: caller.into(), app: app.into() },
            background: background.map(|weight| weight.max(1)),
            sender,
            pulls,
            load,
            waiting: Mutex::default(),
            running: Mutex::default(),
            claimed: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            late: AtomicBool::new(false),
            hooks: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// Takes attempts to run, which count in the load.
    pub(super) fn take(&self, orders: Vec<Order>, now: Instant) {
        let taken: Vec<_> = orders.into_iter().map(|order| self.waiting(order, now)).collect();
        self.waiting.lock().extend(taken);
        if self.is_closed() {
            self.give_waiting_back();
        }
    }

    fn waiting(&self, order: Order, now: Instant) -> Waiting {
        let id = AttemptId { partition: order.partition, number: order.number };
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
        let pull = || Arc::new(PulledContent::new(self.pulls.clone(), self.of(id), size, units, share.clone()));
        let pulled = order.content.is_none().then(pull);
        let content: Arc<dyn Content> = match (order.content, &pulled) {
            (None, Some(pulled)) => pulled.clone(),
            (bytes, _) => Arc::new(InlineContent { bytes: bytes.unwrap_or_default(), size, units }),
        };
        let partition = Partition { key: order.key.into(), weight: order.weight.max(1), content };
        let left = Duration::from_micros(order.left).min(MOST_TIME);
        let deadline = now + left;
        let time = Limit::time(frond_root::Scope::Query, left);
        let limit = order.limit.parse().map_or(time, |key| Limit { key, value: order.limit_value });
        Waiting { id, deadline, limit, partition, pulled, share }
    }

    /// Takes more units of an attempt's share.
    pub(super) fn lease(&self, lease: &Lease) {
        let id = AttemptId { partition: lease.of.partition, number: lease.of.number };
        let waker = self.running.lock().get_mut(&id).and_then(|running| {
            if let Some(share) = &running.share {
                share.leased(lease.leased, lease.end);
            }
            running.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the query: running leaves are stopped, and what no slot has claimed is given back.
    pub(super) fn close(&self, is_late: bool) {
        self.late.store(is_late, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
        self.give_waiting_back();
        // A hook may use this inbox: release the lock first.
        let hooks = std::mem::take(&mut *self.hooks.lock());
        hooks.iter().for_each(|hook| hook());
        let wakers: Vec<_> = self.running.lock().values_mut().filter_map(|running| running.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Gives attempts back that no slot has claimed.
    pub(super) fn give_waiting_back(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let attempts: Vec<_> = waiting.iter().map(|one| self.of(one.id)).collect();
        for of in attempts.chunks(MOST_GIVEN_BACK) {
            self.say(Said::GivenBack(GivenBack { of: of.to_vec() }));
        }
        self.load.ended(attempts.len());
    }

    /// Waits until no claimed attempt is left.
    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.running() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Forgets a claimed attempt.
    fn forget(&self, id: AttemptId) {
        self.running.lock().remove(&id);
        self.load.ended(1);
        self.claimed.fetch_sub(1, Ordering::SeqCst);
        self.ended.notify_waiters();
    }

    fn of(&self, id: AttemptId) -> AttemptOf {
        AttemptOf { query: self.query, partition: id.partition, number: id.number }
    }

    fn say(&self, said: Said) {
        self.sender.post(frames::encoded(said));
        if self.sender.queued() > MOST_UNREAD {
            // The root does not read at all.
            self.sender.close();
        }
    }

    /// Has the leaf woken once its next units are there. Pending unless they came meanwhile.
    fn await_lease(&self, ticket: &Ticket, share: &Share, now: Instant, waker: &Waker) -> Poll<Option<Range<u64>>> {
        let mut running = self.running.lock();
        let piece = share.poll_next(now);
        if let Some(running) = running.get_mut(&ticket.id).filter(|_| piece.is_pending()) {
            running.waker = Some(waker.clone());
        }
        piece
    }
}

impl Work for Inbox {
    fn query(&self) -> &Bytes {
        &self.bytes
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn background(&self) -> Option<u32> {
        self.background
    }

    fn only(&self) -> Option<&Partition> {
        None
    }

    fn claim(&self, slot: u32, now: Instant) -> Option<Ticket> {
        let Waiting { id, deadline, limit, partition, pulled, share } = self.waiting.lock().pop_front()?;
        self.claimed.fetch_add(1, Ordering::SeqCst);
        self.running.lock().insert(id, Running { share: share.clone(), pulled, waker: None });
        Some(Ticket { id, slot, claimed: now, deadline, limit, partition, share, cut_from: None, worker: None })
    }

    fn is_claimable(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    fn running(&self) -> usize {
        self.claimed.load(Ordering::SeqCst)
    }

    fn cut(&self, _slot: u32, _now: Instant) -> Option<Ticket> {
        None
    }

    fn is_cuttable(&self, _now: Instant) -> bool {
        false
    }

    fn on_cuttable(&self, _hook: Hook) {}

    fn poll_piece(&self, ticket: &Ticket, now: Instant, context: &mut Context<'_>) -> Poll<Option<Range<u64>>> {
        let Some(share) = ticket.share.as_deref() else { return Poll::Ready(None) };
        let piece = match share.poll_next(now) {
            // No further units will come.
            Poll::Pending if self.is_closed() => return Poll::Ready(None),
            Poll::Pending => self.await_lease(ticket, share, now, context.waker()),
            piece => piece,
        };
        if share.asks_for_lease() {
            self.say(Said::More(More { of: self.of(ticket.id) }));
        }
        piece
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn stop(&self, _id: AttemptId) -> Option<StopReason> {
        let reason = if self.late.load(Ordering::SeqCst) { StopReason::Late } else { StopReason::Cancelled };
        self.is_closed().then_some(reason)
    }

    fn on_stop(&self, hook: Hook) {
        let mut hooks = self.hooks.lock();
        if self.is_closed() {
            drop(hooks);
            hook();
        } else {
            hooks.push(hook);
        }
    }

    fn start(&self, ticket: &Ticket, _now: Instant) {
        self.say(Said::Started(Started { of: self.of(ticket.id), slot: ticket.slot }));
    }

    fn wait(&self, id: AttemptId) {
        self.say(Said::Waits(Waits { of: self.of(id), is_waiting: true }));
    }

    fn resume(&self, id: AttemptId) {
        self.say(Said::Waits(Waits { of: self.of(id), is_waiting: false }));
    }

    fn may_resume(&self) -> bool {
        !self.is_closed()
    }

    fn emit(&self, id: AttemptId, emission: Emission) {
        if self.sender.queued() > MOST_UNSENT {
            // The root reads slowly. The next one has all of this one's work.
            return;
        }
        let Emission { partial, done } = emission;
        let (share, kept) = match done {
            Done::Share(share) => (Some(share), 0),
            Done::Units { end, .. } => (None, end),
        };
        self.say(Said::Emitted(Emitted { of: self.of(id), partial, share, kept, is_retracted: false }));
    }

    fn retract(&self, id: AttemptId) {
        let of = self.of(id);
        self.say(Said::Emitted(Emitted { of, partial: Bytes::new(), share: None, kept: 0, is_retracted: true }));
    }

    fn end(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let pulled = self.running.lock().get(&ticket.id).and_then(|running| running.pulled.clone());
        pulled.iter().for_each(|pulled| pulled.close());
        let part = ticket.share.map(|share| share.end());
        self.say(Said::Ended(to_frame(self.of(ticket.id), outcome, part, now)));
        self.forget(ticket.id);
    }

    fn give_back(&self, ticket: Ticket) {
        self.say(Said::GivenBack(GivenBack { of: vec![self.of(ticket.id)] }));
        self.forget(ticket.id);
    }
}
