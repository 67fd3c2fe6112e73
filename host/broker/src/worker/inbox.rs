//! Leaves of a root's query, as the slots of a worker see them. What the slots report goes to the
//! root, which decides.

mod attempts;
mod stopping;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use frond_root::ledger::PartialRange;
use frond_root::share::Share;
use frond_root::work::{MIN_TIME, SupersededHook};
use frond_root::{AttemptId, Done, Emission, Outcome, Partition, StopReason, Tenant, Ticket, Work};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use attempts::{OrderReader, Running, Waiting, accounted};

use super::content::Pulls;
use super::load::Load;
use super::located::FileReach;
use super::partial_cache::{CachedRun, RunPartial};
use crate::frames::{
    self, AttemptOf, Emitted, GivenBack, Lease, MOST_GIVEN_BACK, More, Open, Order, Said, Started, StoredPartial,
    Waits, owned,
};
use crate::outcome::{LeafTimes, micros, to_frame};
use crate::session::FrameSender;

/// Bytes queued for a root above which no partials are handed over before the end of a leaf.
const MOST_UNSENT: usize = 32 << 20;
/// Bytes queued for a root above which the session ends: it does not read.
const MOST_UNREAD: usize = 2 << 30;

/// Function that a runner registers.
type Hook = Box<dyn Fn() + Send + Sync>;

