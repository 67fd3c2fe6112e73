//! One worker, as a root sees it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::policy::credits;
use frond_root::{Outcome, Ticket, Work};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::clock::WorkerClock;
use super::drained::Drain;
use super::queries::{Queries, Query};
use super::watch::{Pause, Schedule, Verdict, patience};
use crate::frames::{self, AttemptOf, Ended, Join, Leave, Said, Started};
use crate::label::{MAX_LABEL, is_label, is_line};
use crate::nats::PeerId;
use crate::outcome::{HeardTimes, time};
use crate::session::{FrameSender, Lost};

/// The most slots of one worker.
pub const MAX_WORKER_SLOTS: u32 = 4096;
/// The most waiting leaves of one worker: as many as a process can have.
const MAX_WORKER_WAITING: u32 = 16_384;
/// The most bytes that the partials of all attempts of one worker may have together, at the most
/// that each may have: a root holds what a worker says. One attempt may have more.
const MOST_OWED: u64 = 1 << 30;
/// The most bytes queued for a worker when it gets further attempts: one that does not read its
/// frames gets no more.
const MOST_QUEUED: usize = 8 << 20;
/// Longest name of an engine, in bytes.
const MAX_ENGINE: usize = 256;

/// Description of what a worker did against the protocol.
pub(super) type Wrong = String;

/// Attempt that has begun: its work, its ticket, and the time of the next look at it.
pub(super) type Begun = (Arc<dyn Work>, Ticket, Option<Instant>);

/// Attempt that a worker has.
pub(super) struct Held {
    pub(super) query: Arc<Query>,
    pub(super) ticket: Ticket,
    /// Time at which the leaf began.
    pub(super) started: Option<Instant>,
    /// Time from the arrival of its order to its begin, if the worker tells it.
    queued: Option<Duration>,
    /// True while the leaf waits without a slot.
    pub(super) is_waiting: bool,
    /// Times by which the worker must have acted on it.
    pub(super) schedule: Schedule,
    /// Time at which another attempt was done first.
    pub(super) superseded: Option<Instant>,
}

impl Held {
    /// Time from which nobody needs it.
    fn stopped(&self) -> Option<Instant> {
        self.superseded.or_else(|| self.query.stopped.get().copied())
    }

    /// Judges the worker by this attempt.
    pub(super) fn verdict(&mut self, now: Instant, is_full: bool) -> Verdict {
        self.schedule.verdict(now, self.stopped(), is_full)
    }

    /// Time of the next look at the attempt, if the root does not wait for the worker's report to
    /// end it.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.schedule.expiry(self.stopped())
    }

    /// True if the worker can have come as far with the attempt's share as it says. The share is
    /// then set to that.
    fn took(&self, ended: &Ended) -> bool {
        match (&self.ticket.share, ended.took) {
            (Some(share), Some(took)) => share.settle(took.taken, took.is_skipped, took.has_asked),
            (None, None) => true,
            _ => false,
        }
    }

    /// Ends the attempt, which has started.
    pub(super) fn end(self, outcome: Outcome, now: Instant) {
        if self.is_waiting {
            self.query.work.resume(self.ticket.id);
        }
        self.query.work.end(self.ticket, outcome, now);
    }
}

/// Facts about a worker that the root has from others than the worker.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Its process at the broker, which tells it from another one of its name: one that was drained
    /// is told to leave when it comes again.
    pub process: Option<PeerId>,
    /// Pool of the broker.
    pub pool: Option<Arc<str>>,
    /// Process number of a process of this machine.
    pub pid: Option<u32>,
    /// Permits of workers that take attempts. Without a free one, the worker stands ready until
    /// another one is lost.
    pub turns: Option<Arc<Semaphore>>,
    /// True if it may be killed at any time: a process with one slot, whose keeper ends it when its
    /// conversation ends, and whose leaves may not be interrupted otherwise. An attempt that has
    /// not ended at its deadline, or soon after its query, ends there and then, and the worker is
    /// dropped.
    pub is_expendable: bool,
}

/// Worker as those see it who send it attempts.
pub(super) struct Recipient {
    pub(super) number: u64,
    pub(super) sender: FrameSender,
    /// True if it wants to be told of the files of contents.
    pub(super) reads_files: bool,
}

