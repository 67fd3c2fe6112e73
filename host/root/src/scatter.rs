//! Window between a query and its runners: runners claim attempts and report their ends.
//!
//! Claims and reports are built for leaves of ten microseconds. A claim is an atomic increment, a
//! report a push to the slot's own list. The query's task is woken at most once per [`COOL_DOWN`],
//! or at once when nothing is left to claim or to await. Slots share no lock: a thread that sleeps
//! on a lock is woken on the core of the thread that held it, and the two may alternate there for
//! milliseconds while another core idles.

mod closing;
mod copies;
mod copying;
mod cutting;
mod emissions;
mod order;
mod report;
mod reporting;
mod shares;
mod window;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::plan::{Partition, Plan};
use crate::request::{Memo, Tenant};
use crate::share::Stretch;
use crate::sync::lock;
use crate::work::{
    AttemptId, Done, Emission, MIN_TIME, Outcome, StopReason, StoredHook, SupersededHook, Ticket, Work, WorkerNews,
};

pub use report::Report;
pub use window::Window;

use copies::Copies;
use order::order;
use shares::Shares;

/// The least time between two wake-ups of the query's task while leaves still run.
pub const COOL_DOWN: Duration = Duration::from_millis(1);

/// The most report lists; slots above this number share lists.
const MAX_LISTS: usize = 64;

/// Reports of one slot, oldest first. Aligned to keep slots off each other's cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Reports(Mutex<Vec<Report>>);

/// Function that a runner registers.
type Hook = Box<dyn Fn() + Send + Sync>;

/// Attempt that waits to be claimed again.
#[derive(Clone, Copy, Debug)]
struct Again {
    id: AttemptId,
    /// Units that it has; `None` for the whole partition.
    stretch: Option<Stretch>,
    cut_from: Option<u32>,
    copy_of: Option<u32>,
}

/// Partitions of one query, to be claimed by runners.
pub struct Scatter {
    plan: Arc<Plan>,
    query: Bytes,
    window: Window,
    order: Option<Vec<u32>>,
    /// Number of partitions to claim.
    count: usize,
    next: AtomicUsize,
    again: Mutex<VecDeque<Again>>,
    again_len: AtomicUsize,
    /// Number of attempts that have not ended.
    running: AtomicUsize,
    /// Number of them that do not wait: those in the window.
    busy: AtomicUsize,
    held: AtomicBool,
    closed: AtomicBool,
    /// Reason why it is closed, or is about to be.
    closed_for: OnceLock<StopReason>,
    reports: Box<[Reports]>,
    /// Bytes of partials in unread reports.
    unread: AtomicU64,
    armed: AtomicBool,
    wake: Notify,
    emitted: Mutex<HashMap<AttemptId, Emission>>,
    /// Running attempts that have kept something since it was last read.
    keepers: Mutex<BTreeSet<AttemptId>>,
    keepers_wake: Notify,
    shares: Mutex<Shares>,
    copies: Mutex<Copies>,
    /// Number of attempts that are offered to be copied.
    offered: AtomicUsize,
    /// Number of attempts that must stop because a rival has won.
    superseded: AtomicUsize,
    on_close: Mutex<Vec<Hook>>,
    on_cuttable: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>,
    on_stored: Mutex<Vec<StoredHook>>,
    workers_joined: AtomicU64,
    workers_lost: AtomicU64,
    on_superseded: Mutex<Vec<SupersededHook>>,
}

