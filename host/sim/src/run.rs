//! One running query: moves the reports of its leaves to the gather, and performs the gather's
//! actions. All decisions are the root's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::answer::{Coverage, Reason, Timings, millis};
use frond_root::copying::Copying;
use frond_root::event::{FORMAT_VERSION, GatherEnd};
use frond_root::gather::{Action, Demand, Gather};
use frond_root::leaf_events::{LeafEvents, key_of};
use frond_root::ledger::PartialRange;
use frond_root::policy::budget::Budget;
use frond_root::scatter::{COOL_DOWN, Report};
use frond_root::share::Stretch;
use frond_root::{AttemptId, Event, EventKind, Failure, Plan, QueryId};
use tokio::time::Instant;

use crate::setup::{Asker, Setup};
use crate::sight::Sight;

/// Events of one query, as recordings hold them.
struct Recording {
    events: Vec<Event>,
    told: LeafEvents,
    /// Started attempts that have not ended, with their slots.
    live: BTreeMap<AttemptId, u32>,
}

/// One running query.
pub(crate) struct QueryRun {
    pub(crate) asker: Arc<Asker>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) budget: Budget,
    pub(crate) start: Instant,
    gather: Gather,
    copying: Copying,
    actions: Vec<Action>,
    reports: Vec<Report>,
    retries: BinaryHeap<Reverse<(Instant, AttemptId, Option<Stretch>)>>,
    cool_until: Option<Instant>,
    /// Time of the next planned wake-up.
    pub(crate) timer: Option<Instant>,
    /// Its leaves on slots of the root's process, or held by workers.
    pub(crate) leaves: BTreeSet<u32>,
    /// Number of its admission.
    pub(crate) admission: Option<u64>,
    /// True once its leaves were told to stop.
    pub(crate) is_stopped: bool,
    /// Price of a merge, until the scatter knows it.
    merge: Option<Duration>,
    recording: Option<Recording>,
}

/// Answer of a query.
pub(crate) struct Ended {
    pub(crate) why: GatherEnd,
    pub(crate) outcome: &'static str,
    pub(crate) coverage: Box<Coverage>,
    /// Time from the start to the answer.
    pub(crate) took: Duration,
    pub(crate) events: Option<Vec<Event>>,
}

impl QueryRun {
    /// Plans and scatters a query; no leaf has been claimed.
    pub(crate) fn new(setup: &Setup<'_>, query: u64, start: Instant, most: usize, slots: usize, records: bool) -> Self {
        let plan = setup.plan(query);
        let budget = setup.budget(start);
        let scatter = setup.scatter(plan.clone(), &budget, query, most);
        let floor = setup.world.query.floor;
        let required = (0..setup.world.query.required).collect();
        let id = QueryId::from(u128::from(setup.query_random(query).bits()) << 64 | u128::from(query));
        let gather = Gather::new(id, plan.clone(), Demand { floor, required }, budget).retrying(setup.retry);
        let since = |at: Instant| micros(at.saturating_duration_since(start));
        let begun = || {
            let kinds = [
                EventKind::QueryStarted {
                    version: FORMAT_VERSION,
                    query: id,
                    app: "simulated".to_owned(),
                    deadline: micros(setup.deadline),
                    slots,
                    floor,
                    unix_ms: 0,
                },
                EventKind::Planned {
                    partitions: plan.len() as u64,
                    weight: plan.weight(),
                    leaf_deadline: since(budget.leaf_deadline),
                    gather_deadline: since(budget.gather_deadline),
                },
            ];
            kinds.into_iter().map(|kind| Event { at: 0, kind }).collect()
        };
        let to_run = plan.len() - plan.stored().len().min(plan.len());
        let recording = || Recording { events: begun(), told: LeafEvents::new(start), live: BTreeMap::new() };
        Self {
            asker: Arc::new(Asker::new(query, scatter, budget.leaf_deadline)),
            recording: records.then(recording),
            plan,
            budget,
            start,
            gather,
            copying: Copying::new(&setup.copies, to_run),
            actions: Vec::new(),
            reports: Vec::new(),
            retries: BinaryHeap::new(),
            cool_until: None,
            timer: None,
            leaves: BTreeSet::new(),
            admission: None,
            is_stopped: false,
            merge: Some(setup.merge).filter(|merge| !merge.is_zero()),
        }
    }

