//! A query of one partition, asked before all others are: a component that fails where it should not costs one failure.

use std::time::Duration;

use bytes::Bytes;
use frond_root::{Answer, Cancel, Error, Events, Failure, FailureKind, Floor, Plan, Reason};
use frond_run::{Question, RunError, Wired, ask, request};
use frond_test::told::details;

use super::Host;
use super::error::{Refusal, Stage, chain};
use super::inbox::Inbox;

/// What no component that is to serve may do.
const REFUSED: [FailureKind; 7] = [
    FailureKind::Trap,
    FailureKind::OutOfFuel,
    FailureKind::OutOfMemory,
    FailureKind::OutOfTime,
    FailureKind::OutputTooLarge,
    FailureKind::HostCallDenied,
    FailureKind::Incompatible,
];

/// Asks one partition of `query`, in no more than `most`. Gives `passed`, or what else came of it.
///
/// # Errors
/// A failure that the component is to blame for.
pub(crate) fn ask_one(
    host: &Host,
    wired: &Wired,
    query: Bytes,
    most: Duration,
    inbox: &Inbox,
) -> Result<String, Refusal> {
    let own = request(&wired.app, &query, wired.slots);
    let (is_cut, deadline) = (own.deadline > most, own.deadline.min(most));
    let request = frond_root::Request { deadline, floor: Floor::All, required: Vec::new(), ..own };
    let question = Question { planned: Some(Box::new(|plan| first(&plan))), ..Question::new(request) };
    let cancel = Cancel::default();
    inbox.cancel_when_closing(Some(cancel.clone()));
    let answer = host.runtime.block_on(ask(wired, question, Events::default(), cancel));
    inbox.cancel_when_closing(None);
    let answer = match answer {
        Ok(answer) => answer,
        // Every query would be refused so.
        Err(RunError::Query(error @ Error::PartialsTooLarge { .. })) => {
            return Err(Refusal::new(Stage::Canary, &error));
        }
        Err(error) => return Ok(format!("skipped: {}", chain(&error))),
    };
    let Some((at, failure)) = failure(&answer) else {
        return Ok(match answer {
            Answer::Complete { .. } => "passed".to_owned(),
            Answer::Partial { .. } => "noted: the answer is partial".to_owned(),
            Answer::Failed { reason, .. } => format!("noted: {reason}"),
        });
    };
    // What had less time than it will have says nothing by not being done.
    let is_own = !(is_cut && failure.kind == FailureKind::OutOfTime);
    if REFUSED.contains(&failure.kind) && is_own {
        let text = format!("{at} failed: {failure}\n{}", details(failure));
        return Err(Refusal::told(Stage::Canary, text.trim_end().to_owned()));
    }
    Ok(format!("noted: {at} failed: {failure}"))
}

/// The plan's first partition alone.
fn first(plan: &Plan) -> Result<Plan, Error> {
    let one = Plan::new(plan.partitions().iter().take(1).cloned().collect())?;
    Ok(match plan.query() {
        Some(query) => one.asking(query.clone()),
        None => one,
    })
}

/// What failed, and how.
fn failure(answer: &Answer) -> Option<(String, &Failure)> {
    if let Answer::Failed { reason, .. } = answer {
        let of = match reason {
            Reason::InvalidQuery(failure) => Some(("the partition", failure)),
            Reason::Split(failure) => Some(("the split", failure)),
            Reason::Merge(failure) => Some(("the merge", failure)),
            Reason::BelowFloor | Reason::Deadline | Reason::Cancelled => None,
        };
        if let Some((what, failure)) = of {
            return Some((what.to_owned(), failure));
        }
    }
    let failed = |one: &'_ frond_root::answer::Missing| one.failure.is_some();
    let missing = answer.coverage().missing.iter().find(|one| failed(one))?;
    Some((format!("the partition `{}`", missing.key), missing.failure.as_ref()?))
}