impl fmt::Debug for Scatter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scatter")
            .field("partitions", &self.plan.len())
            .field("running", &self.running())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Scatter {
    /// A scatter of the plan's partitions, without what the journal has of them.
    #[must_use]
    pub fn new(plan: Arc<Plan>, query: Bytes, window: Window) -> Arc<Self> {
        let order = order(&plan, window.heaviest_first);
        let count = order.as_ref().map_or(plan.len(), Vec::len);
        let mut shares = Shares::default();
        let again = Self::rests(&plan, &mut shares);
        Arc::new(Self {
            plan,
            query,
            order,
            count,
            next: AtomicUsize::new(0),
            again_len: AtomicUsize::new(again.len()),
            again: Mutex::new(again),
            running: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            held: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            closed_for: OnceLock::new(),
            reports: (0..window.slots.clamp(1, MAX_LISTS)).map(|_| Reports::default()).collect(),
            window,
            unread: AtomicU64::new(0),
            armed: AtomicBool::new(true),
            wake: Notify::new(),
            emitted: Mutex::default(),
            keepers: Mutex::default(),
            keepers_wake: Notify::new(),
            shares: Mutex::new(shares),
            copies: Mutex::default(),
            offered: AtomicUsize::new(0),
            superseded: AtomicUsize::new(0),
            on_close: Mutex::default(),
            on_cuttable: Mutex::default(),
            on_stored: Mutex::default(),
            workers_joined: AtomicU64::new(0),
            workers_lost: AtomicU64::new(0),
            on_superseded: Mutex::default(),
        })
    }

    /// The partitions.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a place in the window and a partition for it. The count never exceeds the window, not
    /// even for a moment: another slot would then find the window full and not ask again.
    fn reserve(&self) -> Option<Again> {
        loop {
            self.enter()?;
            if let Some(taken) = self.take() {
                return Some(taken);
            }
            self.leave();
            // A retry may have become claimable while this slot held the place.
            if !self.is_claimable() {
                return None;
            }
        }
    }

    /// Takes a place in the window.
    fn enter(&self) -> Option<()> {
        let free = |busy: usize| (busy < self.window.slots.max(1)).then_some(busy + 1);
        self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).ok()?;
        self.running.fetch_add(1, Ordering::SeqCst);
        Some(())
    }

    /// True if the window has a free place.
    fn has_room(&self) -> bool {
        self.busy.load(Ordering::SeqCst) < self.window.slots.max(1)
    }

    /// Gives back the place of an attempt that ends or never started. Returns the number of those
    /// that have not ended.
    fn leave(&self) -> usize {
        // In this order, so that no more attempts seem to run than the window has places.
        let left = self.running.fetch_sub(1, Ordering::SeqCst) - 1;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        left
    }

    fn take(&self) -> Option<Again> {
        if self.again_len.load(Ordering::SeqCst) > 0
            && let Some(retry) = lock(&self.again).pop_front()
        {
            self.again_len.fetch_sub(1, Ordering::SeqCst);
            return Some(retry);
        }
        if self.next.load(Ordering::SeqCst) >= self.count {
            return None;
        }
        let at = self.next.fetch_add(1, Ordering::SeqCst);
        let index = match &self.order {
            Some(order) => *order.get(at)?,
            None => u32::try_from(at).ok().filter(|_| at < self.count)?,
        };
        Some(Again { id: AttemptId { partition: index, number: 1 }, stretch: None, cut_from: None, copy_of: None })
    }

    fn is_open(&self) -> bool {
        !self.is_closed() && !self.held.load(Ordering::SeqCst) && !self.is_unread_full()
    }

    /// Queues another attempt at a partition, or at the given units of one.
    pub fn again(&self, id: AttemptId, stretch: Option<Stretch>) {
        self.queue(Again { id, stretch, cut_from: None, copy_of: None });
    }

    fn queue(&self, again: Again) {
        self.again_len.fetch_add(1, Ordering::SeqCst);
        lock(&self.again).push_back(again);
    }

    /// Numbers of the workers that were there so far, and of those that were lost.
    pub(crate) fn workers(&self) -> (u64, u64) {
        (self.workers_joined.load(Ordering::Relaxed), self.workers_lost.load(Ordering::Relaxed))
    }

    /// Starts or ends backpressure: held leaves do not start; running ones are not affected.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }
}

impl Work for Scatter {
    fn query(&self) -> &Bytes {
        &self.query
    }

    fn tenant(&self) -> &Tenant {
        &self.window.tenant
    }

    fn background(&self) -> Option<u32> {
        self.window.background.map(|weight| weight.max(1))
    }

    fn memo(&self) -> Option<&Memo> {
        self.window.memo.as_ref()
    }

    fn on_stored(&self, hook: StoredHook) {
        lock(&self.on_stored).push(hook);
    }

    fn hear_of_workers(&self, news: WorkerNews<'_>) {
        match news {
            WorkerNews::Joined(count) => _ = self.workers_joined.fetch_add(count, Ordering::Relaxed),
            WorkerNews::Lost => _ = self.workers_lost.fetch_add(1, Ordering::Relaxed),
            WorkerNews::Refused { worker, why } => self.plan.notes().refused(worker, why),
            WorkerNews::Absent(remark) => self.plan.notes().absent(remark),
        }
    }

    fn only(&self) -> Option<&Partition> {
        self.plan.get(0).filter(|_| self.plan.len() == 1)
    }

