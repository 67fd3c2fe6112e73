//! Workers and queries of a root, and what each worker has of each query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use frond_root::{Outcome, StopReason, Ticket, WorkerNews};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::absent::{Absentees, EmptyPool};
use super::drained::Drained;
use super::orders::open;
use super::peer::{Held, Peer, Recipient};
use super::queries::{Queries, Query};
use super::recall::Recalls;
use super::tally::Counters;
use super::unstored::UnstoredAttempts;
use super::watch::{Verdict, next_look};
use crate::frames::{self, AttemptOf, MAX_INLINE, Return, Said, Stop, Supersede};
use crate::session::Settings;

/// Workers and queries of a root.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) state: Mutex<State>,
    /// Told when attempts may be claimable.
    pub(super) nudged: Notify,
    /// Told when a worker has joined.
    pub(super) joined: Notify,
}

/// Workers and queries, under one lock.
pub(super) struct State {
    /// Slots of this process, whose numbers come first.
    local: u32,
    pub(super) peers: BTreeMap<u64, Peer>,
    pub(super) queries: Queries,
    pub(super) drained: Drained,
    pub(super) absent: Absentees,
    pub(super) counters: Counters,
    pub(super) recalls: Recalls,
    pub(super) unstored: UnstoredAttempts,
    /// Pool of the broker, if there is one.
    pub(super) pool: Option<EmptyPool>,
    pub(super) next_peer: u64,
    next_query: u64,
    /// Time of the next look at all workers.
    next_look: Instant,
}

/// Attempts that were claimed for a worker, of one query.
pub(super) type Claimed = (Arc<Query>, Vec<Ticket>);

impl Shared {
    /// No workers and no queries yet, beside `local` slots of this process.
    pub(super) fn new(local: u32, settings: Settings) -> Self {
        let state = State {
            local,
            peers: BTreeMap::new(),
            queries: Queries::new(),
            drained: Drained::default(),
            absent: Absentees::default(),
            counters: Counters::default(),
            recalls: Recalls::default(),
            unstored: UnstoredAttempts::default(),
            pool: None,
            next_peer: 0,
            next_query: 0,
            next_look: Instant::now(),
        };
        Self { settings, state: Mutex::new(state), nudged: Notify::new(), joined: Notify::new() }
    }

    /// Slots of the workers that do not drain.
    pub(super) fn slots(&self) -> usize {
        self.state.lock().staying().map(|peer| peer.slots as usize).sum()
    }

    /// Number of workers that do not drain.
    pub(super) fn staying(&self) -> usize {
        self.state.lock().staying().count()
    }

