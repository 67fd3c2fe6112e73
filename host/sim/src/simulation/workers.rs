//! Leaves on workers, behind messages that take half a round trip.

use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use frond_root::policy::credits;
use frond_root::{Done, Emission, Outcome, Work};
use tokio::time::Instant;

use super::{Happening, Simulation};
use crate::agenda::nanos;
use crate::leaf::{Leaf, Step};
use crate::message::{Message, Said};
use crate::places::Places;
use crate::setup::Asker;
use crate::sight::{Observer, Sight};

impl<O: Observer> Simulation<'_, O> {
    /// Plans the ends of workers that are killed, and the losses of those that stand still.
    pub(super) fn plan_losses(&mut self) {
        let Places::Workers { all, round_trip } = &self.places else { return };
        let trip = nanos(*round_trip);
        let silence = nanos(credits::BEAT * credits::MISSED_BEATS);
        for (worker, one) in all.iter().enumerate() {
            if let Some(at) = one.killed {
                self.agenda.plan(at, Happening::Kill { worker });
            }
            for (begin, until) in one.pace.stops.iter().filter(|(begin, until)| until - begin > silence) {
                self.agenda.plan(begin.saturating_add(silence), Happening::Lose { worker });
                self.agenda.plan(until.saturating_add(trip), Happening::Join { worker });
            }
        }
    }

    /// Gives all workers their attempts, as long as they take them.
    pub(super) fn deal(&mut self) {
        let Places::Workers { all, .. } = &self.places else { return };
        for worker in 0..all.len() {
            while self.deal_one(worker) {}
        }
    }

    /// Gives a worker an attempt, if it may have one.
    fn deal_one(&mut self, number: usize) -> bool {
        let now = self.agenda.instant();
        let Places::Workers { all, round_trip } = &mut self.places else { return false };
        let trip = *round_trip;
        let Some(worker) = all.get_mut(number).filter(|one| !one.is_lost) else { return false };
        let slots = worker.slots as usize;
        let active = worker.held.len();
        let first = worker.first;
        let may = |asker: &Asker| active < credits::room(slots, Some(trip), asker.mean());
        let has_idle_slot = active < slots;
        let leaves = &self.leaves;
        let has = |asker: &Asker, partition: u32| {
            let held = worker.held.iter().filter_map(|number| leaves.get(*number));
            held.filter(|leaf| leaf.asker.query == asker.query).any(|leaf| leaf.ticket.id.partition == partition)
        };
        let claimed = self.order.claim(
            now,
            true,
            |asker: &Arc<Asker>| Some((asker.clone(), may(asker).then(|| asker.work.claim(first, now)).flatten()?)),
            |asker: &Arc<Asker>| {
                let cuts = has_idle_slot && may(asker);
                Some((asker.clone(), cuts.then(|| asker.work.cut(first, now)).flatten()?))
            },
            |asker: &Arc<Asker>| {
                let copies = has_idle_slot && may(asker);
                let elsewhere = |partition| !has(asker, partition);
                Some((asker.clone(), copies.then(|| asker.work.copy(first, now, &elsewhere)).flatten()?))
            },
        );
        let Some((asker, ticket)) = claimed else { return false };
        let left = ticket.deadline.saturating_duration_since(now);
        let work = asker.work.clone();
        let share = ticket.share.clone();
        let run = share.map_or(Said::Run { leased: 0, end: 0 }, |share| {
            let leased = work.lease(&ticket, credits::LEASE, now).map_or(share.stretch().begin, |units| units.end);
            Said::Run { leased, end: share.stretch().end }
        });
        let leaf = self.add_leaf(&asker, ticket, Some(number));
        if let Places::Workers { all, .. } = &mut self.places
            && let Some(worker) = all.get_mut(number)
        {
            worker.held.insert(leaf);
        }
        if let Some(one) = self.leaves.get_mut(leaf) {
            // By the worker's clock, until it arrives.
            one.deadline = nanos(left);
        }
        self.say(leaf, run);
        true
    }

    /// Sends a message about an attempt, from the root or from its worker.
    fn say(&mut self, number: u32, said: Said) {
        let Places::Workers { all, round_trip } = &self.places else { return };
        let Some(leaf) = self.leaves.get(number) else { return };
        let Some(worker) = leaf.worker else { return };
        let message = Message { worker, leaf: number, serial: leaf.serial, said };
        let mut at = self.agenda.now().saturating_add(nanos(*round_trip / 2));
        if said.is_for_worker()
            && let Some(one) = all.get(worker)
        {
            at = one.pace.awake(at);
        }
        self.agenda.plan(at, Happening::Message(message));
    }

    /// Hears a message. Returns the query whose root learns of it.
    pub(super) fn hear(&mut self, message: Message) -> Option<u64> {
        let Message { worker, leaf: number, serial, said } = message;
        let Places::Workers { all, .. } = &self.places else { return None };
        let one = all.get(worker)?;
        let is_deaf = if said.is_for_worker() { one.is_dead } else { one.is_lost };
        let leaf = self.leaves.get(number).filter(|leaf| leaf.serial == serial && !is_deaf)?;
        let query = leaf.asker.query;
        match said {
            Said::Run { leased, end } => self.hear_run(worker, number, leased, end),
            Said::Lease { leased, end } => {
                let leaf = self.leaves.get_mut(number).filter(|leaf| leaf.outcome.is_none())?;
                leaf.own.as_ref()?.leased(leased, end);
                if std::mem::take(&mut leaf.awaits_lease) {
                    self.next_step(number);
                }
            }
            Said::Stop => self.hear_stop(worker, number),
            Said::Started => self.hear_started(number),
            Said::Kept { until } => self.hear_kept(number, until),
            Said::More => self.hear_more(number),
            Said::Ended { taken, asked } => self.hear_ended(number, taken, asked)?,
            Said::GivenBack => {
                let leaf = self.release(number, None)?;
                leaf.asker.work.give_back(leaf.ticket);
            }
        }
        Some(query)
    }

    fn hear_run(&mut self, worker: usize, number: u32, leased: u64, end: u64) {
        let now = self.agenda.now();
        if let Some(leaf) = self.leaves.get_mut(number) {
            leaf.deadline = leaf.deadline.saturating_add(now);
            leaf.own = leaf.own_share();
            leaf.own.iter().for_each(|own| own.leased(leased, end));
        }
        if let Places::Workers { all, .. } = &mut self.places
            && let Some(one) = all.get_mut(worker)
        {
            one.queue.push_back(number);
        }
        self.begin_on(worker);
    }

    /// Begins the attempts that wait for a worker's slots.
    fn begin_on(&mut self, worker: usize) {
        loop {
            let Places::Workers { all, .. } = &mut self.places else { return };
            let Some(one) = all.get_mut(worker).filter(|one| !one.idle.is_empty()) else { return };
            let Some(number) = one.queue.pop_front() else { return };
            let Some(slot) = one.idle.pop() else { return };
            if let Some(leaf) = self.leaves.get_mut(number) {
                leaf.slot = one.first + slot;
            }
            self.say(number, Said::Started);
            self.begin(number);
        }
    }

    /// Stops an attempt on a worker, which gives it back if it has not begun.
    fn hear_stop(&mut self, worker: usize, number: u32) {
        let now = self.agenda.now();
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        if leaf.outcome.is_some() {
            return;
        }
        if leaf.began.is_some() {
            self.steps += 1;
            leaf.next = Step::Stop;
            leaf.step = self.steps;
            self.agenda.plan(now, Happening::Step { leaf: number, step: self.steps });
            return;
        }
        if let Places::Workers { all, .. } = &mut self.places
            && let Some(one) = all.get_mut(worker)
        {
            one.queue.retain(|other| *other != number);
        }
        self.say(number, Said::GivenBack);
    }

    fn hear_started(&mut self, number: u32) {
        let now = self.agenda.instant();
        let Places::Workers { all, .. } = &self.places else { return };
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        leaf.is_known = true;
        leaf.ticket.worker = leaf.worker.and_then(|worker| all.get(worker)).map(|worker| worker.name.clone());
        leaf.ticket.slot = leaf.slot;
        leaf.asker.work.start(&leaf.ticket, now);
    }

    fn hear_kept(&mut self, number: u32, until: u64) {
        let Some(leaf) = self.leaves.get(number) else { return };
        let kept = leaf.ticket.share.as_ref().and_then(|share| share.keep_to(until));
        debug_assert!(kept.is_some(), "a worker keeps only what was leased to it");
        if let Some((Range { start: begin, end }, of)) = kept {
            let partial = Bytes::from_static(b"kept");
            leaf.asker.work.emit(leaf.ticket.id, Emission { partial, done: Done::Units { begin, end, of } });
        }
    }

    fn hear_more(&mut self, number: u32) {
        let now = self.agenda.instant();
        let Places::Workers { round_trip, .. } = &self.places else { return };
        let time = credits::lease_time(Some(*round_trip));
        let Some(leaf) = self.leaves.get(number) else { return };
        let Some(share) = leaf.ticket.share.clone() else { return };
        let leased = leaf.asker.work.lease(&leaf.ticket, time, now).map(|units| units.end);
        let end = share.stretch().end;
        self.say(number, Said::Lease { leased: leased.unwrap_or(end), end });
    }

    fn hear_ended(&mut self, number: u32, taken: u64, asked: bool) -> Option<()> {
        let now = self.agenda.instant();
        let outcome = self.leaves.get_mut(number)?.outcome.take()?;
        let leaf = self.release(number, Some(outcome.ran))?;
        if let Some(share) = &leaf.ticket.share {
            let is_possible = share.settle(taken, false, asked);
            debug_assert!(is_possible, "a worker takes only what was leased to it");
        }
        leaf.asker.work.end(leaf.ticket, outcome, now);
        Some(())
    }

    /// Takes an attempt from its worker, as the root knows it.
    fn release(&mut self, number: u32, ran: Option<Duration>) -> Option<Leaf> {
        let now = self.agenda.instant();
        let leaf = self.leaves.remove(number)?;
        if let Places::Workers { all, .. } = &mut self.places
            && let Some(worker) = leaf.worker.and_then(|worker| all.get_mut(worker))
        {
            worker.held.remove(&number);
        }
        let took = ran.unwrap_or_default();
        self.order.ended(&leaf.asker, took, took, now);
        if let Some(ran) = ran {
            leaf.asker.learn(ran);
        }
        if let Some(run) = self.runs.get_mut(&leaf.asker.query) {
            run.leaves.remove(&number);
        }
        self.must_claim = true;
        Some(leaf)
    }

    /// The next piece of a leaf on a worker. `None` while it waits for the next lease.
    pub(super) fn piece_of_worker(&mut self, number: u32) -> Option<Option<Range<u64>>> {
        let now = self.agenda.instant();
        let every = self.setup.world.query.pieces.map_or(0, |pieces| pieces.keep);
        let leaf = self.leaves.get_mut(number)?;
        let keeps = leaf.keeps(every);
        let own = leaf.own.as_ref()?;
        let kept = keeps.then(|| own.keep().0.end);
        let piece = own.poll_next(now);
        let asks = own.asks_for_lease();
        leaf.awaits_lease = piece.is_pending();
        if let Some(until) = kept {
            self.say(number, Said::Kept { until });
        }
        if asks {
            self.say(number, Said::More);
        }
        match piece {
            Poll::Ready(piece) => Some(piece),
            Poll::Pending => {
                self.wait_for_lease(number);
                None
            }
        }
    }

    /// Has a leaf that waits for units end at its deadline, should none come.
    fn wait_for_lease(&mut self, number: u32) {
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        leaf.next = Step::CutOff;
        let deadline = leaf.deadline;
        self.plan_step(number, |pace, _| pace.awake(deadline));
    }

    /// Has a leaf leave its slot. The root hears of it half a round trip later.
    pub(super) fn leave_worker(&mut self, number: u32, outcome: Outcome) -> Option<u64> {
        let leaf = self.leaves.get_mut(number)?;
        leaf.outcome = Some(outcome);
        leaf.step = 0;
        let worker = leaf.worker?;
        let slot = leaf.slot;
        let part = leaf.own.as_ref().map(frond_root::Share::end);
        if let Places::Workers { all, .. } = &mut self.places
            && let Some(one) = all.get_mut(worker)
        {
            one.idle.push(slot - one.first);
        }
        let ended = part.map_or(Said::Ended { taken: 0, asked: false }, |part| Said::Ended {
            taken: part.taken,
            asked: part.asked,
        });
        self.say(number, ended);
        self.begin_on(worker);
        None
    }

    /// Tells a worker that nobody needs an attempt.
    pub(super) fn say_stop(&mut self, number: u32) {
        self.say(number, Said::Stop);
    }

    /// Tells workers that a query is over.
    pub(super) fn stop_workers(&mut self, query: u64) {
        let Some(run) = self.runs.get(&query) else { return };
        for number in run.leaves.clone() {
            self.say_stop(number);
        }
    }

    /// Kills a worker. The root learns of it a round trip later.
    pub(super) fn kill(&mut self, number: usize) {
        let now = self.agenda.now();
        let Places::Workers { all, round_trip } = &mut self.places else { return };
        let trip = nanos(*round_trip);
        let Some(worker) = all.get_mut(number) else { return };
        worker.is_dead = true;
        self.end_leaves(number);
        self.agenda.plan(now.saturating_add(trip), Happening::Lose { worker: number });
    }

    /// Ends all leaves of a worker, without a word to the root.
    fn end_leaves(&mut self, number: usize) {
        let now = self.agenda.now();
        let Places::Workers { all, .. } = &mut self.places else { return };
        let Some(worker) = all.get_mut(number) else { return };
        worker.queue.clear();
        worker.idle = (0..worker.slots).rev().collect();
        for one in worker.held.clone() {
            let Some(leaf) = self.leaves.get_mut(one).filter(|leaf| leaf.outcome.is_none()) else { continue };
            leaf.step = 0;
            if leaf.began.is_some() {
                self.totals.left(leaf.fault(), leaf.met, leaf.ran(now));
                let sight = Sight::Left { query: leaf.asker.query, id: leaf.ticket.id, slot: leaf.slot, met: leaf.met };
                self.observer.see(Duration::from_nanos(now), &sight);
            }
        }
    }

    /// Has a worker join again that was lost because it stood still.
    pub(super) fn join(&mut self, number: usize) {
        let Places::Workers { all, .. } = &mut self.places else { return };
        let Some(worker) = all.get_mut(number).filter(|worker| worker.is_lost && !worker.is_dead) else { return };
        worker.is_lost = false;
        let slots = self.places.slots();
        self.order.set_slots(slots);
        self.must_claim = true;
    }

    /// Loses a worker: what it had is claimable again.
    pub(super) fn lose(&mut self, number: usize) {
        let now: Instant = self.agenda.instant();
        let Places::Workers { all, .. } = &mut self.places else { return };
        let Some(worker) = all.get_mut(number).filter(|worker| !worker.is_lost) else { return };
        worker.is_lost = true;
        let is_silent = !worker.is_dead;
        let held = worker.held.clone();
        if is_silent {
            self.end_leaves(number);
        }
        let slots = self.places.slots();
        self.order.set_slots(slots);
        self.see(&Sight::WorkerLost { worker: number });
        self.totals.lost_worker();
        let mut queries = std::collections::BTreeSet::new();
        for one in held {
            let Some(leaf) = self.release(one, None) else { continue };
            queries.insert(leaf.asker.query);
            if leaf.is_known {
                let ran = leaf.ran(self.agenda.now());
                leaf.asker.work.end(leaf.ticket, Outcome::with_its_worker(ran, "its worker was lost"), now);
            } else {
                leaf.asker.work.give_back(leaf.ticket);
            }
        }
        for query in queries {
            if self.is_woken(query) {
                self.handle(query);
            }
        }
        self.must_claim = true;
    }
}