    /// Recalls the partials that the journal has, before the first leaf.
    pub(crate) fn recall(
        &mut self,
        stored: &[(u32, Option<PartialRange>)],
        now: Instant,
        see: &mut dyn FnMut(&Sight<'_>),
    ) {
        for (partition, units) in stored {
            self.gather.recalled(*partition, units.as_ref(), Bytes::from_static(b"stored"), &mut self.actions);
        }
        self.perform(now, see);
    }

    /// Handles all that is due, with so many slots. Returns true if attempts have become claimable.
    pub(crate) fn handle(&mut self, slots: usize, now: Instant, see: &mut dyn FnMut(&Sight<'_>)) -> bool {
        let mut nudges = false;
        loop {
            self.take_reports(now, see);
            if self.gather.is_ending(now) {
                for (id, emission) in self.asker.work.take_emissions() {
                    self.gather.cut_off(id.partition, emission, &mut self.actions);
                }
            }
            self.gather.look(now, &mut self.actions);
            self.perform(now, see);
            nudges |= self.start_due_retries(now);
            nudges |= self.copying.offer(&self.asker.work, slots, !self.retries.is_empty(), now);
            if self.gather.ended_why().is_some() || !self.is_due(now) {
                return nudges;
            }
        }
    }

    /// True if reports are to be read at once. Otherwise the next one wakes the query.
    fn is_due(&mut self, now: Instant) -> bool {
        if self.cool_until.is_none_or(|until| until <= now) {
            self.cool_until = None;
            if self.asker.work.arm() {
                return true;
            }
        }
        self.asker.work.is_woken()
    }

    /// Time at which the query wakes by itself.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let retry = self.retries.peek().map(|Reverse((at, ..))| *at);
        [self.gather.timer(), retry, self.cool_until, self.copying.timer()].into_iter().flatten().min()
    }

    /// True once the gather has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.gather.ended_why().is_some()
    }

    fn take_reports(&mut self, now: Instant, see: &mut dyn FnMut(&Sight<'_>)) {
        let mut reports = std::mem::take(&mut self.reports);
        self.asker.work.drain(&mut reports);
        if !reports.is_empty() {
            self.cool_until = Some(now + COOL_DOWN);
        }
        for report in reports.drain(..) {
            self.record(&report);
            let work = &self.asker.work;
            match report {
                Report::Started { id, at, copy_of: Some(of), .. } => {
                    self.copying.copied(id, of, at, work, &mut self.gather);
                }
                Report::Started { id, at, cut_from, .. } => {
                    self.copying.started(id, at, cut_from.is_some(), &mut self.gather);
                }
                Report::Ended { id, at, outcome, part, .. } => {
                    self.gather.served(id.partition, outcome.earlier, outcome.waits.total());
                    see(&Sight::Ended { query: self.asker.query, id, outcome: &outcome, is_late: self.is_over() });
                    for end in self.copying.ended(id, at, (outcome, part), work, &mut self.gather) {
                        self.gather.ended(end.id.partition, end.outcome, end.reached, now, &mut self.actions);
                    }
                    self.perform(now, see);
                }
            }
        }
        self.reports = reports;
    }

    fn perform(&mut self, now: Instant, see: &mut dyn FnMut(&Sight<'_>)) {
        let query = self.asker.query;
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Merge { span, .. } => {
                    see(&Sight::Accepted { query, span });
                    self.merge.take().into_iter().for_each(|took| self.asker.work.merged(took));
                    self.gather.arrived(now);
                }
                Action::Gap(_) => {}
                Action::Retry { partition, rest, at } => {
                    let id = AttemptId { partition, number: self.asker.work.number(partition) };
                    see(&Sight::Retry { query, id });
                    let start = self.micros(at);
                    self.emit(now, || EventKind::RetryScheduled { partition, attempt: id.number, start });
                    self.retries.push(Reverse((at, id, rest)));
                }
                Action::Missing { partition, status, slug } => {
                    see(&Sight::Missing { query, partition, status });
                    let key = key_of(&self.plan, partition);
                    self.emit(now, || EventKind::PartitionMissing { partition, key, status, slug });
                }
                Action::FloorReached { fraction } => self.emit(now, || EventKind::FloorReached { fraction }),
                Action::Close { late: true } => self.asker.work.close_late(),
                Action::Close { late: false } => self.asker.work.close(),
            }
        }
    }

