//! Window between a query and its runners: runners claim attempts and report their ends.
//!
//! Claims and reports are built for leaves of ten microseconds. A claim is an atomic increment, a
//! report a push to the slot's own list. The query's task is woken at most once per [`COOL_DOWN`],
//! or at once when nothing is left to claim or to await. Slots share no lock: a thread that sleeps
//! on a lock is woken on the core of the thread that held it, and the two may alternate there for
//! milliseconds while another core idles.

mod order;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limit::{Limit, Scope};
use crate::plan::{Partition, Plan};
use crate::request::Tenant;
use crate::sync::lock;
use crate::work::{AttemptId, Emission, MIN_TIME, Outcome, StopReason, Ticket, Work};

use order::order;

/// The least time between two wake-ups of the query's task while leaves still run.
pub const COOL_DOWN: Duration = Duration::from_millis(1);

/// Report of a runner to the query.
#[derive(Debug)]
pub enum Report {
    /// A leaf began.
    Started {
        /// The attempt.
        id: AttemptId,
        /// Slot that the leaf runs on.
        slot: u32,
        /// Start time.
        at: Instant,
    },
    /// A leaf ended.
    Ended {
        /// The attempt.
        id: AttemptId,
        /// Slot that the leaf ran on.
        slot: u32,
        /// End time.
        at: Instant,
        /// Outcome of the attempt.
        outcome: Outcome,
    },
}

impl Report {
    fn at(&self) -> Instant {
        let (Self::Started { at, .. } | Self::Ended { at, .. }) = self;
        *at
    }

    /// Bytes of the report's partial.
    fn bytes(&self) -> u64 {
        match self {
            Self::Ended { outcome, .. } => outcome.result.as_ref().map_or(0, Bytes::len) as u64,
            Self::Started { .. } => 0,
        }
    }
}

/// The most report lists; slots above this number share lists.
const MAX_LISTS: usize = 64;

/// Reports of one slot, oldest first. Aligned to keep slots off each other's cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Reports(Mutex<Vec<Report>>);

/// Function that a runner registers for the end of a scatter.
type Hook = Box<dyn Fn() + Send + Sync>;

/// Partitions of one query, to be claimed by runners.
pub struct Scatter {
    plan: Arc<Plan>,
    query: Bytes,
    window: Window,
    order: Option<Vec<u32>>,
    /// Number of partitions to claim.
    count: usize,
    next: AtomicUsize,
    again: Mutex<VecDeque<(u32, u32)>>,
    again_len: AtomicUsize,
    running: AtomicUsize,
    held: AtomicBool,
    closed: AtomicBool,
    late: AtomicBool,
    reports: Box<[Reports]>,
    /// Bytes of partials in unread reports.
    unread: AtomicU64,
    armed: AtomicBool,
    wake: Notify,
    emitted: Mutex<HashMap<AttemptId, Emission>>,
    on_close: Mutex<Vec<Hook>>,
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
}

impl Scatter {
    /// A scatter of the plan's partitions, except those whose partials the journal has.
    #[must_use]
    pub fn new(plan: Arc<Plan>, query: Bytes, window: Window) -> Arc<Self> {
        let order = order(&plan, window.heaviest_first);
        let count = order.as_ref().map_or(plan.len(), Vec::len);
        Arc::new(Self {
            plan,
            query,
            order,
            count,
            next: AtomicUsize::new(0),
            again: Mutex::default(),
            again_len: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            held: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            late: AtomicBool::new(false),
            reports: (0..window.slots.clamp(1, MAX_LISTS)).map(|_| Reports::default()).collect(),
            window,
            unread: AtomicU64::new(0),
            armed: AtomicBool::new(true),
            wake: Notify::new(),
            emitted: Mutex::default(),
            on_close: Mutex::default(),
        })
    }

    /// The partitions.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes a place in the window and a partition for it. The count never exceeds the window, not
    /// even for a moment: another slot would then find the window full and not ask again.
    fn reserve(&self) -> Option<(u32, u32)> {
        loop {
            let free = |running: usize| (running < self.window.slots.max(1)).then_some(running + 1);
            self.running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).ok()?;
            if let Some(taken) = self.take() {
                return Some(taken);
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            // A retry may have become claimable while this slot held the place.
            if !self.is_claimable() {
                return None;
            }
        }
    }

    fn take(&self) -> Option<(u32, u32)> {
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
        Some((index, 1))
    }

    /// Time by which an attempt that began at `started` must have ended.
    fn deadline_of(&self, started: Instant) -> Instant {
        match self.window.leaf_time {
            Some(time) => {
                started.checked_add(time).map_or(self.window.leaf_deadline, |at| at.min(self.window.leaf_deadline))
            }
            None => self.window.leaf_deadline,
        }
    }

