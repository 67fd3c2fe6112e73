//! Loop of a simulation: takes the next event, has the root's decisions act on it, and plans what
//! follows.

mod here;
mod workers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use frond_root::dispatch::ClaimOrder;
use frond_root::policy::admission::whole_cost;
use frond_root::policy::admitted::Admitted;
use frond_root::sync::lock;
use frond_root::{AttemptId, Event, Outcome, Work};
use tokio::time::Instant;

use crate::agenda::{Agenda, nanos};
use crate::leaf::{Leaf, Pace, Step};
use crate::message::Message;
use crate::places::Places;
use crate::run::QueryRun;
use crate::setup::{Asker, Setup};
use crate::sight::{Observer, Sight};
use crate::slab::Slab;
use crate::totals::Totals;

/// Name of the app for admission.
const APP: &str = "simulated";

/// Event of the simulation.
#[derive(Debug)]
enum Happening {
    /// The next query arrives.
    Arrival,
    /// A query wakes by its timer.
    Wake { query: u64 },
    /// A leaf ends the step of this number.
    Step { leaf: u32, step: u64 },
    /// A message arrives.
    Message(Message),
    /// A worker is killed.
    Kill { worker: usize },
    /// The root loses a worker that is killed, or that has stood still for too long.
    Lose { worker: usize },
    /// A worker joins again.
    Join { worker: usize },
}

/// A simulation of one world.
pub(crate) struct Simulation<'a, O> {
    setup: Setup<'a>,
    observer: &'a mut O,
    agenda: Agenda<Happening>,
    runs: BTreeMap<u64, QueryRun>,
    order: ClaimOrder<Asker>,
    leaves: Slab<Leaf>,
    places: Places,
    admitted: Option<Admitted>,
    /// Number of queries that have arrived.
    arrived: u64,
    /// Number of steps and attempts so far.
    steps: u64,
    serials: u64,
    /// True if slots may find something to claim.
    must_claim: bool,
    /// Set by the scatters when a share may have become worth a cut.
    cuttable: Arc<AtomicBool>,
    /// Attempts that must stop, as rivals of theirs have won.
    superseded: Arc<Mutex<Vec<(u64, AttemptId)>>>,
    /// Query whose events are recorded.
    recorded: Option<u64>,
    events: Vec<Event>,
    totals: Totals,
}

impl<'a, O: Observer> Simulation<'a, O> {
    pub(crate) fn new(setup: Setup<'a>, observer: &'a mut O, recorded: Option<u64>) -> Self {
        let world = setup.world;
        let places = Places::new(&world.cluster);
        let most = world.arrivals.most_running.map(|most| most as usize);
        Self {
            setup,
            observer,
            agenda: Agenda::new(),
            runs: BTreeMap::new(),
            order: ClaimOrder::new(places.slots()),
            leaves: Slab::new(),
            admitted: most.map(Admitted::new),
            arrived: 0,
            steps: 0,
            serials: 0,
            must_claim: false,
            cuttable: Arc::new(AtomicBool::new(false)),
            superseded: Arc::default(),
            recorded,
            events: Vec::new(),
            totals: Totals::new(world, places.slots()),
            places,
        }
    }

    /// Runs the simulation to its end. Returns the totals, and the events of the recorded query.
    pub(crate) fn run(mut self) -> (Totals, Vec<Event>) {
        self.agenda.plan(0, Happening::Arrival);
        self.plan_losses();
        while let Some(happening) = self.agenda.next() {
            let query = self.happen(happening);
            if let Some(query) = query.filter(|query| self.is_woken(*query)) {
                self.handle(query);
            }
            self.claim();
            if self.totals.queries() == self.setup.world.arrivals.queries {
                break;
            }
        }
        self.totals.end(self.agenda.now(), self.agenda.done());
        (self.totals, self.events)
    }

