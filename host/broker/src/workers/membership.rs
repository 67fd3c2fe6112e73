//! Workers that join, drain, and leave or are lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use frond_root::{LeafRunner, Outcome, WorkerNews};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::drained::Drain;
use super::peer::{MAX_WORKER_SLOTS, Origin, Peer, Wrong};
use super::shared::{Shared, State};
use super::view::WorkerView;
use crate::frames::Join;
use crate::session::{FrameSender, Lost};

impl Shared {
    /// Adds a worker. Returns its number, and a receiver of the reason for which it is dropped.
    pub(super) fn join(&self, join: Join, origin: Origin, sender: FrameSender) -> (u64, oneshot::Receiver<Wrong>) {
        let (tell, dropped) = oneshot::channel();
        let mut state = self.state.lock();
        let first = state.free_slots(join.slots.clamp(1, MAX_WORKER_SLOTS));
        state.next_peer += 1;
        let number = state.next_peer;
        let earlier = origin.process.and_then(|process| state.drained.get(process).cloned());
        let mut peer = Peer::new(join, origin, first, sender, tell, Instant::now());
        match earlier {
            Some(drain) => {
                peer.is_visitor = true;
                peer.leave(drain);
            }
            None => {
                state.counters.joined();
                state.queries.iter().for_each(|query| query.work.hear_of_workers(WorkerNews::Joined(1)));
                peer.tell_joined();
            }
        }
        state.peers.insert(number, peer);
        state.count_slots();
        if state.absence().is_none() {
            state.queries.iter().for_each(|query| query.work.hear_of_workers(WorkerNews::Absent(None)));
        }
        drop(state);
        self.joined.notify_waiters();
        (number, dropped)
    }

    /// Asks all workers of this name to leave. Returns their number.
    pub(super) fn drain(&self, name: &str, by: &str) -> usize {
        let drain = Drain { by: Some(by.into()), at: Instant::now() };
        let mut state = self.state.lock();
        let State { peers, drained, .. } = &mut *state;
        let mut count = 0;
        for peer in peers.values_mut().filter(|peer| *peer.name == *name) {
            peer.leave(drain.clone());
            peer.origin.process.into_iter().for_each(|process| drained.add(process, drain.clone()));
            count += 1;
        }
        count
    }

    /// Notes that a worker drains because its own host has asked it to.
    pub(super) fn drains(&self, number: u64) {
        if let Some(peer) = self.state.lock().peers.get_mut(&number) {
            peer.drains(Drain { by: None, at: Instant::now() });
        }
    }

    /// Lists a worker that cannot join, with the reason.
    pub(super) fn refuse(&self, name: &str, why: String) {
        let now = Instant::now();
        self.state.lock().absent.refused(WorkerView::refused(name, why), now);
    }

    /// Removes a worker. What it had is claimable again. Without a reason the root gives it up.
    pub(super) fn lose(&self, number: u64, why: Option<&Lost>) {
        let now = Instant::now();
        let peer = {
            let mut state = self.state.lock();
            let Some(peer) = state.peers.remove(&number) else { return };
            state.unstored.lose(number);
            state.recalls.lose(number);
            let State { queries, counters, absent, .. } = &mut *state;
            for held in peer.held.values() {
                queries.ended(&held.query, None, now);
                held.started.iter().for_each(|_| counters.attempt_lost());
            }
            match &peer.drain {
                None => {
                    counters.lost();
                    queries.iter().for_each(|query| query.work.hear_of_workers(WorkerNews::Lost));
                }
                Some(_) if !peer.is_visitor => absent.left(WorkerView::leaving(&peer, now), now),
                Some(_) => {}
            }
            state.count_slots();
            peer
        };
        why.iter().for_each(|why| peer.tell_left(why));
        let why = why.unwrap_or(&Lost::Closed);
        let name = peer.name;
        let is_expendable = peer.origin.is_expendable;
        let mut local: BTreeMap<u64, Arc<dyn LeafRunner>> = BTreeMap::new();
        for held in peer.held.into_values() {
            local.extend(held.query.local.clone().map(|runner| (held.query.number, runner)));
            match held.started {
                None => held.query.work.give_back(held.ticket),
                Some(started) => {
                    let ran = now.saturating_duration_since(started);
                    // Whatever ended the process of a leaf whose time is up, its time was up.
                    let is_over = is_expendable && now >= held.ticket.time_limit().0;
                    let outcome = if is_over {
                        Outcome::cut_off(&held.ticket, None, ran, now)
                    } else {
                        Outcome::with_its_worker(ran, format!("its worker `{name}` was lost: {why}"))
                    };
                    held.end(outcome, now);
                }
            }
        }
        self.nudged.notify_one();
        local.values().for_each(|runner| runner.nudge());
    }
}