/// A worker.
pub(super) struct Peer {
    pub(super) name: Arc<str>,
    pub(super) version: String,
    /// Name of its engine.
    pub(super) engine: String,
    pub(super) slots: u32,
    waiting: u32,
    /// Number of its first slot among those of all workers.
    pub(super) first: u32,
    pub(super) since: Instant,
    pub(super) origin: Origin,
    pub(super) sender: FrameSender,
    pub(super) held: HashMap<AttemptOf, Held>,
    /// Number of attempts that wait without a slot.
    pub(super) waits: usize,
    /// Bytes that the partials of all attempts may have.
    owed: u64,
    /// Queries that the worker knows.
    pub(super) opened: HashSet<u64>,
    /// Leaves that the worker cannot run, with the reasons.
    pub(super) refused: HashMap<Bytes, String>,
    /// Its drain, if it takes no more attempts.
    pub(super) drain: Option<Drain>,
    /// True if it was drained earlier, and has come again.
    pub(super) is_visitor: bool,
    /// True if it keeps partials under memos.
    pub(super) keeps: bool,
    /// True if it wants to be told of the files of contents.
    reads_files: bool,
    pub(super) pause: Pause,
    /// True if attempts were asked back that had to wait behind others, and none has ended since:
    /// it has none ahead.
    pub(super) is_behind: bool,
    clock: WorkerClock,
    /// Tells the conversation that the worker is to be dropped, and why.
    pub(super) drop: Option<oneshot::Sender<Wrong>>,
    /// Number of attempts that ended.
    pub(super) ended: u64,
    /// Time that they took on their slots.
    pub(super) ran: Duration,
}

/// Checks what a worker says of itself: it is shown to people.
pub(super) fn check(join: &Join) -> Result<(), Wrong> {
    let is_shown = is_label(&join.name) && is_line(&join.version, MAX_LABEL) && is_line(&join.engine, MAX_ENGINE);
    if is_shown { Ok(()) } else { Err("introduced itself with names that are none".to_owned()) }
}

impl Peer {
    /// A worker that has joined, and nothing yet.
    pub(super) fn new(
        join: Join,
        origin: Origin,
        first: u32,
        sender: FrameSender,
        drop: oneshot::Sender<Wrong>,
        now: Instant,
    ) -> Self {
        Self {
            name: join.name.into(),
            version: join.version,
            engine: join.engine,
            slots: join.slots.clamp(1, MAX_WORKER_SLOTS),
            waiting: join.waiting.min(MAX_WORKER_WAITING),
            first,
            since: now,
            origin,
            sender,
            held: HashMap::new(),
            waits: 0,
            owed: 0,
            opened: HashSet::new(),
            refused: HashMap::new(),
            drain: None,
            is_visitor: false,
            keeps: join.keeps,
            reads_files: join.reads_files,
            pause: Pause::default(),
            is_behind: false,
            clock: WorkerClock::new(now),
            drop: Some(drop),
            ended: 0,
            ran: Duration::ZERO,
        }
    }

    /// The worker, which has this number.
    pub(super) fn recipient(&self, number: u64) -> Recipient {
        Recipient { number, sender: self.sender.clone(), reads_files: self.reads_files }
    }

    /// Number of attempts that have a slot, or are on their way to one.
    fn active(&self) -> usize {
        self.held.len() - self.waits
    }

    /// True if a leaf runs on each slot, or is on its way to it.
    fn is_busy(&self) -> bool {
        self.active() >= self.slots as usize
    }

    /// True if leaves run on all slots, as far as the root knows.
    pub(super) fn is_full(&self) -> bool {
        let runs = |held: &&Held| held.started.is_some() && !held.is_waiting;
        self.held.values().filter(runs).count() >= self.slots as usize
    }

    /// True if the worker has a slot that does nothing.
    pub(super) fn has_idle_slot(&self, now: Instant) -> bool {
        !self.is_busy() && self.rests(now).is_none()
    }

