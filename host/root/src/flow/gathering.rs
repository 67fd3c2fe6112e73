//! Event loop of the gather: from the first claim to the last partial that is waited for.

mod folds;
mod storing;
mod telling;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::journaling::{JournalReport, Journaling};
use super::preview::Previews;
use super::query_run::QueryRun;
use crate::answer::Status;
use crate::copying::{AttemptEnd, Copying};
use crate::event::EventKind;
use crate::failure::Failure;
use crate::folding::{FoldResult, Folds};
use crate::gather::{Action, Demand, Gather};
use crate::leaf_events::LeafEvents;
use crate::memory::MemoryCharge;
use crate::merge::{Partials, Span};
use crate::plan::Plan;
use crate::request::MergeOrder;
use crate::scatter::{COOL_DOWN, Report, Scatter, Window};
use crate::share::{Part, Stretch};
use crate::work::{AttemptId, Outcome, StoredAttempt, Work};

/// Time for which a cancel waits for the partials of earlier runs.
const RECALL: Duration = Duration::from_secs(5);
/// Time without a running fold or an arriving partial, after which the held partials are folded.
const IDLE_FOLD: Duration = Duration::from_millis(20);
/// Unread partials may take this part of the memory for partials, in addition to it.
const UNREAD_SHARE: u64 = 8;
/// Interval at which listeners learn of started leaves while none ends.
const NEWS: Duration = Duration::from_millis(100);

/// Result of the gather, input of the last folds and the finish.
pub(super) struct GatherResult {
    pub(super) gather: Gather,
    pub(super) partials: Partials,
    pub(super) folds: Folds,
    pub(super) merge_failure: Option<Failure>,
    pub(super) journal_failure: Option<Failure>,
    pub(super) memory: MemoryCharge,
}

/// Reason why the query's task woke up.
enum Signal {
    Woken,
    Timer,
    Folded(Result<FoldResult, Failure>),
    Previewed(Duration),
    Journaled(JournalReport),
    Kept,
    Cancelled,
}

/// Started attempt that has not ended.
struct Live {
    slot: u32,
    since: Instant,
}

/// Loop of a query's task from scatter to the last partial.
struct GatherLoop<'a> {
    run: &'a QueryRun,
    scatter: Arc<Scatter>,
    gather: Gather,
    partials: Partials,
    folds: Folds,
    previews: Previews,
    journal: Journaling,
    /// Started attempts that have not ended, while listeners or the journal want to know of them.
    live: BTreeMap<AttemptId, Live>,
    /// Maker of the events of leaves.
    told: LeafEvents,
    copying: Copying,
    /// Attempts that begin later, at their times.
    retries: BinaryHeap<Reverse<(Instant, AttemptId, Option<Stretch>)>>,
    reports: Vec<Report>,
    actions: Vec<Action>,
    /// Time at which an idle fold is due.
    idle_at: Option<Instant>,
    /// True when that time has passed and nothing has arrived since.
    idle: bool,
    cool_until: Option<Instant>,
    held: bool,
    /// Time until which a cancel waits for the partials of earlier runs.
    cancel_until: Option<Instant>,
    /// Time until which what running leaves keep is not looked at.
    keeps_at: Option<Instant>,
    /// True when claims were refused because of reports that have been read since.
    refused: bool,
    merge_failure: Option<Failure>,
    journal_failure: Option<Failure>,
    memory: MemoryCharge,
}

