//! The steps of one query, run: plan → scatter → gather → merge → answer.
//!
//! The loop's `select!` only names what happened; [`Gather`] decides; the actions are performed here.

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
use crate::plan::Plan;
use crate::policy::budget::Budget;
use crate::request::Request;
use crate::runner::{LeafRunner, Merger};

use gathering::GatherResult;

/// What a query needs of the world around it.
#[derive(Clone)]
pub struct Services {
    /// Runs its leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Folds its partials.
    pub merger: Arc<dyn Merger>,
    /// Sees what happens.
    pub events: Events,
    /// Keeps its partials, if they are to outlive this process.
    pub journal: Option<Arc<dyn Journal>>,
}

/// Ends a query early. Clones share one state.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Sender<bool>);

impl Default for Cancel {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cancel {
    /// Ends the query: queued and running leaves stop, and it answers with what is there.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn cancelled(&self) {
        let mut seen = self.0.subscribe();
        // It cannot fail while `self` holds the sender.
        let _ = seen.wait_for(|cancelled| *cancelled).await;
    }
}

/// One query's clock and voice.
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

    /// Whoever saw the query start sees it end, even when it ends in an [`Error`].
    fn refused(&self) {
        self.emit(|| EventKind::QueryEnded { outcome: "failed".to_owned(), reason: None, coverage: unplanned(self) });
    }
}

/// Answers one query within its deadline, or says why it could not.
///
/// `planning` cuts the work; its time counts. Dropping the future stops the query's leaves and merges.
///
/// # Errors
/// What stops a query before it is scattered: see [`Error`]. A leaf's or a merge's failure is in the answer instead.
pub async fn run<P>(request: Request, planning: P, root: Services, cancel: Cancel) -> Result<Answer, Error>
where
    P: Future<Output = Result<Plan, Error>>,
{
    check_partials(&request)?;
    let start = Instant::now();
    let own = Budget::new(start, request.deadline, request.merge_p99);
    let mut course = QueryRun {
        budget: Budget { limit: request.limit.unwrap_or(own.limit), ..own },
        request,
        start,
        root,
        cancel,
        planned: Duration::ZERO,
        gathered: Duration::ZERO,
    };
    course.started();
    let plan = tokio::select! {
        // Planning that is over in time counts, even when the query is cancelled at the same moment.
        biased;
        plan = timeout_at(course.budget.gather_deadline, planning) => plan.map_err(|_| Reason::Deadline),
        () = course.cancel.cancelled() => Err(Reason::Cancelled),
    };
    course.planned = start.elapsed();
    course.gathered = course.planned;
    let is_late = Instant::now() >= course.budget.gather_deadline;
    let answer = match plan {
        // A source that fails when its time is up was cut off.
        Ok(Err(Error::Source(_))) if is_late => {
            Ok(Answer::Failed { reason: Reason::Deadline, coverage: unplanned(&course) })
        }
        Ok(Ok(plan)) => scatter_and_gather(&mut course, Arc::new(plan)).await,
        Ok(Err(Error::Split(failure))) => {
            let failure = failure.within(course.budget.limit);
            Ok(Answer::Failed { reason: split_reason(failure), coverage: unplanned(&course) })
        }
        Ok(Err(error)) => Err(error),
        Err(reason) => Ok(Answer::Failed { reason, coverage: unplanned(&course) }),
    };
    match &answer {
        Ok(answer) => course.ended(answer),
        Err(_) => course.refused(),
    }
    answer
}

/// A split's failure as the query's.
fn split_reason(failure: Failure) -> Reason {
    match failure.kind {
        FailureKind::InvalidQuery => Reason::InvalidQuery(failure),
        _ => Reason::Split(failure),
    }
}

/// The worst case of what is held at once is known before anything runs.
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

/// The account of a query without a plan: nothing is known to be complete.
fn unplanned(course: &QueryRun) -> Box<Coverage> {
    let nothing = Arc::new(Plan::default());
    let demand = Demand { floor: course.request.floor, required: std::collections::BTreeSet::new() };
    let mut coverage = Gather::new(course.request.id, nothing, demand, course.budget).coverage(course.timings());
    coverage.complete = false;
    coverage.fraction = 0.0;
    Box::new(coverage)
}

async fn scatter_and_gather(course: &mut QueryRun, plan: Arc<Plan>) -> Result<Answer, Error> {
    if let Some(query) = plan.query() {
        course.request.query = query.clone();
    }
    let demand = Demand {
        floor: course.request.floor,
        required: plan.required(&course.request.required)?.into_iter().collect(),
    };
    course.emit(|| EventKind::Planned {
        partitions: plan.len() as u64,
        weight: plan.weight(),
        leaf_deadline: course.micros(course.budget.leaf_deadline),
        gather_deadline: course.micros(course.budget.gather_deadline),
    });
    let mut gathered = gathering::gather(course, plan, demand).await;
    course.gathered = course.start.elapsed();
    if let Some(failure) = gathered.journal_failure.take() {
        return Err(Error::Journal(Box::new(failure)));
    }
    Ok(conclude(course, gathered).await)
}

async fn conclude(course: &QueryRun, gathered: GatherResult) -> Answer {
    let GatherResult { gather, partials, folds, merge_failure, .. } = gathered;
    let coverage = |reason: Option<&Reason>| -> Box<Coverage> {
        let mut coverage = gather.coverage(course.timings());
        coverage.complete &= reason.is_none();
        Box::new(coverage)
    };
    if let Some(reason) = refusal(course, &gather, merge_failure) {
        let coverage = coverage(Some(&reason));
        return Answer::Failed { reason, coverage };
    }
    let complete = gather.coverage(Timings::default()).complete;
    match merging::finish(course, &gather, complete, partials, folds).await {
        Ok(body) if complete => Answer::Complete { body, coverage: coverage(None) },
        Ok(body) => Answer::Partial { body, coverage: coverage(None) },
        Err(reason) => {
            let coverage = coverage(Some(&reason));
            Answer::Failed { reason, coverage }
        }
    }
}

/// Why what was gathered makes no answer, if it does not.
fn refusal(course: &QueryRun, gather: &Gather, merge_failure: Option<Failure>) -> Option<Reason> {
    if let Some(failure) = gather.invalid_query() {
        return Some(Reason::InvalidQuery(failure.clone()));
    }
    if let Some(failure) = merge_failure {
        return Some(merging::reason(failure));
    }
    if gather.is_enough() {
        return None;
    }
    // However the last leaves put it, when they were all cut off it was the deadline.
    let late = course.start + course.gathered >= course.budget.leaf_deadline;
    Some(match gather.ended_why() {
        Some(GatherEnd::Cancelled) => Reason::Cancelled,
        _ if late && !gather.has_something() => Reason::Deadline,
        _ => Reason::BelowFloor,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A query's bytes, as every call of it gets them.
fn query_of(course: &QueryRun) -> Bytes {
    course.request.query.clone()
}