    /// Reason why the worker takes no attempts at all, for now.
    fn rests(&self, now: Instant) -> Option<&'static str> {
        if self.drain.is_some() {
            Some("it drains: it takes no more attempts, and leaves")
        } else if self.drop.is_none() {
            Some("it is given up")
        } else if self.waits > self.waiting as usize {
            Some("as many of its leaves wait without a slot as may")
        } else if self.pause.is_on(now) {
            Some("it pauses: it gave attempts back although it had slots for them")
        } else if self.sender.queued() >= MOST_QUEUED {
            Some("it does not read what it is sent")
        } else {
            None
        }
    }

    /// Reason why the worker gets no attempts although it has an idle slot and others might, or
    /// because it drains.
    pub(super) fn idle_because(&self, queries: &Queries, now: Instant) -> Option<String> {
        if self.is_busy() && self.drain.is_none() {
            return None;
        }
        let refused = || {
            let claimable = queries.iter().filter(|query| query.work.is_claimable());
            let why = claimable.filter_map(|query| self.refused.get(&query.source.leaf)).next()?;
            Some(format!("it cannot run the leaf: {why}"))
        };
        self.rests(now).map(str::to_owned).or_else(refused)
    }

    /// True if the worker may have one more attempt of the query.
    pub(super) fn may_have(&self, query: &Query, now: Instant) -> bool {
        let slots = self.slots as usize;
        let room = if self.is_behind { slots } else { credits::room(slots, self.sender.round_trip(), query.mean()) };
        let is_owed = self.held.is_empty() || self.owed.saturating_add(query.source.output) <= MOST_OWED;
        is_owed && self.active() < room && self.rests(now).is_none() && !self.refused.contains_key(&query.source.leaf)
    }

    /// True if the worker has an attempt at a partition of a query.
    pub(super) fn has_of(&self, query: u64, partition: u32) -> bool {
        self.held.keys().any(|of| of.query == query && of.partition == partition)
    }

    /// Time within which the worker must have acted on a frame that is sent now.
    pub(super) fn patience(&self) -> Duration {
        patience(self.sender.round_trip(), self.sender.queued())
    }

    /// Notes that an attempt began. Returns its work, its ticket, and the time of the next look at
    /// it. `None` if the worker does not have it.
    pub(super) fn started(&mut self, started: &Started, now: Instant) -> Option<Result<Begun, Wrong>> {
        let held = self.held.get_mut(&started.of)?;
        if held.started.is_some() {
            return Some(Err("started an attempt twice".to_owned()));
        }
        self.pause.has_started();
        let began = self.clock.began(started, &held.ticket, now);
        held.started = Some(began);
        held.queued = started.at.map(|_| time(started.queued));
        held.schedule.started(now);
        held.ticket.began = Some(began);
        held.ticket.worker = Some(self.name.clone());
        held.ticket.slot = self.first.saturating_add(started.slot.min(self.slots.saturating_sub(1)));
        Some(Ok((held.query.work.clone(), held.ticket.clone(), held.expiry())))
    }

    /// Checks the end of an attempt, of which the root hears at `now`. Returns its times. `None` if
    /// the worker does not have it.
    pub(super) fn ended(&mut self, ended: &Ended, now: Instant) -> Option<Result<HeardTimes, Wrong>> {
        let held = self.held.get(&ended.of)?;
        let is_small = ended.partial.len() as u64 <= held.query.source.output;
        let began = held.started.filter(|_| is_small && held.took(ended));
        let wrong = || "ended an attempt in a way that cannot be".to_owned();
        let times = |began: Instant| {
            let claimed = held.ticket.claimed;
            let received = held.queued.map(|queued| began.checked_sub(queued).unwrap_or(claimed).max(claimed));
            HeardTimes { claimed, received, ended: self.clock.ended(began, ended.lasted, now), heard: now }
        };
        Some(began.map(times).ok_or_else(wrong))
    }

    /// Adds an attempt.
    pub(super) fn hold(&mut self, of: AttemptOf, query: Arc<Query>, ticket: Ticket) {
        self.owed = self.owed.saturating_add(query.source.output);
        let schedule = Schedule::new(ticket.deadline, self.origin.is_expendable);
        let held = Held { query, ticket, started: None, queued: None, is_waiting: false, schedule, superseded: None };
        self.held.insert(of, held);
    }

    /// Removes an attempt.
    pub(super) fn release(&mut self, of: &AttemptOf) -> Option<Held> {
        let held = self.held.remove(of)?;
        self.waits -= usize::from(held.is_waiting);
        self.owed = self.owed.saturating_sub(held.query.source.output);
        Some(held)
    }

    /// Asks the worker to leave. From now on it gets no attempts.
    pub(super) fn leave(&mut self, drain: Drain) {
        self.drains(drain);
        self.sender.post(frames::encoded(Said::Leave(Leave {})));
    }

    /// Notes that the worker drains. Its first drain counts.
    pub(super) fn drains(&mut self, drain: Drain) {
        if self.drain.is_none() {
            let Self { name, origin, slots, .. } = &*self;
            let worker = &**name;
            let pool = origin.pool.as_deref();
            if self.is_visitor {
                tracing::debug!(worker, pool, "a drained worker has come again, and is told to leave");
            } else {
                let by = drain.by.as_deref().unwrap_or("its own host");
                tracing::info!(worker, pool, slots, by, "a worker drains: it takes no more attempts");
            }
            self.drain = Some(drain);
        }
    }

    /// Logs that the worker has joined.
    pub(super) fn tell_joined(&self) {
        let Self { name, version, origin, slots, first, .. } = self;
        let worker = &**name;
        let pool = origin.pool.as_deref();
        tracing::info!(worker, pool, pid = origin.pid, version, slots, first_slot = first, "a worker has joined");
    }

    /// Logs that the worker has left, or is lost. The keeper of a process tells its loss.
    pub(super) fn tell_left(&self, why: &Lost) {
        let Self { name, origin, slots, held, .. } = self;
        let worker = &**name;
        let pool = origin.pool.as_deref();
        let attempts = held.len();
        match &self.drain {
            Some(_) if self.is_visitor => tracing::debug!(worker, pool, %why, "a drained worker has left again"),
            Some(_) => tracing::info!(worker, pool, slots, attempts, %why, "a drained worker has left"),
            None if origin.is_expendable => tracing::debug!(worker, attempts, %why, "a worker process is lost"),
            None => tracing::warn!(worker, pool, slots, attempts, %why, "a worker is lost: others run its attempts"),
        }
    }

    /// Has the conversation with the worker end.
    pub(super) fn drop(&mut self, why: &str) {
        if let Some(drop) = self.drop.take() {
            // A conversation that has ended needs no reason.
            let _ = drop.send(why.to_owned());
        }
    }
}