    /// Limit that ends an attempt that began at `started`: the leaf's own, or the query's deadline.
    fn limit_of(&self, started: Instant) -> Limit {
        match self.window.leaf_time {
            Some(time) if self.deadline_of(started) < self.window.leaf_deadline => Limit::time(Scope::Leaf, time),
            _ => self.window.limit,
        }
    }

    /// Stores a runner's report, and wakes the query's task when that is due.
    fn report(&self, slot: u32, report: Report) {
        self.unread.fetch_add(report.bytes(), Ordering::SeqCst);
        self.keep(slot, report);
        let running = self.running.fetch_sub(1, Ordering::SeqCst) - 1;
        let idle = running == 0 && !self.is_claimable();
        if idle || self.is_unread_full() || self.armed.swap(false, Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    fn keep(&self, slot: u32, report: Report) {
        let at = slot as usize % self.reports.len();
        if let Some(reports) = self.reports.get(at) {
            lock(&reports.0).push(report);
        }
    }

    fn is_unread_full(&self) -> bool {
        self.unread.load(Ordering::SeqCst) > self.window.unread
    }

    fn is_open(&self) -> bool {
        !self.is_closed() && !self.held.load(Ordering::SeqCst) && !self.is_unread_full()
    }

    /// Takes the last emission of an attempt.
    pub(crate) fn take_emission(&self, id: AttemptId) -> Option<Emission> {
        lock(&self.emitted).remove(&id)
    }

    /// Takes all reports, oldest first. True when claims were refused for unread partials.
    pub(crate) fn drain(&self, into: &mut Vec<Report>) -> bool {
        debug_assert!(into.is_empty());
        for reports in &self.reports {
            into.append(&mut lock(&reports.0));
        }
        into.sort_by_key(Report::at);
        let read = into.iter().map(Report::bytes).sum();
        self.unread.fetch_sub(read, Ordering::SeqCst) > self.window.unread
    }

    /// Lets the next report wake the task again. True when ends of attempts are unread.
    pub(crate) fn arm(&self) -> bool {
        self.armed.store(true, Ordering::SeqCst);
        let ended = |report: &Report| matches!(report, Report::Ended { .. });
        self.reports.iter().any(|reports| lock(&reports.0).iter().any(ended))
    }

    /// Waits until reports are due to be read.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Queues a retry of a partition with its attempt number.
    pub(crate) fn again(&self, partition: u32, attempt: u32) {
        self.again_len.fetch_add(1, Ordering::SeqCst);
        lock(&self.again).push_back((partition, attempt));
    }

    /// Starts or ends backpressure: held leaves do not start; running ones are not affected.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }

    /// Closes the scatter because time is up: stopped leaves count as late, not as cancelled.
    pub fn close_late(&self) {
        self.late.store(!self.is_closed(), Ordering::SeqCst);
        self.close();
    }

    /// True when it was closed because time was up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late.load(Ordering::SeqCst)
    }

    /// Closes the scatter: nothing more starts, and all running leaves are told to stop.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::SeqCst) {
            // A hook may use this scatter: release the lock first.
            let hooks = std::mem::take(&mut *lock(&self.on_close));
            for hook in hooks {
                hook();
            }
        }
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

    fn only(&self) -> Option<&Partition> {
        self.plan.get(0).filter(|_| self.plan.len() == 1)
    }

    fn claim(&self, slot: u32, now: Instant) -> Option<Ticket> {
        if !self.is_open() || now + MIN_TIME >= self.window.leaf_deadline {
            return None;
        }
        let (index, number) = self.reserve()?;
        let Some(partition) = self.plan.get(index) else {
            self.running.fetch_sub(1, Ordering::SeqCst);
            return None;
        };
        Some(Ticket {
            id: AttemptId { partition: index, number },
            slot,
            claimed: now,
            deadline: self.deadline_of(now),
            limit: self.limit_of(now),
            partition: partition.clone(),
        })
    }

    fn is_claimable(&self) -> bool {
        let left = self.next.load(Ordering::SeqCst) < self.count || self.again_len.load(Ordering::SeqCst) > 0;
        left && self.is_open()
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn stop(&self, _id: AttemptId) -> Option<StopReason> {
        let reason = if self.is_late() { StopReason::Late } else { StopReason::Cancelled };
        self.is_closed().then_some(reason)
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
        self.keep(ticket.slot, Report::Started { id: ticket.id, slot: ticket.slot, at: now });
    }

    fn emit(&self, id: AttemptId, emission: Emission) {
        if !self.is_closed() {
            lock(&self.emitted).insert(id, emission);
        }
    }

    fn end(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        self.report(ticket.slot, Report::Ended { id: ticket.id, slot: ticket.slot, at: now, outcome });
    }

    fn give_back(&self, ticket: Ticket) {
        self.again(ticket.id.partition, ticket.id.number);
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}
