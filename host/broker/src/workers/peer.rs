//! One worker, as a root sees it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::policy::credits;
use frond_root::{Outcome, Ticket};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queries::{Queries, Query};
use super::watch::{Pause, Schedule, Verdict, patience};
use crate::frames::{self, AttemptOf, Join, Leave, Said};
use crate::label::{MAX_LABEL, is_label, is_line};
use crate::nats::PeerId;
use crate::session::FrameSender;

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

/// Attempt that a worker has.
pub(super) struct Held {
    pub(super) query: Arc<Query>,
    pub(super) ticket: Ticket,
    /// Time at which the root heard that the leaf began.
    pub(super) started: Option<Instant>,
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
    pub(super) fn verdict(&mut self, now: Instant) -> Verdict {
        self.schedule.verdict(now, self.stopped())
    }

    /// Time of the next look at the attempt, if the root does not wait for the worker's report to
    /// end it.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.schedule.expiry(self.stopped())
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// Its process, if the carrier names it.
    pub(super) process: Option<PeerId>,
    /// True if it may be killed at any time.
    pub(super) is_expendable: bool,
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
    pub(super) is_draining: bool,
    /// True if it keeps partials under memos.
    pub(super) keeps: bool,
    /// True if it wants to be told of the files of contents.
    reads_files: bool,
    pub(super) pause: Pause,
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
            is_draining: false,
            keeps: join.keeps,
            reads_files: join.reads_files,
            pause: Pause::default(),
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

    /// True if the worker has a slot that does nothing.
    pub(super) fn has_idle_slot(&self, now: Instant) -> bool {
        !self.is_busy() && self.rests(now).is_none()
    }

    /// Reason why the worker takes no attempts at all, for now.
    fn rests(&self, now: Instant) -> Option<&'static str> {
        if self.is_draining {
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
        if self.is_busy() && !self.is_draining {
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
        let room = credits::room(self.slots as usize, self.sender.round_trip(), query.mean());
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

    /// Adds an attempt.
    pub(super) fn hold(&mut self, of: AttemptOf, query: Arc<Query>, ticket: Ticket) {
        self.owed = self.owed.saturating_add(query.source.output);
        let schedule = Schedule::new(ticket.deadline, self.origin.is_expendable);
        self.held.insert(of, Held { query, ticket, started: None, is_waiting: false, schedule, superseded: None });
    }

    /// Removes an attempt.
    pub(super) fn release(&mut self, of: &AttemptOf) -> Option<Held> {
        let held = self.held.remove(of)?;
        self.waits -= usize::from(held.is_waiting);
        self.owed = self.owed.saturating_sub(held.query.source.output);
        Some(held)
    }

    /// Asks the worker to leave. From now on it gets no attempts.
    pub(super) fn leave(&mut self) {
        self.is_draining = true;
        self.sender.post(frames::encoded(Said::Leave(Leave {})));
    }

    /// Has the conversation with the worker end.
    pub(super) fn drop(&mut self, why: &str) {
        if let Some(drop) = self.drop.take() {
            // A conversation that has ended needs no reason.
            let _ = drop.send(why.to_owned());
        }
    }
}
