//! Event loop of the gather: from the first claim to the last partial that is waited for.

mod storing;
mod telling;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::journaling::{AttemptEnd, JournalReport, Journaling};
use super::preview::Previews;
use super::query_run::QueryRun;
use crate::answer::Status;
use crate::event::EventKind;
use crate::failure::Failure;
use crate::folding::{FoldResult, Folds};
use crate::gather::{Action, Demand, Gather, Reached};
use crate::leaf_events::LeafEvents;
use crate::memory::MemoryCharge;
use crate::merge::fold::Urgency;
use crate::merge::{Partials, Span};
use crate::plan::Plan;
use crate::request::MergeOrder;
use crate::runner::Covered;
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
        [self.gather.timer(), self.cancel_until, self.keeps_at, self.idle_at, news, retry, self.cool_until, preview]
            .into_iter()
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
            Report::Started { id, at, cut_from, worker, .. } => {
                self.gather.started(id.partition, at, cut_from.is_some());
                worker.iter().for_each(|worker| self.gather.started_on(worker));
            }
            Report::Ended { id, outcome, part, .. } => self.attempt_ended(id, outcome, part),
        }
    }

    fn attempt_ended(&mut self, id: AttemptId, outcome: Outcome, part: Option<Part>) {
        // Removed in any case: an emission of a successful leaf must not stay in memory for the rest
        // of the query.
        let reached = Reached { part, emission: self.scatter.take_emission(id) };
        self.gather.served(id.partition, outcome.earlier, outcome.waits.total());
        let end = AttemptEnd { id, outcome, reached };
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

    fn start_folds(&mut self, now: Instant) {
        // Cleared after one use, as there may be nothing to fold: in order, neighbours may still be
        // missing.
        if self.idle_at.take_if(|at| *at <= now).is_some() {
            self.idle = true;
        }
        // Folds that overlap with the last leaves need not run after them.
        let last_wave = self.partials.is_weighty() && !self.scatter.is_claimable();
        let urgency = if self.held || self.partials.is_full() {
            Urgency::Any
        } else if self.idle || last_wave {
            Urgency::Idle
        } else {
            Urgency::Full
        };
        if self.merge_failure.is_none() && self.gather.ended_why().is_none() && !self.preview(now) {
            self.folds.start(&mut self.partials, urgency);
        }
    }

    /// Makes a preview if one is due. True while folds must wait for it.
    fn preview(&mut self, now: Instant) -> bool {
        let covered = self.gather.covered();
        if self.held || !self.previews.is_due(now, covered) {
            return false;
        }
        let free = self.partials.folding() == 0;
        if free {
            let covered = Covered { planned: self.gather.planned(), covered, complete: false };
            self.previews.start(self.run, &self.partials, covered);
        }
        !free
    }

    fn folded(&mut self, folded: Result<FoldResult, Failure>) {
        if let Ok(folded) = &folded {
            self.scatter.merged(folded.took);
        }
        if let Err(failure) = self.folds.take(&mut self.partials, folded) {
            self.merge_failure.get_or_insert(failure);
            self.gather.merge_failed(Instant::now(), &mut self.actions);
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