    /// Has an event happen. Returns the query that it concerns.
    fn happen(&mut self, happening: Happening) -> Option<u64> {
        match happening {
            Happening::Arrival => self.arrive(),
            Happening::Wake { query } => {
                let now = self.agenda.instant();
                let is_due = self.runs.get_mut(&query)?.timer.take_if(|at| *at == now).is_some();
                if is_due {
                    self.handle(query);
                }
                None
            }
            Happening::Step { leaf, step } => self.step(leaf, step),
            Happening::Message(message) => self.hear(message),
            Happening::Kill { worker } => {
                self.kill(worker);
                None
            }
            Happening::Lose { worker } => {
                self.lose(worker);
                None
            }
            Happening::Join { worker } => {
                self.join(worker);
                None
            }
        }
    }

    fn see(&mut self, sight: &Sight<'_>) {
        self.observer.see(Duration::from_nanos(self.agenda.now()), sight);
    }

    /// Has a query arrive, and plans the arrival of the next one.
    fn arrive(&mut self) -> Option<u64> {
        let query = self.arrived;
        self.arrived += 1;
        let arrivals = &self.setup.world.arrivals;
        if let Some(rate) = arrivals.rate.filter(|_| self.arrived < arrivals.queries) {
            let wait = self.setup.query_random(self.arrived).exponential() / rate;
            let wait = nanos(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
            self.agenda.plan(self.agenda.now().saturating_add(wait), Happening::Arrival);
        }
        let now = self.agenda.instant();
        let admission = self.admit(query, now);
        self.see(&Sight::Arrived { query, admitted: admission.is_ok() });
        let Ok(admission) = admission else {
            self.totals.refused();
            self.next_arrival(Duration::ZERO);
            return None;
        };
        let slots = self.places.slots();
        let records = self.recorded == Some(query);
        let mut run = QueryRun::new(&self.setup, query, now, self.places.most_claimed(), slots, records);
        run.admission = admission;
        let cuttable = self.cuttable.clone();
        run.asker.work.on_cuttable(Box::new(move || cuttable.store(true, Ordering::Relaxed)));
        let superseded = self.superseded.clone();
        run.asker.work.on_superseded(Arc::new(move |id| lock(&superseded).push((query, id))));
        let observer = &mut *self.observer;
        let at = Duration::from_nanos(self.agenda.now());
        run.recall(self.setup.stored_of(query), now, &mut |sight: &Sight<'_>| observer.see(at, sight));
        self.order.push(run.asker.clone(), now);
        self.runs.insert(query, run);
        self.must_claim = true;
        self.handle(query);
        None
    }

    /// Admits a query, and returns its number if there is admission.
    fn admit(&mut self, query: u64, now: Instant) -> Result<Option<u64>, ()> {
        let Some(admitted) = &mut self.admitted else { return Ok(None) };
        let (tenant, background) = self.setup.asked_by(query);
        if background.is_some() {
            // Background work comes from jobs, which have a queue.
            return Ok(None);
        }
        let budget = self.setup.budget(now).gather_deadline - now;
        admitted.admit(APP, &tenant, budget, self.places.slots(), now).map(Some).map_err(drop)
    }

    /// Plans the next arrival after the end of a query, if queries run one after another.
    fn next_arrival(&mut self, wait: Duration) {
        let arrivals = &self.setup.world.arrivals;
        if arrivals.rate.is_none() && self.arrived < arrivals.queries {
            self.agenda.plan(self.agenda.now() + nanos(wait), Happening::Arrival);
        }
    }

    fn is_woken(&self, query: u64) -> bool {
        self.runs.get(&query).is_some_and(|run| run.asker.work.is_woken())
    }

    /// Wakes a query's task.
    fn handle(&mut self, query: u64) {
        let now = self.agenda.instant();
        let at = Duration::from_nanos(self.agenda.now());
        let Some(run) = self.runs.get_mut(&query) else { return };
        let observer = &mut *self.observer;
        self.must_claim |= run.handle(self.places.slots(), now, &mut |sight: &Sight<'_>| observer.see(at, sight));
        self.stop_superseded();
        let Some(run) = self.runs.get_mut(&query) else { return };
        if run.asker.work.is_closed() && !std::mem::replace(&mut run.is_stopped, true) {
            self.stop(query);
        }
        let Some(run) = self.runs.get_mut(&query) else { return };
        if run.is_over() {
            return self.end(query);
        }
        let timer = run.next_timer();
        if let Some(at) = timer.filter(|at| run.timer.is_none_or(|planned| *at != planned || planned < now)) {
            run.timer = Some(at);
            let at = self.agenda.nanos_of(at);
            self.agenda.plan(at, Happening::Wake { query });
        }
    }

    /// Ends a query whose gather has ended.
    fn end(&mut self, query: u64) {
        let Some(mut run) = self.runs.remove(&query) else { return };
        self.order.remove(|one| one.query == query);
        let now = self.agenda.instant();
        let merge = self.setup.merge;
        let ended = run.end(now, merge);
        let bound = Duration::from_nanos((self.setup.leaves(query) / self.places.speed()) as u64);
        let took = now.saturating_duration_since(run.start);
        self.see(&Sight::Gathered {
            query,
            plan: &run.plan,
            budget: &run.budget,
            took,
            why: ended.why,
            coverage: &ended.coverage,
            outcome: ended.outcome,
            bound,
        });
        self.totals.ended(query, &ended, took, bound);
        let tenant = &self.setup.asked_by(query).0;
        if let (Some(admitted), Some(number)) = (&mut self.admitted, run.admission) {
            admitted.ended(tenant, number, now);
            whole_cost(&ended.coverage).into_iter().for_each(|cost| admitted.learn(APP, cost));
        }
        self.events.extend(ended.events.unwrap_or_default());
        self.next_arrival(ended.took.saturating_sub(took));
    }

    /// Has free slots claim, if there may be anything for them.
    fn claim(&mut self) {
        let cuttable = self.cuttable.swap(false, Ordering::Relaxed);
        if !std::mem::take(&mut self.must_claim) && !cuttable {
            return;
        }
        match &self.places {
            Places::Here(_) => self.claim_here(),
            Places::Workers { .. } => self.deal(),
        }
    }

    /// Has all leaves of a query stop.
    fn stop(&mut self, query: u64) {
        match &self.places {
            Places::Here(_) => self.stop_here(query),
            Places::Workers { .. } => self.stop_workers(query),
        }
    }

    /// Has the attempts stop of which rivals have won.
    fn stop_superseded(&mut self) {
        let all = std::mem::take(&mut *lock(&self.superseded));
        for (query, id) in all {
            let leaves = self.runs.get(&query).map(|run| &run.leaves);
            let is_it = |number: &&u32| self.leaves.get(**number).is_some_and(|leaf| leaf.ticket.id == id);
            let Some(number) = leaves.and_then(|leaves| leaves.iter().find(is_it)).copied() else { continue };
            match &self.places {
                Places::Here(_) => self.stop_leaf_here(number),
                Places::Workers { .. } => self.say_stop(number),
            }
        }
    }

    /// Adds a claimed attempt.
    fn add_leaf(&mut self, asker: &Arc<Asker>, ticket: frond_root::Ticket, worker: Option<usize>) -> u32 {
        self.serials += 1;
        let query = asker.query;
        let order = &self.order;
        let at = Duration::from_nanos(self.agenda.now());
        self.observer.see(at, &Sight::Claimed { query, ticket: &ticket, worker, now: self.agenda.instant(), order });
        let number = self.leaves.add(Leaf::new(&self.setup, self.serials, asker.clone(), ticket, worker));
        if let Some(run) = self.runs.get_mut(&query) {
            run.leaves.insert(number);
        }
        number
    }

    /// Begins a leaf on its slot.
    fn begin(&mut self, number: u32) {
        let now = self.agenda.now();
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        leaf.began = Some(now);
        let query = leaf.asker.query;
        let sight = Sight::Began { query, id: leaf.ticket.id, slot: leaf.slot, fault: leaf.fault() };
        self.observer.see(Duration::from_nanos(now), &sight);
        let overhead = nanos(self.setup.overhead) as f64;
        self.plan_step(number, |pace, _| pace.end_after(now, overhead));
    }

    /// Plans the end of a leaf's step, or of the leaf at its deadline.
    fn plan_step(&mut self, number: u32, end: impl FnOnce(&Pace, &mut Leaf) -> u64) {
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        let pace = match &self.places {
            Places::Here(slots) => slots.paces.get(leaf.slot as usize),
            Places::Workers { all, .. } => leaf.worker.and_then(|worker| all.get(worker)).map(|worker| &worker.pace),
        };
        let Some(pace) = pace else { return };
        let mut at = end(pace, leaf);
        if at > leaf.deadline {
            leaf.next = Step::CutOff;
            at = pace.awake(leaf.deadline);
        }
        self.steps += 1;
        leaf.step = self.steps;
        self.agenda.plan(at, Happening::Step { leaf: number, step: self.steps });
    }

    /// Ends the step of a leaf, and begins the next one. Returns the query whose root learns of it.
    fn step(&mut self, number: u32, step: u64) -> Option<u64> {
        let now = self.agenda.now();
        let instant = self.agenda.instant();
        let leaf = self.leaves.get_mut(number).filter(|leaf| leaf.step == step)?;
        if leaf.next != Step::CutOff && leaf.next != Step::Stop {
            leaf.done();
        }
        let outcome = match leaf.next {
            Step::Next => return self.next_step(number),
            Step::Done => leaf.success(now),
            Step::CutOff => leaf.cut_off(false, now, instant),
            Step::Stop => leaf.cut_off(true, now, instant),
            Step::Fault => match leaf.fail(now) {
                Some(outcome) => outcome,
                None => {
                    let deadline = leaf.deadline;
                    leaf.next = Step::CutOff;
                    self.plan_step(number, |pace, _| pace.awake(deadline));
                    return None;
                }
            },
        };
        self.leave(number, outcome)
    }

    /// Begins the next step of a leaf: its next piece, all of its work, or its end.
    fn next_step(&mut self, number: u32) -> Option<u64> {
        let now = self.agenda.now();
        let leaf = self.leaves.get_mut(number)?;
        if !leaf.takes_pieces() {
            let work = leaf.plan(None);
            self.plan_step(number, |pace, _| pace.end_of(now, work));
            return None;
        }
        let is_here = leaf.worker.is_none();
        let piece = if is_here { self.piece_here(number) } else { self.piece_of_worker(number)? };
        let leaf = self.leaves.get_mut(number)?;
        let Some(piece) = piece else {
            let outcome = leaf.success(now);
            return self.leave(number, outcome);
        };
        let work = leaf.plan(Some(&piece));
        let sight = Sight::Piece { query: leaf.asker.query, id: leaf.ticket.id, units: &piece };
        self.observer.see(Duration::from_nanos(now), &sight);
        self.plan_step(number, |pace, _| pace.end_of(now, work));
        None
    }

    /// Has a leaf leave its slot. Returns the query whose root learns of it at once.
    fn leave(&mut self, number: u32, outcome: Outcome) -> Option<u64> {
        let now = self.agenda.now();
        let leaf = self.leaves.get(number)?;
        let query = leaf.asker.query;
        let id: AttemptId = leaf.ticket.id;
        let is_here = leaf.worker.is_none();
        let sight = Sight::Left { query, id, slot: leaf.slot, met: leaf.met };
        self.totals.left(leaf.fault(), leaf.met, leaf.ran(now));
        self.observer.see(Duration::from_nanos(now), &sight);
        if is_here { self.leave_here(number, outcome) } else { self.leave_worker(number, outcome) }
    }
}
