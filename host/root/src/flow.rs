//! Control flow of one query: plan → scatter → gather → merge → answer.
//!
//! The loop's `select!` only produces signals, [`Gather`] decides, and the flow performs the
//! actions.

mod gathering;
mod journaling;
mod merging;
mod preview;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::answer::{Answer, Coverage, Reason, Timings, millis};
use crate::event::{EventKind, Events, FORMAT_VERSION, GatherEnd};
use crate::failure::{Error, Failure, FailureKind};
use crate::gather::{Demand, Gather};
use crate::journal::Journal;
use crate::memory::{Held, Memory};
use crate::plan::Plan;
use crate::policy::budget::Budget;
use crate::request::Request;
use crate::runner::Merger;
use crate::work::LeafRunner;

use gathering::GatherResult;

/// Services that a query uses.
#[derive(Clone)]
pub struct Services {
    /// Runs the leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Folds the partials.
    pub merger: Arc<dyn Merger>,
    /// Receives the events.
    pub events: Events,
    /// Makes the partials durable; `None` for a query that need not survive its process.
    pub journal: Option<Arc<dyn Journal>>,
    /// Memory that all queries of the process share; `None` for no bound beside the query's own.
    pub memory: Option<Memory>,
}

/// Cancellation handle of a query. Clones share one state.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Sender<bool>);

impl Default for Cancel {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cancel {
    /// Cancels the query: queued and running leaves stop, and it answers with the partials it has.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn cancelled(&self) {
        let mut seen = self.0.subscribe();
        // Cannot fail while `self` holds the sender.
        let _ = seen.wait_for(|cancelled| *cancelled).await;
    }
}

/// State of one running query: request, time budget, services, timings.
struct QueryRun {
    request: Request,
    start: Instant,
    budget: Budget,
    root: Services,
    cancel: Cancel,
    planned: Duration,
    gathered: Duration,
}

impl QueryRun {
    fn emit(&self, kind: impl FnOnce() -> EventKind) {
        self.root.events.emit(self.start.elapsed(), kind);
    }

    fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.start))
    }

    fn timings(&self) -> Timings {
        let total = self.start.elapsed();
        Timings {
            deadline: millis(self.request.deadline),
            reserve: millis(self.budget.reserve),
            plan: millis(self.planned),
            gather: millis(self.gathered.saturating_sub(self.planned)),
            merge: millis(total.saturating_sub(self.gathered)),
            total: millis(total),
            ..Timings::default()
        }
    }

    fn started(&self) {
        self.emit(|| EventKind::QueryStarted {
            version: FORMAT_VERSION,
            query: self.request.id,
            app: self.request.app.clone(),
            deadline: micros(self.request.deadline),
            slots: self.request.slots,
            floor: self.request.floor,
            unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        });
    }

    fn ended(&self, answer: &Answer) {
        self.emit(|| EventKind::QueryEnded {
            outcome: answer.outcome().to_owned(),
            reason: match answer {
                Answer::Failed { reason, .. } => Some(reason.clone()),
                _ => None,
            },
            coverage: Box::new(answer.coverage().clone()),
        });
    }

    /// Emits the end of a query that ends in an [`Error`], so that every start has its end.
    fn refused(&self) {
        self.emit(|| EventKind::QueryEnded { outcome: "failed".to_owned(), reason: None, coverage: unplanned(self) });
    }
}

/// Runs one query and answers it within its deadline.
///
/// `planning` makes the plan; its time counts. Dropping the future stops the query's leaves and
/// merges.
///
/// # Errors
/// An [`Error`] if the query cannot be scattered, or its partials cannot be stored or recalled. The
/// failure of a leaf or a merge is part of the answer instead.
pub async fn run<P>(request: Request, planning: P, root: Services, cancel: Cancel) -> Result<Answer, Error>
where
    P: Future<Output = Result<Plan, Error>>,
{
    check_partials(&request)?;
    let start = Instant::now();
    let own = Budget::new(start, request.deadline, request.merge_p99);
    let mut run = QueryRun {
        budget: Budget { limit: request.limit.unwrap_or(own.limit), ..own },
        request,
        start,
        root,
        cancel,
        planned: Duration::ZERO,
        gathered: Duration::ZERO,
    };
    run.started();
    let plan = tokio::select! {
        // A finished plan counts even when the query is cancelled at the same moment.
        biased;
        plan = timeout_at(run.budget.gather_deadline, planning) => plan.map_err(|_| Reason::Deadline),
        () = run.cancel.cancelled() => Err(Reason::Cancelled),
    };
    run.planned = start.elapsed();
    run.gathered = run.planned;
    let is_late = Instant::now() >= run.budget.gather_deadline;
    let answer = match plan {
        // A source that fails after its time was cut off.
        Ok(Err(Error::Source(_))) if is_late => {
            Ok(Answer::Failed { reason: Reason::Deadline, coverage: unplanned(&run) })
        }
        Ok(Ok(plan)) => scatter_and_gather(&mut run, Arc::new(plan)).await,
        Ok(Err(Error::Split(failure))) => {
            let failure = failure.within(run.budget.limit);
            Ok(Answer::Failed { reason: split_reason(failure), coverage: unplanned(&run) })
        }
        Ok(Err(error)) => Err(error),
        Err(reason) => Ok(Answer::Failed { reason, coverage: unplanned(&run) }),
    };
    match &answer {
        Ok(answer) => run.ended(answer),
        Err(_) => run.refused(),
    }
    answer
}

