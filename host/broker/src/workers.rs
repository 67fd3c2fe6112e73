//! The root's side: gives attempts of its queries to workers, next to the slots of this process.
//!
//! Workers pull: each has as many attempts as it has slots, and those that its leaves take in two
//! round trips. A slow worker so has little that others could run, and a lost one loses little.
//! What it had is claimable again at once.

mod conversation;
mod orders;
mod peer;
mod queries;
mod runner;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use frond_root::{LeafRunner, Outcome, Ticket};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::carrier::Carrier;
use crate::frames::{self, AttemptOf, Join, Open, Said, Stop};
use crate::session::{FrameSender, Lost, Settings};

use peer::{Held, Peer};
use queries::{Queries, Query};
use runner::WorkersRunner;

pub use source::{LeafCodes, LeafSource, ShippedCode};

/// The most slots of one worker.
pub const MAX_WORKER_SLOTS: u32 = 4096;

/// A worker, for displays.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Version of its program.
    pub version: String,
    /// Its slots.
    pub slots: u32,
    /// Number of its first slot among all slots.
    pub first: u32,
    /// Time since it joined.
    pub age: Duration,
    /// Round trip to it.
    pub round_trip: Option<Duration>,
    /// Attempts that it has, waiting ones included.
    pub attempts: usize,
    /// Attempts that wait without a slot.
    pub waiting: usize,
    /// Attempts that ended.
    pub ended: u64,
    /// Time that they took on their slots.
    pub ran: Duration,
    /// True if it takes no more attempts.
    pub is_draining: bool,
    /// Reasons why it cannot run some leaves.
    pub refusals: Vec<String>,
}

/// Workers of a root. They may join and leave at any time.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

/// Workers and queries of a root.
struct Shared {
    settings: Settings,
    state: Mutex<State>,
    /// Told when attempts may be claimable.
    nudged: Notify,
    /// Told when a worker has joined.
    joined: Notify,
}

/// Workers and queries, under one lock.
struct State {
    /// Slots of this process, whose numbers come first.
    local: u32,
    peers: BTreeMap<u64, Peer>,
    queries: Queries,
    next_peer: u64,
    next_query: u64,
}

/// Attempts that were claimed for a worker, of one query.
type Claimed = (Arc<Query>, Vec<Ticket>);

