//! Control flow of one query: plan → scatter → gather → merge → answer.
//!
//! The loop's `select!` only produces signals, the [gather](crate::gather) decides, and the flow
//! performs the actions.

mod gathering;
mod journaling;
mod preview;
mod query_run;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Coverage, Reason, Timings};
use crate::event::EventKind;
use crate::failure::{Error, Failure, FailureKind};
use crate::gather::Demand;
use crate::memory::MemoryCharge;
use crate::plan::Plan;
use crate::policy::budget::Budget;
use crate::request::Request;
use crate::runner::Covered;
use crate::services::Services;

use gathering::GatherResult;
use query_run::QueryRun;

/// Runs one query and answers it within its deadline.
///
/// `planning` makes the plan; its time counts. `cancel` stops queued and running leaves: the query
/// then answers with the partials it has. Dropping the future stops the query's leaves and
/// merges.
///
/// # Errors
/// An [`Error`] if the query cannot be scattered, or its partials cannot be stored or recalled. The
/// failure of a leaf or a merge is part of the answer instead.
pub async fn run<P>(
    request: Request,
    planning: P,
    services: Services,
    cancel: CancellationToken,
) -> Result<Answer, Error>
where
    P: Future<Output = Result<Plan, Error>>,
{
    check_partials(&request, services.runner.own_slots())?;
    let start = Instant::now();
    let own = Budget::new(start, request.deadline, request.merge_p99);
    let mut run = QueryRun {
        budget: Budget { limit: request.limit.unwrap_or(own.limit), ..own },
        request,
        start,
        services,
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
            Ok(Answer::Failed { reason: Reason::Deadline, coverage: run.unplanned() })
        }
        Ok(Ok(plan)) => scatter_and_gather(&mut run, Arc::new(plan)).await,
        Ok(Err(Error::Split(failure))) => {
            let failure = failure.within(run.budget.limit);
            Ok(Answer::Failed { reason: split_reason(failure), coverage: run.unplanned() })
        }
        Ok(Err(error)) => Err(error),
        Err(reason) => Ok(Answer::Failed { reason, coverage: run.unplanned() }),
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

/// Maps a merge's failure to the query's.
fn merge_reason(failure: Failure) -> Reason {
    match failure.kind {
        FailureKind::InvalidQuery => Reason::InvalidQuery(failure),
        _ => Reason::Merge(failure),
    }
}

/// Checks that the largest possible partials of this process's slots fit the memory, before
/// anything runs.
fn check_partials(request: &Request, slots: usize) -> Result<(), Error> {
    let worst = (slots as u64).saturating_mul(request.leaf_output);
    if worst.saturating_mul(3) / 2 > request.partials_memory {
        return Err(Error::PartialsTooLarge { slots, output: request.leaf_output, memory: request.partials_memory });
    }
    Ok(())
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
    let mut memory = MemoryCharge::of(run.services.memory.clone(), run.request.tenant.caller.clone());
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
    let merge_failure = merge_failure.map(merge_reason);
    if let Some(reason) = gather.refusal(run.start + run.gathered, merge_failure) {
        let coverage = coverage(Some(&reason));
        return Answer::Failed { reason, coverage };
    }
    let complete = gather.coverage(Timings::default()).complete;
    let covered = Covered { planned: gather.planned(), covered: gather.covered(), complete };
    match folds.finish(partials, covered).await {
        Ok(body) if complete => Answer::Complete { body, coverage: coverage(None) },
        Ok(body) => Answer::Partial { body, coverage: coverage(None) },
        Err(failure) => {
            let reason = merge_reason(failure);
            let coverage = coverage(Some(&reason));
            Answer::Failed { reason, coverage }
        }
    }
}