/// Maps a split's failure to the query's.
fn split_reason(failure: Failure) -> Reason {
    match failure.kind {
        FailureKind::InvalidQuery => Reason::InvalidQuery(failure),
        _ => Reason::Split(failure),
    }
}

/// Checks that the largest possible partials of all slots fit the memory, before anything runs.
fn check_partials(request: &Request) -> Result<(), Error> {
    let worst = (request.slots as u64).saturating_mul(request.leaf_output);
    if worst.saturating_mul(3) / 2 > request.partials_memory {
        return Err(Error::PartialsTooLarge {
            slots: request.slots,
            output: request.leaf_output,
            memory: request.partials_memory,
        });
    }
    Ok(())
}

/// The account of a query without a plan. It is not complete, though nothing was planned.
fn unplanned(run: &QueryRun) -> Box<Coverage> {
    let nothing = Arc::new(Plan::default());
    let demand = Demand { floor: run.request.floor, required: std::collections::BTreeSet::new() };
    let mut coverage = Gather::new(run.request.id, nothing, demand, run.budget).coverage(run.timings());
    coverage.complete = false;
    coverage.fraction = 0.0;
    Box::new(coverage)
}

async fn scatter_and_gather(run: &mut QueryRun, plan: Arc<Plan>) -> Result<Answer, Error> {
    if let Some(query) = plan.query() {
        run.request.query = query.clone();
    }
    let demand =
        Demand { floor: run.request.floor, required: plan.required(&run.request.required)?.into_iter().collect() };
    run.emit(|| EventKind::Planned {
        partitions: plan.len() as u64,
        weight: plan.weight(),
        leaf_deadline: run.micros(run.budget.leaf_deadline),
        gather_deadline: run.micros(run.budget.gather_deadline),
    });
    let mut memory = Held::of(run.root.memory.clone(), run.request.tenant.caller.clone());
    if plan.len() > run.request.partitions {
        return Err(Error::TooManyPartitions { count: plan.len(), limit: run.request.partitions });
    }
    // A job waits for hours: it is not refused for the queries of a moment.
    if !memory.plan(plan.len()) && run.request.background.is_none() {
        return Err(Error::NoMemory { partitions: plan.len() });
    }
    let mut gathered = gathering::gather(run, plan, demand, memory).await;
    run.gathered = run.start.elapsed();
    if let Some(failure) = gathered.journal_failure.take() {
        return Err(Error::Journal(Box::new(failure)));
    }
    Ok(conclude(run, gathered).await)
}

async fn conclude(run: &QueryRun, gathered: GatherResult) -> Answer {
    // Held until the answer is made.
    let GatherResult { gather, partials, folds, merge_failure, memory: _memory, .. } = gathered;
    let coverage = |reason: Option<&Reason>| -> Box<Coverage> {
        let mut coverage = gather.coverage(run.timings());
        coverage.complete &= reason.is_none();
        Box::new(coverage)
    };
    if let Some(reason) = refusal(run, &gather, merge_failure) {
        let coverage = coverage(Some(&reason));
        return Answer::Failed { reason, coverage };
    }
    let complete = gather.coverage(Timings::default()).complete;
    match merging::finish(run, &gather, complete, partials, folds).await {
        Ok(body) if complete => Answer::Complete { body, coverage: coverage(None) },
        Ok(body) => Answer::Partial { body, coverage: coverage(None) },
        Err(reason) => {
            let coverage = coverage(Some(&reason));
            Answer::Failed { reason, coverage }
        }
    }
}

/// Reason why the gathered partials make no answer; `None` if they do.
fn refusal(run: &QueryRun, gather: &Gather, merge_failure: Option<Failure>) -> Option<Reason> {
    if let Some(failure) = gather.invalid_query() {
        return Some(Reason::InvalidQuery(failure.clone()));
    }
    if let Some(failure) = merge_failure {
        return Some(merging::reason(failure));
    }
    if gather.is_enough() {
        return None;
    }
    // If all leaves were cut off, it was the deadline, however the last ones reported it.
    let late = run.start + run.gathered >= run.budget.leaf_deadline;
    Some(match gather.ended_why() {
        Some(GatherEnd::Cancelled) => Reason::Cancelled,
        _ if late && !gather.has_something() => Reason::Deadline,
        _ => Reason::BelowFloor,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The query's bytes, as every guest call receives them.
fn query_of(run: &QueryRun) -> Bytes {
    run.request.query.clone()
}