impl Workers {
    /// No workers yet, beside `local` slots of this process. Runs on the current runtime until the
    /// last clone is dropped.
    #[must_use]
    pub fn new(local: u32, settings: Settings) -> Self {
        let state = State { local, peers: BTreeMap::new(), queries: Queries::new(), next_peer: 0, next_query: 0 };
        let shared =
            Arc::new(Shared { settings, state: Mutex::new(state), nudged: Notify::new(), joined: Notify::new() });
        tokio::spawn(conversation::deal_when_nudged(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// Adds the worker at the other end of the carrier. Ends when the worker is lost, with the
    /// reason.
    pub async fn converse(&self, carrier: Carrier) -> Lost {
        conversation::converse(&self.0, carrier).await
    }

    /// A runner of a leaf: on workers, and on `local` slots.
    #[must_use]
    pub fn runner(&self, source: LeafSource, local: Option<Arc<dyn LeafRunner>>) -> Arc<dyn LeafRunner> {
        Arc::new(WorkersRunner::new(self.0.clone(), source, local))
    }

    /// Slots of all workers.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.slots()
    }

    /// Waits until there are so many workers.
    pub async fn joined(&self, count: usize) {
        loop {
            let joined = self.0.joined.notified();
            if self.0.state.lock().peers.len() >= count {
                return;
            }
            joined.await;
        }
    }

    /// All workers, in the order in which they joined.
    #[must_use]
    pub fn list(&self) -> Vec<WorkerView> {
        let state = self.0.state.lock();
        state.peers.values().map(view).collect()
    }

    /// Asks a worker to take no more attempts. False if there is none of this name.
    #[must_use]
    pub fn drain(&self, name: &str) -> bool {
        let state = self.0.state.lock();
        let named: Vec<_> = state.peers.values().filter(|peer| peer.name == name).collect();
        for peer in &named {
            peer.sender.post(frames::encoded(Said::Leave(frames::Leave {})));
        }
        !named.is_empty()
    }
}

fn view(peer: &Peer) -> WorkerView {
    WorkerView {
        name: peer.name.clone(),
        version: peer.version.clone(),
        slots: peer.slots,
        first: peer.first,
        age: peer.since.elapsed(),
        round_trip: peer.sender.round_trip(),
        attempts: peer.held.len(),
        waiting: peer.waits,
        ended: peer.ended,
        ran: peer.ran,
        is_draining: peer.is_draining,
        refusals: peer.refused.values().cloned().collect(),
    }
}

impl Shared {
    fn slots(&self) -> usize {
        self.state.lock().peers.values().filter(|peer| !peer.is_draining).map(|peer| peer.slots as usize).sum()
    }

    /// Adds a query.
    fn attach(self: &Arc<Self>, query: impl FnOnce(u64) -> Query) {
        let query = {
            let mut state = self.state.lock();
            state.next_query += 1;
            let query = Arc::new(query(state.next_query));
            state.queries.add(query.clone(), Instant::now());
            query
        };
        let shared = Arc::downgrade(self);
        let work = Arc::downgrade(&query.work);
        let number = query.number;
        query.work.on_stop(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                let is_late = work.upgrade().and_then(|work| work.stop(NONE)) == Some(frond_root::StopReason::Late);
                shared.stop(number, is_late);
            }
        }));
        let shared = Arc::downgrade(self);
        query.work.on_cuttable(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.nudged.notify_one();
            }
        }));
        self.nudged.notify_one();
    }

    /// Ends a query.
    fn stop(&self, query: u64, is_late: bool) {
        let mut state = self.state.lock();
        state.queries.remove(query);
        for peer in state.peers.values_mut() {
            if peer.opened.remove(&query) {
                peer.sender.post(frames::encoded(Said::Stop(Stop { query, is_late })));
            }
        }
    }

    /// Adds a worker. Returns its number.
    fn join(&self, join: Join, sender: FrameSender) -> u64 {
        let mut state = self.state.lock();
        let first = state.free_slots(join.slots.clamp(1, MAX_WORKER_SLOTS));
        state.next_peer += 1;
        let number = state.next_peer;
        state.peers.insert(number, Peer::new(join, first, sender, Instant::now()));
        state.count_slots();
        drop(state);
        self.joined.notify_waiters();
        number
    }

    /// Claims attempts for a worker until it has all that it may have.
    fn claim(&self, number: u64) -> Vec<Claimed> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { peers, queries, .. } = &mut *state;
        let Some(peer) = peers.get_mut(&number) else { return Vec::new() };
        let mut claimed: Vec<Claimed> = Vec::new();
        while let Some((query, ticket)) =
            queries.claim(peer.first, now, peer.has_idle_slot(), |query| peer.may_have(query))
        {
            if peer.opened.insert(query.number) {
                peer.sender.post(frames::encoded(Said::Open(open(&query))));
            }
            let of = attempt_of(&query, &ticket);
            let held = Held { query: query.clone(), ticket: ticket.clone(), started: None, is_waiting: false };
            peer.held.insert(of, held);
            match claimed
                .last_mut()
                .filter(|(last, tickets)| last.number == query.number && tickets.len() < MOST_ORDERS)
            {
                Some((_, tickets)) => tickets.push(ticket),
                None => claimed.push((query, vec![ticket])),
            }
        }
        peer.sender.set_busy(!peer.held.is_empty());
        claimed
    }

    /// Takes an attempt from a worker.
    fn release(&self, number: u64, of: &AttemptOf, ran: Option<Duration>) -> Option<Held> {
        let mut state = self.state.lock();
        let State { peers, queries, .. } = &mut *state;
        let peer = peers.get_mut(&number)?;
        let held = peer.held.remove(of)?;
        peer.waits -= usize::from(held.is_waiting);
        if let Some(ran) = ran {
            peer.ended += 1;
            peer.ran += ran;
        }
        queries.ended(&held.query, ran, Instant::now());
        peer.sender.set_busy(!peer.held.is_empty());
        Some(held)
    }

    /// Removes a worker. What it had is claimable again.
    fn lose(&self, number: u64, why: &Lost) {
        let now = Instant::now();
        let peer = {
            let mut state = self.state.lock();
            let Some(peer) = state.peers.remove(&number) else { return };
            for held in peer.held.values() {
                state.queries.ended(&held.query, None, now);
            }
            state.count_slots();
            peer
        };
        let name = peer.name;
        let mut local: BTreeMap<u64, Arc<dyn LeafRunner>> = BTreeMap::new();
        for Held { query, ticket, started, is_waiting } in peer.held.into_values() {
            local.extend(query.local.clone().map(|runner| (query.number, runner)));
            match started {
                None => query.work.give_back(ticket),
                Some(started) => {
                    if is_waiting {
                        query.work.resume(ticket.id);
                    }
                    let ran = now.saturating_duration_since(started);
                    let lost = Outcome::with_its_worker(ran, format!("its worker `{name}` was lost: {why}"));
                    query.work.end(ticket, lost, now);
                }
            }
        }
        self.nudged.notify_one();
        local.values().for_each(|runner| runner.nudge());
    }
}

/// The most attempts in one frame.
const MOST_ORDERS: usize = 64;

/// No attempt: a whole query is asked about.
const NONE: frond_root::AttemptId = frond_root::AttemptId { partition: u32::MAX, number: 0 };

fn attempt_of(query: &Query, ticket: &Ticket) -> AttemptOf {
    AttemptOf { query: query.number, partition: ticket.id.partition, number: ticket.id.number }
}

fn open(query: &Query) -> Open {
    let tenant = query.work.tenant();
    Open {
        query: query.number,
        leaf: query.source.leaf.clone(),
        bytes: query.work.query().clone(),
        caller: tenant.caller.to_string(),
        app: tenant.app.to_string(),
        background: query.work.background(),
    }
}

impl State {
    /// First number of so many slots that no worker has.
    fn free_slots(&self, slots: u32) -> u32 {
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

    fn count_slots(&mut self) {
        let slots = self.peers.values().map(|peer| peer.slots as usize).sum::<usize>();
        self.queries.set_slots(slots);
    }
}