    /// Adds a query.
    pub(super) fn attach(self: &Arc<Self>, query: impl FnOnce(u64) -> Query) {
        let query = {
            let mut state = self.state.lock();
            state.next_query += 1;
            let query = Arc::new(query(state.next_query));
            state.introduce(&query);
            state.queries.add(query.clone(), Instant::now());
            query
        };
        let shared = Arc::downgrade(self);
        let work = Arc::downgrade(&query.work);
        let number = query.number;
        query.work.on_stop(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.stop(number, work.upgrade().and_then(|work| work.stop(NONE)));
            }
        }));
        let shared = Arc::downgrade(self);
        query.work.on_cuttable(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.nudged.notify_one();
            }
        }));
        let shared = Arc::downgrade(self);
        query.work.on_superseded(Arc::new(move |id| {
            if let Some(shared) = shared.upgrade() {
                shared.supersede(AttemptOf { query: number, partition: id.partition, number: id.number });
            }
        }));
        if query.work.memo().is_some() {
            let shared = Arc::downgrade(self);
            query.work.on_stored(Arc::new(move |attempts| {
                if let Some(shared) = shared.upgrade() {
                    shared.stored(number, attempts);
                }
            }));
        }
        self.nudged.notify_one();
    }

    /// Has the worker that has an attempt stop it.
    fn supersede(&self, of: AttemptOf) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let expiry = state.peers.values_mut().find_map(|peer| {
            let held = peer.held.get_mut(&of)?;
            held.superseded = Some(now);
            peer.sender.post(frames::encoded(Said::Supersede(Supersede { of: vec![of] })));
            held.expiry()
        });
        drop(state);
        expiry.into_iter().for_each(|at| self.look_by(at));
    }

    /// Ends a query.
    fn stop(&self, query: u64, reason: Option<StopReason>) {
        let is_late = reason == Some(StopReason::Late);
        let is_abandoned = reason == Some(StopReason::Abandoned);
        let now = Instant::now();
        let mut state = self.state.lock();
        state.unstored.stop(query);
        for ended in state.queries.remove(query) {
            ended.stopped.get_or_init(|| now);
        }
        let mut expiry: Option<Instant> = None;
        for peer in state.peers.values_mut() {
            if peer.opened.remove(&query) {
                peer.sender.post(frames::encoded(Said::Stop(Stop { query, is_late, is_abandoned })));
                let of_query = peer.held.values().filter(|held| held.query.number == query);
                expiry = of_query.filter_map(Held::expiry).chain(expiry).min();
            }
        }
        drop(state);
        expiry.into_iter().for_each(|at| self.look_by(at));
    }

    /// Has all workers looked at by this time.
    pub(super) fn look_by(&self, at: Instant) {
        let mut state = self.state.lock();
        if at < state.next_look {
            state.next_look = at;
            drop(state);
            self.nudged.notify_one();
        }
    }

    /// Numbers of all workers.
    pub(super) fn peers(&self) -> Vec<u64> {
        self.state.lock().peers.keys().copied().collect()
    }

    /// A worker that is sent attempts.
    pub(super) fn recipient(&self, number: u64) -> Option<Recipient> {
        self.state.lock().peers.get(&number).map(|peer| peer.recipient(number))
    }

    /// Claims the next attempts for a worker, if it may have any: as many as go in a few frames.
    pub(super) fn claim(&self, number: u64) -> Vec<Claimed> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { peers, queries, unstored, .. } = &mut *state;
        let Some(peer) = peers.get_mut(&number) else { return Vec::new() };
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut count = 0;
        let mut bytes = 0_u64;
        while count < MOST_ORDERS
            && bytes < MOST_BYTES
            && let Some((query, ticket)) = queries.claim(
                peer.first,
                now,
                peer.has_idle_slot(now),
                |query| peer.may_have(query, now),
                |query, partition| peer.has_of(query.number, partition),
            )
        {
            if peer.opened.insert(query.number) {
                peer.sender.post(frames::encoded(Said::Open(open(&query))));
            }
            count += 1;
            bytes = bytes.saturating_add(ticket.partition.content.size().min(MAX_INLINE));
            let of = attempt_of(&query, &ticket);
            if query.work.memo().is_some() {
                unstored.add(&of, number);
            }
            peer.hold(of, query.clone(), ticket.clone());
            match claimed.last_mut().filter(|(last, _)| last.number == query.number) {
                Some((_, tickets)) => tickets.push(ticket),
                None => claimed.push((query, vec![ticket])),
            }
        }
        peer.sender.set_busy(!peer.held.is_empty());
        claimed
    }

    /// Notes that the orders of attempts are on their way.
    pub(super) fn sent(&self, number: u64, attempts: &[AttemptOf], now: Instant) {
        let mut state = self.state.lock();
        let Some(peer) = state.peers.get_mut(&number) else { return };
        let patience = peer.patience();
        for of in attempts {
            if let Some(held) = peer.held.get_mut(of).filter(|held| held.started.is_none()) {
                held.schedule.sent(now, patience);
            }
        }
    }

    /// Takes an attempt from a worker.
    pub(super) fn release(&self, number: u64, of: &AttemptOf, ran: Option<Duration>) -> Option<Held> {
        self.state.lock().release(number, of, ran, Instant::now())
    }

    /// Watches over all workers: has those give attempts back that do not start them while others
    /// could, and drops those that keep them. Returns the time of the next look.
    pub(super) fn watch(&self, now: Instant) -> Instant {
        let mut state = self.state.lock();
        let mut late: BTreeMap<(u64, u64), Vec<AttemptOf>> = BTreeMap::new();
        let mut expired: Vec<(u64, AttemptOf)> = Vec::new();
        let mut expiry: Option<Instant> = None;
        let mut is_busy = false;
        for (number, peer) in &mut state.peers {
            is_busy |= !peer.held.is_empty();
            let mut wrong = None;
            let is_full = peer.is_full();
            for (of, held) in &mut peer.held {
                match held.verdict(now, is_full) {
                    Verdict::Fine => expiry = held.expiry().into_iter().chain(expiry).min(),
                    Verdict::Late => late.entry((*number, of.query)).or_default().push(*of),
                    Verdict::Expired => expired.push((*number, *of)),
                    Verdict::Drop(why) => wrong = Some(why),
                }
            }
            if let Some(why) = wrong {
                peer.drop(why);
            }
        }
        for ((number, query), attempts) in late {
            state.ask_back(number, query, &attempts, now);
        }
        // Before the lock is released: what a dropped worker had is lost, and runs again.
        let ended: Vec<_> = expired.iter().filter_map(|(number, of)| state.expire(*number, of, now)).collect();
        state.next_look = next_look(now, is_busy, expiry);
        let next_look = state.next_look;
        drop(state);
        ended.into_iter().for_each(|(held, outcome)| held.end(outcome, now));
        next_look
    }
}

/// The most attempts that are claimed for a worker at once, and so the most in one frame.
const MOST_ORDERS: usize = 64;
/// Bytes of contents after which no more attempts are claimed at once: others are not kept waiting.
const MOST_BYTES: u64 = 256 << 10;