    fn claim(&self, slot: u32, now: Instant) -> Option<Ticket> {
        if !self.is_open() || now + MIN_TIME >= self.window.leaf_deadline {
            return None;
        }
        self.ticket(self.reserve()?, slot, now)
    }

    fn is_claimable(&self) -> bool {
        let left = self.next.load(Ordering::SeqCst) < self.count || self.again_len.load(Ordering::SeqCst) > 0;
        left && self.is_open()
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    fn cut(&self, slot: u32, now: Instant) -> Option<Ticket> {
        self.cut_running(slot, now)
    }

    fn is_cuttable(&self, now: Instant) -> bool {
        self.has_cuttable(now)
    }

    fn on_cuttable(&self, hook: Hook) {
        lock(&self.on_cuttable).push(hook.into());
    }

    fn copy(&self, slot: u32, now: Instant, may: &dyn Fn(u32) -> bool) -> Option<Ticket> {
        self.copy_running(slot, now, may)
    }

    fn is_copyable(&self, now: Instant) -> bool {
        self.has_copyable(now)
    }

    fn on_superseded(&self, hook: SupersededHook) {
        lock(&self.on_superseded).push(hook);
    }

    fn poll_piece(&self, ticket: &Ticket, now: Instant, _context: &mut Context<'_>) -> Poll<Option<Range<u64>>> {
        if ticket.share.as_ref().is_some_and(|share| !share.is_begun()) {
            self.learn_start(ticket, now);
        }
        Poll::Ready(self.hand_out(ticket, now, |share| share.next(now)))
    }

    fn lease(&self, ticket: &Ticket, time: Duration, now: Instant) -> Option<Range<u64>> {
        self.hand_out(ticket, now, |share| share.lease(time, now))
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn stop(&self, id: AttemptId) -> Option<StopReason> {
        if self.is_superseded(id) {
            return Some(StopReason::Superseded);
        }
        self.closed_for.get().copied().filter(|_| self.is_closed())
    }

    fn on_stop(&self, hook: Hook) {
        let mut hooks = lock(&self.on_close);
        if self.is_closed() {
            drop(hooks);
            hook();
        } else {
            hooks.push(hook);
        }
    }

    fn start(&self, ticket: &Ticket, now: Instant) {
        let Ticket { id, slot, cut_from, copy_of, .. } = *ticket;
        // Units that were leased before are on their way to another process since the claim.
        if ticket.share.as_ref().is_some_and(|share| share.has_units()) {
            self.learn_start(ticket, now);
        }
        let whole = Stretch::whole(ticket.partition.content.units().count);
        let stretch = ticket.share.as_ref().map(|share| share.stretch()).filter(|stretch| *stretch != whole);
        let worker = ticket.worker.clone();
        let at = ticket.began.unwrap_or(now);
        self.keep(slot, Report::Started { id, slot, at, stretch, cut_from, copy_of, worker });
    }

    fn wait(&self, _id: AttemptId) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    fn resume(&self, _id: AttemptId) {
        self.busy.fetch_add(1, Ordering::SeqCst);
    }

    fn may_resume(&self) -> bool {
        self.is_open()
    }

    fn emit(&self, id: AttemptId, emission: Emission) {
        if self.is_closed() {
            return;
        }
        let is_kept = matches!(emission.done, Done::Units { .. });
        let is_stored = self.window.stores && is_kept;
        {
            let mut emitted = lock(&self.emitted);
            if is_kept && lock(&self.shares).is_copied(id) {
                // What it kept before it was copied is all that a rival does not have.
                return;
            }
            emitted.insert(id, emission);
        }
        if is_stored {
            lock(&self.keepers).insert(id);
            self.keepers_wake.notify_one();
        }
    }

    fn retract(&self, id: AttemptId) {
        if !lock(&self.shares).is_copied(id) {
            self.forget_emission(id);
        }
    }

    fn end(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let Ticket { id, slot, share, .. } = ticket;
        let part = share.map(|share| {
            lock(&self.shares).remove(id);
            share.end()
        });
        self.forget_copies_of(id);
        self.report(slot, Report::Ended { id, slot, at: now, outcome, part });
    }

    fn give_back(&self, ticket: Ticket) {
        let Ticket { id, share, cut_from, copy_of, .. } = ticket;
        let stretch = share.map(|share| {
            lock(&self.shares).remove(id);
            share.stretch()
        });
        match copy_of {
            Some(_) => self.give_copy_back(id),
            None => self.queue(Again { id, stretch, cut_from, copy_of }),
        }
        self.leave();
    }
}