/// RAII guard that closes the scatter if the gather is given up, as by a dropped future.
struct AbandonOnDrop(Arc<Scatter>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

pub(super) async fn gather(run: &QueryRun, plan: Arc<Plan>, demand: Demand, memory: MemoryCharge) -> GatherResult {
    let request = &run.request;
    let slots = run.services.runner.slots();
    let scatter = Scatter::new(
        plan.clone(),
        request.query.clone(),
        Window {
            slots: run.services.runner.most_claimed(),
            leaf_deadline: run.budget.leaf_deadline,
            limit: run.budget.limit,
            leaf_time: request.leaf_time,
            unread: request.partials_memory / UNREAD_SHARE,
            heaviest_first: request.order == MergeOrder::Any,
            background: request.background,
            tenant: request.tenant.clone(),
            pieces: run.services.runner.pieces(),
            stores: run.services.journal.is_some(),
            memo: request.memo.clone().filter(|_| run.services.journal.is_some()),
        },
    );
    let _abandon = AbandonOnDrop(scatter.clone());
    let mut gathering = GatherLoop {
        journal: Journaling::new(run, &plan),
        live: BTreeMap::new(),
        told: LeafEvents::new(run.start),
        copying: Copying::new(&request.copies, plan.len() - plan.stored().len().min(plan.len())),
        gather: Gather::new(request.id, plan, demand, run.budget).retrying(request.retry),
        partials: Partials::new(request.order, request.partials_memory),
        folds: Folds::new(run.merge_calls(), slots),
        previews: Previews::new(run),
        run,
        scatter,
        retries: BinaryHeap::new(),
        reports: Vec::new(),
        actions: Vec::new(),
        idle_at: None,
        idle: false,
        cool_until: None,
        held: false,
        cancel_until: None,
        keeps_at: None,
        refused: false,
        merge_failure: None,
        journal_failure: None,
        memory,
    };
    gathering.run().await;
    gathering.scatter.close();
    GatherResult {
        gather: gathering.gather,
        partials: gathering.partials,
        folds: gathering.folds,
        merge_failure: gathering.merge_failure,
        journal_failure: gathering.journal_failure,
        memory: gathering.memory,
    }
}

impl GatherLoop<'_> {
    async fn run(&mut self) {
        self.run.services.runner.attach(self.scatter.clone());
        self.look();
        while self.gather.ended_why().is_none() {
            let signal = self.next().await;
            self.handle(signal);
        }
        let why = self.gather.ended_why();
        self.copying.end(&mut self.gather, Instant::now());
        let (joined, lost) = self.scatter.workers();
        self.gather.had_workers(joined, lost);
        self.tell_of_the_rest();
        self.run.emit(|| EventKind::GatherEnded { why: why.unwrap_or(crate::event::GatherEnd::AllSettled) });
    }

    async fn next(&mut self) -> Signal {
        let now = Instant::now();
        if self.cool_until.is_none_or(|until| until <= now) {
            self.cool_until = None;
            if self.scatter.arm() {
                return Signal::Woken;
            }
        }
        let timer = self.timer(now);
        tokio::select! {
            // A stream of reports must not starve a cancel.
            biased;
            () = self.run.cancel.cancelled(), if self.may_cancel() => Signal::Cancelled,
            () = self.scatter.woken() => Signal::Woken,
            Some(folded) = self.folds.next() => Signal::Folded(folded),
            Some(took) = self.previews.ended() => Signal::Previewed(took),
            news = self.journal.next() => Signal::Journaled(news),
            () = self.scatter.has_keepers(), if self.keeps_at.is_none() => Signal::Kept,
            () = self.memory.freed(), if self.held => Signal::Woken,
            () = sleep_until(timer) => Signal::Timer,
        }
    }

    fn may_cancel(&self) -> bool {
        !self.scatter.is_closed() && self.cancel_until.is_none()
    }

    /// Ends the gather, once it has the partials of earlier runs: the answer of a cancelled query
    /// has all that there is. It waits for them only while they can arrive, and not for long.
    fn cancel(&mut self) {
        let now = Instant::now();
        let until = self.cancel_until.unwrap_or(now + RECALL);
        if self.journal.is_recalling() && !self.held && now < until {
            self.cancel_until = Some(until);
        } else {
            self.gather.cancel(now, &mut self.actions);
        }
    }

    fn timer(&self, now: Instant) -> Instant {
        let news = self.run.services.events.wanted().then(|| now + NEWS);
        let retry = self.retries.peek().map(|Reverse((at, ..))| *at);
        // A preview without new partials is no reason to wake; while folds run, their end wakes the
        // task.
        let covered = self.gather.covered();
        let showable = self.partials.folding() == 0 && !self.held;
        let preview = self.previews.due().filter(|due| showable && self.previews.is_due(*due, covered));
        let copies = self.copying.timer();
        let times = [self.gather.timer(), self.cancel_until, self.keeps_at, self.idle_at, self.cool_until];
        times
            .into_iter()
            .chain([news, retry, preview, copies])
            .flatten()
            .min()
            .unwrap_or(self.run.budget.gather_deadline)
    }

    fn handle(&mut self, signal: Signal) {
        // Reports that have arrived count, whatever signal is about to stop the gather.
        self.take_reports();
        match signal {
            Signal::Woken | Signal::Timer => {}
            Signal::Folded(folded) => self.folded(folded),
            Signal::Previewed(took) => self.previews.later(took),
            Signal::Journaled(news) => self.journaled(news),
            Signal::Kept => self.store_keeps(),
            Signal::Cancelled => self.cancel(),
        }
        if self.cancel_until.is_some() {
            self.cancel();
        }
        self.look();
    }

    fn look(&mut self) {
        let now = Instant::now();
        self.keeps_at.take_if(|at| *at <= now);
        if self.gather.is_ending(now) {
            self.take_last_emissions();
        }
        self.gather.look(now, &mut self.actions);
        self.perform();
        self.start_due_retries(now);
        let runner = &self.run.services.runner;
        if self.copying.offer(&self.scatter, runner.slots(), !self.retries.is_empty(), now) {
            runner.nudge();
        }
        self.start_folds(now);
        self.hold_or_release();
        // As for leaves: without a running fold nothing makes room, so waiting for room would never
        // end.
        let room = self.partials.has_room() || self.partials.folding() == 0;
        self.journal.start(!self.held && room);
    }

    fn take_reports(&mut self) {
        let mut reports = std::mem::take(&mut self.reports);
        self.refused |= self.scatter.drain(&mut reports);
        if !reports.is_empty() {
            self.cool_until = Some(Instant::now() + COOL_DOWN);
        }
        for report in reports.drain(..) {
            self.take_report(report);
        }
        self.reports = reports;
    }

    fn take_report(&mut self, report: Report) {
        self.track(&report);
        self.tell(&report);
        match report {
            Report::Started { id, at, cut_from, copy_of, worker, .. } => {
                match copy_of {
                    Some(of) => self.copying.copied(id, of, at, &self.scatter, &mut self.gather),
                    None => self.copying.started(id, at, cut_from.is_some(), &mut self.gather),
                }
                worker.iter().for_each(|worker| self.gather.started_on(worker));
            }
            Report::Ended { id, at, outcome, part, .. } => self.attempt_ended(id, at, outcome, part),
        }
    }

    fn attempt_ended(&mut self, id: AttemptId, at: Instant, outcome: Outcome, part: Option<Part>) {
        self.gather.served(id.partition, outcome.earlier, outcome.waits.total());
        let ends = self.copying.ended(id, at, (outcome, part), &self.scatter, &mut self.gather);
        ends.into_iter().for_each(|end| self.store_or_end(end));
    }

    /// Ends an attempt, once its partial is stored if it counts.
    fn store_or_end(&mut self, end: AttemptEnd) {
        let id = end.id;
        if let Some(end) = self.store_end(end) {
            self.scatter.stored(&[StoredAttempt { id, until: None }]);
            self.ended(end);
        }
    }

    fn ended(&mut self, end: AttemptEnd) {
        self.journal.forget(end.id);
        self.gather.ended(end.id.partition, end.outcome, end.reached, Instant::now(), &mut self.actions);
        self.perform();
    }

    fn take_last_emissions(&mut self) {
        for (id, emission) in self.scatter.take_emissions() {
            self.gather.cut_off(id.partition, emission, &mut self.actions);
        }
    }

    fn perform(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Merge { span, partial, .. } => self.arrived(span, partial),
                Action::Gap(span) => self.partials.skip(span),
                Action::Retry { partition, rest, at } => {
                    let attempt = self.scatter.number(partition);
                    self.run.emit(|| EventKind::RetryScheduled { partition, attempt, start: self.run.micros(at) });
                    self.retries.push(Reverse((at, AttemptId { partition, number: attempt }, rest)));
                }
                Action::Missing { partition, status, slug } => {
                    if status != Status::Degraded {
                        self.partials.skip(partition);
                    }
                    self.run.emit(|| EventKind::PartitionMissing { partition, key: self.key(partition), status, slug });
                }
                Action::FloorReached { fraction } => self.run.emit(|| EventKind::FloorReached { fraction }),
                Action::Close { late: true } => self.scatter.close_late(),
                Action::Close { late: false } => self.scatter.close(),
            }
        }
    }

    fn arrived(&mut self, span: Span, partial: Bytes) {
        let now = Instant::now();
        self.idle_at = Some(now + IDLE_FOLD);
        self.idle = false;
        self.partials.add(span, partial);
        self.gather.arrived(now);
    }

    fn start_due_retries(&mut self, now: Instant) {
        let mut due = false;
        while let Some(Reverse((_, id, rest))) = self.retries.peek().copied().filter(|one| one.0.0 <= now) {
            self.retries.pop();
            self.scatter.again(id, rest);
            due = true;
        }
        if due {
            self.run.services.runner.nudge();
        }
    }

    /// Backpressure: above the memory limit, no leaves start until folds have freed memory. It does
    /// not apply while no fold runs, because none can start: the only partial is large, or the
    /// partials between the held ones are still missing. Waiting for memory would never end.
    fn hold_or_release(&mut self) {
        let short = if self.held { !self.partials.has_room() } else { self.partials.is_full() };
        let unkept = self.journal.is_crowded() || self.journal.held() > self.run.request.partials_memory / UNREAD_SHARE;
        self.memory.partials(self.partials.held().saturating_add(self.journal.held()));
        // Folds of this query, and the ends of others, free memory.
        let hold = unkept || (short && self.partials.folding() > 0) || self.memory.is_short();
        if hold != self.held {
            self.held = hold;
            self.scatter.hold(hold);
            self.run.emit(|| EventKind::Held { held: hold, bytes: self.partials.held() });
            self.refused |= !hold;
        }
        if self.refused && !self.held {
            self.refused = false;
            self.run.services.runner.nudge();
        }
    }
}
