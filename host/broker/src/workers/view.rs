//! Workers as displays show them.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::drained::Drain;
use super::peer::{Origin, Peer};
use super::queries::Queries;
use crate::frames::Join;

/// State of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// A process that stands ready to take the place of another one.
    Spare,
    /// It takes attempts.
    Working,
    /// It takes no more attempts, and leaves once those that it has have ended.
    Draining,
    /// It was drained, and has left.
    Drained,
    /// It cannot join: [`WorkerView::idle_because`] has the reason.
    Refused,
}

/// Drain of a worker, for displays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainView {
    /// Name of who asked for it; `None` if the worker's own host did.
    pub by: Option<String>,
    /// Time since it was asked for.
    pub since: Duration,
}

/// A worker, for displays.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Version of its program; empty if it is not known.
    pub version: String,
    /// Pool of the broker that it has joined by, if it has.
    pub pool: Option<String>,
    /// Process number of a process of this machine.
    pub pid: Option<u32>,
    /// Name of its engine; empty if it is not known. Only one with the root's own engine can run
    /// code that the root has compiled.
    pub engine: String,
    /// Its state.
    pub state: WorkerState,
    /// Its slots.
    pub slots: u32,
    /// Number of its first slot among all slots.
    pub first: u32,
    /// Time since it joined.
    pub age: Duration,
    /// Time since it left; `None` for one that is there.
    pub gone: Option<Duration>,
    /// Round trip to it.
    pub round_trip: Option<Duration>,
    /// Time since its last sign of life.
    pub last_heard: Option<Duration>,
    /// Attempts that it has, waiting ones included.
    pub attempts: usize,
    /// Attempts that wait without a slot.
    pub waiting: usize,
    /// Apps of its attempts.
    pub apps: Vec<String>,
    /// Attempts that ended.
    pub ended: u64,
    /// Time that they took on their slots.
    pub ran: Duration,
    /// Its drain, if it was drained.
    pub drain: Option<DrainView>,
    /// Reason why it gets no attempts now. `None` if it does, if its slots are busy, or if no query
    /// has any.
    pub idle_because: Option<String>,
    /// Reasons why it cannot run some leaves.
    pub refusals: Vec<String>,
}

impl WorkerView {
    /// A worker that has just joined.
    fn new(name: &str, state: WorkerState) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            pool: None,
            pid: None,
            engine: String::new(),
            state,
            slots: 0,
            first: 0,
            age: Duration::ZERO,
            gone: None,
            round_trip: None,
            last_heard: None,
            attempts: 0,
            waiting: 0,
            apps: Vec::new(),
            ended: 0,
            ran: Duration::ZERO,
            drain: None,
            idle_because: None,
            refusals: Vec::new(),
        }
    }

    /// A worker that has joined.
    pub(super) fn of(peer: &Peer, queries: &Queries, now: Instant) -> Self {
        let apps: BTreeSet<_> = peer.held.values().map(|held| held.query.work.tenant().app.to_string()).collect();
        let state = if peer.drain.is_some() { WorkerState::Draining } else { WorkerState::Working };
        Self {
            round_trip: peer.sender.round_trip(),
            last_heard: peer.sender.last_heard(),
            attempts: peer.held.len(),
            waiting: peer.waits,
            apps: apps.into_iter().collect(),
            idle_because: peer.idle_because(queries, now),
            refusals: peer.refused.values().cloned().collect(),
            ..Self::known(peer, state, now)
        }
    }

    /// A worker that was drained and leaves.
    pub(super) fn leaving(peer: &Peer, now: Instant) -> Self {
        Self::known(peer, WorkerState::Drained, now)
    }

    /// All that is known of a worker, whether it is here or not.
    fn known(peer: &Peer, state: WorkerState, now: Instant) -> Self {
        Self {
            version: peer.version.clone(),
            pool: peer.origin.pool.as_deref().map(str::to_owned),
            pid: peer.origin.pid,
            engine: peer.engine.clone(),
            slots: peer.slots,
            first: peer.first,
            age: now.saturating_duration_since(peer.since),
            ended: peer.ended,
            ran: peer.ran,
            drain: peer.drain.as_ref().map(|drain| drain.view(now)),
            ..Self::new(&peer.name, state)
        }
    }

    /// A process that stands ready.
    pub(super) fn spare(join: &Join, origin: &Origin) -> Self {
        Self {
            version: join.version.clone(),
            pid: origin.pid,
            engine: join.engine.clone(),
            slots: join.slots,
            ..Self::new(&join.name, WorkerState::Spare)
        }
    }

    /// A worker that cannot join.
    pub(super) fn refused(name: &str, why: String) -> Self {
        Self { idle_because: Some(why), ..Self::new(name, WorkerState::Refused) }
    }

    /// View of the worker so much later, if nothing has happened to it since.
    pub(super) fn later(&self, time: Duration) -> Self {
        let drain = self.drain.clone().map(|drain| DrainView { since: drain.since + time, ..drain });
        Self { age: self.age + time, gone: self.gone.map(|gone| gone + time), drain, ..self.clone() }
    }
}

impl Drain {
    fn view(&self, now: Instant) -> DrainView {
        let since = now.saturating_duration_since(self.at);
        DrainView { by: self.by.as_deref().map(str::to_owned), since }
    }
}
