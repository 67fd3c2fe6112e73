//! A query of two partitions at most, asked of a change before it serves: an answer that the serving version gives and the
//! change does not costs one failure instead of all that follow.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::{Answer, Cancel, Error, Events, Failure, FailureKind, Floor, PartitionKey, Plan, Reason};
use frond_run::{Question, RunError, Wired, ask, request};
use frond_test::told::details;

use super::Host;
use super::error::{Refusal, Stage, chain};
use super::load::Load;
use super::version::Version;

/// Partitions that are asked: two, as one partial alone is never merged.
const PARTITIONS: usize = 2;

/// Failures that refuse a component whatever the serving version does.
const REFUSED: [FailureKind; 7] = [
    FailureKind::Trap,
    FailureKind::OutOfFuel,
    FailureKind::OutOfMemory,
    FailureKind::OutOfTime,
    FailureKind::OutputTooLarge,
    FailureKind::HostCallDenied,
    FailureKind::Incompatible,
];

/// One trial of a change.
pub(crate) struct Canary<'a> {
    pub(crate) host: &'a Host,
    /// The change.
    pub(crate) wired: &'a Wired,
    /// The version that it is to replace.
    pub(crate) serving: Option<Arc<Version>>,
    pub(crate) query: Bytes,
    /// A case asks the whole app, and was answered: a query of the past may then have become wrong on purpose.
    pub(crate) has_case: bool,
    /// The most time of one question.
    pub(crate) most: Duration,
    pub(crate) load: &'a Load,
}

/// Why a version gave no whole answer.
struct Shortfall {
    /// What failed, in a line.
    text: String,
    /// What its author needs to know.
    details: String,
    /// The component is to blame, whatever else the matter is.
    refused: bool,
    /// Another try may end otherwise.
    passing: bool,
    /// It had less time than a query will have.
    cut_short: bool,
    /// The guest says that the query is wrong.
    invalid_query: bool,
}

impl Canary<'_> {
    /// Asks the change, and where that gives no answer the serving version. Returns `passed`, or a note on why there is no
    /// answer although the change is not to blame.
    ///
    /// # Errors
    /// A failure that the component is to blame for, or an answer that only the serving version gives.
    pub(crate) fn run(self) -> Result<String, Refusal> {
        let short = match self.ask(self.wired) {
            Err(short) if short.passing && !short.cut_short => self.ask(self.wired),
            asked => asked,
        };
        let Err(short) = short else { return Ok("passed".to_owned()) };
        if self.load.is_over() {
            return Err(Refusal::told(Stage::Canary, "it was given up".to_owned()));
        }
        let noted = Ok(format!("noted: {}", short.text));
        if short.cut_short || (short.invalid_query && self.has_case) {
            return noted;
        }
        if short.refused {
            return Err(short.refusal(""));
        }
        match &self.serving {
            Some(serving) if self.ask(&serving.wired).is_ok() => {
                let hint = format!(
                    "version {}, which serves, answers the same query\n(components that change together are one change \
                     when their files change within some seconds)",
                    serving.number
                );
                Err(short.refusal(&hint))
            }
            _ => noted,
        }
    }

    fn ask(&self, wired: &Wired) -> Result<(), Shortfall> {
        let own = request(&wired.app, &self.query, wired.slots);
        let is_cut = own.deadline > self.most;
        let deadline = own.deadline.min(self.most);
        let required = own.required.clone();
        let request = frond_root::Request { deadline, floor: Floor::All, required: Vec::new(), ..own };
        let question =
            Question { planned: Some(Box::new(move |plan| first(&plan, &required))), ..Question::new(request) };
        let cancel = Cancel::default();
        self.load.cancels(Some(cancel.clone()));
        let answer = self.host.runtime.block_on(ask(wired, question, Events::default(), cancel));
        self.load.cancels(None);
        match answer {
            Ok(Answer::Complete { .. }) => Ok(()),
            Ok(answer) => Err(Shortfall::of(&answer, is_cut)),
            // Every query would be refused so.
            Err(RunError::Query(error @ Error::PartialsTooLarge { .. })) => Err(Shortfall::plain(chain(&error), true)),
            Err(error) => Err(Shortfall::plain(chain(&error), false)),
        }
    }
}

impl Shortfall {
    fn plain(text: String, refused: bool) -> Self {
        Self { text, details: String::new(), refused, passing: false, cut_short: false, invalid_query: false }
    }

    /// `is_cut` says that the query had less time than it will have.
    fn of(answer: &Answer, is_cut: bool) -> Self {
        let Some((at, failure)) = failure(answer) else {
            let (text, late) = match answer {
                Answer::Failed { reason, .. } => (reason.to_string(), matches!(reason, Reason::Deadline)),
                _ => ("the answer is partial".to_owned(), false),
            };
            return Self { passing: late, cut_short: late && is_cut, ..Self::plain(text, false) };
        };
        let late = failure.kind == FailureKind::OutOfTime;
        Self {
            text: format!("{at} failed: {failure}"),
            details: details(failure),
            refused: REFUSED.contains(&failure.kind),
            passing: late || failure.kind.is_passing(),
            cut_short: late && is_cut,
            invalid_query: failure.kind == FailureKind::InvalidQuery,
        }
    }

    fn refusal(&self, hint: &str) -> Refusal {
        let parts = [self.text.as_str(), self.details.trim_end(), hint];
        let told: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Refusal::told(Stage::Canary, told.join("\n"))
    }
}

/// The plan's first partitions alone.
fn first(plan: &Plan, required: &[PartitionKey]) -> Result<Plan, Error> {
    plan.required(required)?;
    let few = Plan::new(plan.partitions().iter().take(PARTITIONS).cloned().collect())?;
    Ok(match plan.query() {
        Some(query) => few.asking(query.clone()),
        None => few,
    })
}

/// The first failure of an answer, and where it happened.
fn failure(answer: &Answer) -> Option<(String, &Failure)> {
    if let Answer::Failed { reason, .. } = answer {
        let of = match reason {
            Reason::InvalidQuery(failure) => Some(("the partition", failure)),
            Reason::Split(failure) => Some(("the split", failure)),
            Reason::Merge(failure) => Some(("the merge", failure)),
            Reason::BelowFloor | Reason::Deadline | Reason::Cancelled => None,
        };
        if let Some((at, failure)) = of {
            return Some((at.to_owned(), failure));
        }
    }
    let missing = answer.coverage().missing.iter().find(|one| one.failure.is_some())?;
    Some((format!("the partition `{}`", missing.key), missing.failure.as_ref()?))
}