    fn start_due_retries(&mut self, now: Instant) -> bool {
        let mut due = false;
        while let Some(Reverse((_, id, rest))) = self.retries.peek().copied().filter(|one| one.0.0 <= now) {
            self.retries.pop();
            self.asker.work.again(id, rest);
            due = true;
        }
        due
    }

    fn record(&mut self, report: &Report) {
        if let Some(recording) = &mut self.recording {
            match report {
                Report::Started { id, slot, .. } => drop(recording.live.insert(*id, *slot)),
                Report::Ended { id, .. } => drop(recording.live.remove(id)),
            }
            let beaten = matches!(report, Report::Ended { id, .. } if self.copying.is_stopping(*id));
            recording.events.push(recording.told.make(report, beaten, &self.plan));
        }
    }

    fn emit(&mut self, now: Instant, kind: impl FnOnce() -> EventKind) {
        let at = self.micros(now);
        if let Some(recording) = &mut self.recording {
            recording.events.push(Event { at, kind: kind() });
        }
    }

    fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.start))
    }

    /// Makes the answer, after a last merge of this length.
    pub(crate) fn end(&mut self, now: Instant, merge: Duration) -> Ended {
        let why = self.gather.ended_why().unwrap_or(GatherEnd::AllSettled);
        self.copying.end(&mut self.gather, now);
        self.tell_of_the_rest(now);
        self.emit(now, || EventKind::GatherEnded { why });
        let is_in_time = now + merge <= self.budget.merge_deadline;
        let mut reason = self.gather.refusal(now, None);
        let finishes = reason.is_none();
        let answered = match reason {
            Some(_) => now,
            None if is_in_time => now + merge,
            None => {
                reason = Some(Reason::Merge(Failure::time_up(self.budget.limit)));
                self.budget.merge_deadline
            }
        };
        let took = answered.saturating_duration_since(self.start);
        let gathered = now.saturating_duration_since(self.start);
        let mut coverage = Box::new(self.gather.coverage(Timings {
            deadline: millis(self.budget.deadline.saturating_duration_since(self.start)),
            reserve: millis(self.budget.reserve),
            gather: millis(gathered),
            merge: millis(took.saturating_sub(gathered)),
            total: millis(took),
            ..Timings::default()
        }));
        coverage.complete &= reason.is_none();
        let outcome = match &reason {
            Some(_) => "failed",
            None if coverage.complete => "complete",
            None => "partial",
        };
        let account = coverage.clone();
        if finishes {
            self.emit(now, || EventKind::FinishStarted {});
        }
        self.emit(answered, || EventKind::QueryEnded { outcome: outcome.to_owned(), reason, coverage: account });
        Ended { why, outcome, coverage, took, events: self.recording.take().map(|recording| recording.events) }
    }

    /// Records the end of leaves that did not stop in time.
    fn tell_of_the_rest(&mut self, now: Instant) {
        let live = self.recording.as_mut().map(|recording| std::mem::take(&mut recording.live)).unwrap_or_default();
        let is_late = self.asker.work.is_late();
        for (id, slot) in live {
            let beaten = self.copying.is_stopping(id);
            self.emit(now, || LeafEvents::unstopped(id, slot, is_late, beaten));
        }
    }
}

/// Microseconds of a time.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