/// Leaves of one query.
pub(super) struct Inbox {
    query: u64,
    /// Time from which the worker's clock counts in this session.
    opened: Instant,
    /// Time at which the query was opened, and its leaf's code was asked for.
    created: Instant,
    /// Time at which the code was there, if it was not at once.
    loaded: OnceLock<Instant>,
    bytes: Bytes,
    tenant: Tenant,
    background: Option<u32>,
    sender: FrameSender,
    orders: OrderReader,
    load: Arc<Load>,
    /// Keeps what the root has not stored, if the query has a memo.
    cached: Option<CachedRun>,
    waiting: Mutex<VecDeque<Waiting>>,
    running: Mutex<HashMap<AttemptId, Running>>,
    /// Number of claimed attempts.
    claimed: AtomicUsize,
    /// Number of attempts that had to stop.
    superseded: AtomicUsize,
    closed: AtomicBool,
    late: AtomicBool,
    hooks: Mutex<Vec<Hook>>,
    on_superseded: Mutex<Vec<SupersededHook>>,
    /// Told when a claimed attempt has ended.
    ended: Notify,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("query", &self.query).field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Inbox {
    pub(super) fn new(
        open: Open,
        opened: Instant,
        sender: FrameSender,
        pulls: Arc<Pulls>,
        files: Option<Arc<dyn FileReach>>,
        load: Arc<Load>,
        cached: Option<CachedRun>,
    ) -> Arc<Self> {
        let Open { query, bytes, caller, app, background, .. } = open;
        Arc::new(Self {
            query,
            opened,
            created: Instant::now(),
            loaded: OnceLock::new(),
            bytes: owned(bytes),
            tenant: Tenant { caller: caller.into(), app: app.into() },
            background: background.map(|weight| weight.max(1)),
            sender,
            orders: OrderReader { query, pulls, files },
            load,
            cached,
            waiting: Mutex::default(),
            running: Mutex::default(),
            claimed: AtomicUsize::new(0),
            superseded: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            late: AtomicBool::new(false),
            hooks: Mutex::default(),
            on_superseded: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// Notes that the leaf's code is there now.
    pub(super) fn has_loaded(&self) {
        self.loaded.get_or_init(Instant::now);
    }

    /// Begin and end of the loading, if an attempt whose order arrived at `received` waited for it.
    fn loading(&self, received: Instant) -> Option<(Instant, Instant)> {
        let loaded = self.loaded.get().filter(|loaded| **loaded > received)?;
        Some((self.created, *loaded))
    }

    /// Takes attempts to run, which count in the load.
    pub(super) fn take(&self, orders: Vec<Order>, now: Instant) {
        let taken: Vec<_> = orders.into_iter().map(|order| self.orders.waiting(order, now)).collect();
        self.waiting.lock().extend(taken);
        if self.is_closed() {
            self.give_waiting_back();
        }
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

    /// Forgets what the root has stored of an attempt.
    pub(super) fn stored(&self, stored: &StoredPartial) {
        let id = AttemptId { partition: stored.of.partition, number: stored.of.number };
        self.cached.iter().for_each(|cached| cached.stored(id, stored.until));
    }

    /// True if the query has a memo.
    pub(super) fn is_cached(&self) -> bool {
        self.cached.is_some()
    }

    /// Gives attempts back that no slot has claimed.
    pub(super) fn give_waiting_back(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        self.give_back_unclaimed(waiting.iter().map(|one| one.id));
    }

    /// Gives attempts back that were taken from those that wait.
    fn give_back_unclaimed(&self, ids: impl Iterator<Item = AttemptId>) {
        let attempts: Vec<_> = ids.map(|id| self.of(id)).collect();
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
        if self.running.lock().remove(&id).is_some_and(|running| running.is_superseded) {
            self.superseded.fetch_sub(1, Ordering::SeqCst);
        }
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

impl Inbox {
    /// Takes the next attempt that still has time to run. Those before it are given back: they have
    /// not run, so no leaf was too slow.
    fn next_waiting(&self, now: Instant) -> Option<Waiting> {
        let mut late = Vec::new();
        let next = {
            let mut waiting = self.waiting.lock();
            loop {
                match waiting.pop_front() {
                    Some(one) if one.deadline <= now + MIN_TIME => late.push(one.id),
                    next => break next,
                }
            }
        };
        self.give_back_unclaimed(late.into_iter());
        next
    }

    /// Keeps the partial of a running attempt, if it covers exact units.
    fn keep(&self, id: AttemptId, emission: &Emission) {
        let (Some(cached), Done::Units { begin, end, of }) = (&self.cached, emission.done) else { return };
        let partial = self.running.lock().get(&id).map(|running| RunPartial {
            units: Some(PartialRange { begin, end, until: end, of }),
            bytes: emission.partial.clone(),
            ran: running.claimed.elapsed(),
            has_ended: false,
            token: running.token.clone(),
        });
        if let Some(partial) = partial {
            cached.keep(id, partial);
        }
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
        let Waiting { id, received, deadline, limit, partition, pulled, share, token } = self.next_waiting(now)?;
        self.claimed.fetch_add(1, Ordering::SeqCst);
        let running = Running {
            share: share.clone(),
            pulled,
            received,
            claimed: now,
            waker: None,
            is_waiting: false,
            is_superseded: false,
            token,
        };
        self.running.lock().insert(id, running);
        let (cut_from, copy_of, worker, began) = (None, None, None, None);
        Some(Ticket { id, slot, claimed: now, deadline, limit, partition, share, cut_from, copy_of, worker, began })
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
            Poll::Pending if self.is_closed() || self.is_superseded(ticket.id) => return Poll::Ready(None),
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

    fn stop(&self, id: AttemptId) -> Option<StopReason> {
        if self.is_superseded(id) {
            return Some(StopReason::Superseded);
        }
        let reason = if self.late.load(Ordering::SeqCst) { StopReason::Late } else { StopReason::Cancelled };
        self.is_closed().then_some(reason)
    }

    fn on_superseded(&self, hook: SupersededHook) {
        self.on_superseded.lock().push(hook);
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

    fn start(&self, ticket: &Ticket, now: Instant) {
        let since_open = |time: Instant| micros(time.saturating_duration_since(self.opened));
        let received = self.running.lock().get(&ticket.id).map_or(now, |running| running.received);
        let at = since_open(now);
        let queued = at - since_open(received.min(now));
        self.say(Said::Started(Started { of: self.of(ticket.id), slot: ticket.slot, at: Some(at), queued }));
    }

    fn wait(&self, id: AttemptId) {
        // While it waits for units, the root knows better: its slot is no reason for a cut.
        let mut running = self.running.lock();
        if let Some(running) = running.get_mut(&id).filter(|running| running.waker.is_none()) {
            running.is_waiting = true;
            self.say(Said::Waits(Waits { of: self.of(id), is_waiting: true }));
        }
    }

    fn resume(&self, id: AttemptId) {
        let mut running = self.running.lock();
        if running.get_mut(&id).is_some_and(|running| std::mem::take(&mut running.is_waiting)) {
            self.say(Said::Waits(Waits { of: self.of(id), is_waiting: false }));
        }
    }

    fn may_resume(&self) -> bool {
        !self.is_closed()
    }

    fn emit(&self, id: AttemptId, emission: Emission) {
        self.keep(id, &emission);
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
        self.cached.iter().for_each(|cached| cached.retract(id));
        self.say(Said::Emitted(Emitted { of, partial: Bytes::new(), share: None, kept: 0, is_retracted: true }));
    }

    fn end(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let of_running = |running: &Running| (running.pulled.clone(), running.token.clone(), running.received);
        let running = self.running.lock().get(&ticket.id).map(of_running);
        let (pulled, token, received) = running.unwrap_or((None, Bytes::new(), now));
        pulled.iter().for_each(|pulled| pulled.close());
        let times = LeafTimes {
            began: ticket.claimed,
            ended: now,
            code: self.loading(received),
            pulls: pulled.and_then(|pulled| pulled.times()),
        };
        let part = ticket.share.as_ref().map(|share| share.end());
        if let (Some(cached), Ok(partial)) = (&self.cached, &outcome.result) {
            let units = ticket.share.as_ref().zip(part).and_then(|(share, part)| accounted(&part, share.leased_end()));
            // Before the root hears of it, which may store it at once.
            let bytes = partial.clone();
            cached.keep(ticket.id, RunPartial { units, bytes, ran: outcome.ran, has_ended: true, token });
        }
        self.say(Said::Ended(to_frame(self.of(ticket.id), outcome, part, &times)));
        self.forget(ticket.id);
    }

    fn give_back(&self, ticket: Ticket) {
        self.say(Said::GivenBack(GivenBack { of: vec![self.of(ticket.id)] }));
        self.forget(ticket.id);
    }
}

#[cfg(test)]
mod tests;