/// No attempt: a whole query is asked about.
const NONE: frond_root::AttemptId = frond_root::AttemptId { partition: u32::MAX, number: 0 };

pub(super) fn attempt_of(query: &Query, ticket: &Ticket) -> AttemptOf {
    AttemptOf { query: query.number, partition: ticket.id.partition, number: ticket.id.number }
}

impl State {
    /// Tells a new query of the workers that are there, and of those that cannot run its leaf.
    fn introduce(&self, query: &Query) {
        query.work.hear_of_workers(WorkerNews::Joined(self.staying().count() as u64));
        for peer in self.staying() {
            if let Some(why) = peer.refused.get(&query.source.leaf) {
                query.work.hear_of_workers(WorkerNews::Refused { worker: &peer.name, why });
            }
        }
        query.work.hear_of_workers(WorkerNews::Absent(self.absence().as_deref()));
    }

    /// Remark that no worker of the broker takes attempts, unless one does.
    pub(super) fn absence(&self) -> Option<String> {
        let pool = self.pool.as_ref()?;
        if self.staying().any(|peer| peer.origin.process.is_some()) {
            return None;
        }
        let leaving = self.peers.values().filter(|peer| peer.origin.process.is_some()).count();
        Some(pool.remark(leaving + self.absent.drained_of_broker(Instant::now())))
    }

    /// Workers that do not drain.
    pub(super) fn staying(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.drain.is_none())
    }

    /// First number of so many slots that no worker has.
    pub(super) fn free_slots(&self, slots: u32) -> u32 {
        let mut taken: Vec<_> = self.peers.values().map(|peer| (peer.first, peer.slots)).collect();
        taken.sort_unstable();
        let mut first = self.local;
        for (begin, count) in taken {
            if begin.saturating_sub(first) >= slots {
                break;
            }
            first = first.max(begin.saturating_add(count));
        }
        first
    }

    /// A query with this leaf that a worker knows, and that is not over.
    pub(super) fn known(&self, number: u64, leaf: &[u8]) -> Option<&Arc<Query>> {
        let peer = self.peers.get(&number)?;
        self.queries.iter().find(|query| query.source.leaf == leaf && peer.opened.contains(&query.number))
    }

    /// Takes an attempt from a worker. `ran` is its time on its slot, if it has ended.
    fn release(&mut self, number: u64, of: &AttemptOf, ran: Option<Duration>, now: Instant) -> Option<Held> {
        let peer = self.peers.get_mut(&number)?;
        let held = peer.release(of)?;
        if ran.is_none() {
            self.unstored.remove(of);
        }
        if let Some(ran) = ran {
            self.counters.attempt_ended(&peer.name);
            peer.ended += 1;
            peer.is_behind = false;
            peer.ran = peer.ran.saturating_add(ran);
        }
        self.queries.ended(&held.query, ran, now);
        peer.sender.set_busy(!peer.held.is_empty());
        Some(held)
    }

    /// Takes an attempt that should have ended from its worker, which is dropped. Returns it with
    /// its outcome.
    fn expire(&mut self, number: u64, of: &AttemptOf, now: Instant) -> Option<(Held, Outcome)> {
        let started = self.peers.get(&number)?.held.get(of)?.started?;
        let ran = now.saturating_duration_since(started);
        let held = self.release(number, of, Some(ran), now)?;
        if let Some(peer) = self.peers.get_mut(&number) {
            peer.drop("has kept an attempt beyond its time");
        }
        let stop = held.query.work.stop(held.ticket.id);
        let outcome = Outcome::cut_off(&held.ticket, stop, ran, now);
        Some((held, outcome))
    }

    /// Asks a worker to give attempts of a query back that it has not started, if others may run
    /// them: a worker with an idle slot, or the slots of this process.
    fn ask_back(&mut self, number: u64, query: u64, attempts: &[AttemptOf], now: Instant) {
        let of_query = |peer: &Peer| attempts.first().and_then(|of| Some(peer.held.get(of)?.query.clone()));
        let Some(of) = self.peers.get(&number).and_then(of_query) else { return };
        let is_idle = |peer: &Peer| peer.has_idle_slot(now) && peer.may_have(&of, now);
        let mut others = self.peers.iter().filter(|(other, _)| **other != number);
        if of.local.is_none() && !others.any(|(_, peer)| is_idle(peer)) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&number) else { return };
        peer.sender.post(frames::encoded(Said::Return(Return { query })));
        peer.is_behind = peer.is_full();
        let patience = peer.patience();
        for of in attempts {
            if let Some(held) = peer.held.get_mut(of) {
                held.schedule.asked(now, patience);
            }
        }
    }

    pub(super) fn count_slots(&mut self) {
        let slots = self.peers.values().map(|peer| peer.slots as usize).sum::<usize>();
        self.queries.set_slots(slots);
    }
}
