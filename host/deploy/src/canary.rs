//! The canary: a query of at most two partitions, run on a change before it serves.
//! If only the serving version answers it, the change is refused: one query fails instead of all
//! later ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::{Answer, CancellationToken, Error, Events, Failure, FailureKind, Floor, PartitionKey, Plan, Reason};
use frond_run::{Question, RunError, Wired, ask};
use frond_test::told::details;

use super::error::{Refusal, Stage, chain};
use super::host::Host;
use super::load::Load;
use super::version::Version;

/// Partitions of the canary: two, since a single partial is never merged.
const PARTITIONS: usize = 2;

/// Failures that refuse a component even if the serving version fails as well.
const REFUSED: [FailureKind; 7] = [
    FailureKind::Trap,
    FailureKind::OutOfFuel,
    FailureKind::OutOfMemory,
    FailureKind::OutOfTime,
    FailureKind::OutputTooLarge,
    FailureKind::HostCallDenied,
    FailureKind::Incompatible,
];

/// One canary run of a change.
pub(crate) struct Canary<'a> {
    pub(crate) host: &'a Host,
    /// The change.
    pub(crate) wired: &'a Wired,
    /// The version that the change would replace.
    pub(crate) serving: Option<Arc<Version>>,
    pub(crate) query: Bytes,
    /// True if a case that queries the whole app was answered: an older query may then be invalid
    /// on purpose.
    pub(crate) has_case: bool,
    /// The time limit of one query.
    pub(crate) most: Duration,
    pub(crate) load: &'a Load,
}

/// Reason why a version did not answer completely.
struct Shortfall {
    /// The failure, in one line.
    text: String,
    /// Details for the component's author.
    details: String,
    /// The component is at fault, whatever the serving version does.
    refused: bool,
    /// A transient failure: a retry may succeed.
    passing: bool,
    /// The query had less time than it would have in production.
    cut_short: bool,
    /// The guest reported that the query is invalid.
    invalid_query: bool,
}

impl Canary<'_> {
    /// Queries the change and, if that fails, the serving version.
    /// Returns `passed`, or a note on why there is no answer although the change is not at fault.
    ///
    /// # Errors
    /// A failure that the component is at fault for, or a query that only the serving version
    /// answers.
    pub(crate) fn run(self) -> Result<String, Refusal> {
        let short = match self.ask(self.wired) {
            Err(short) if short.passing && !short.cut_short => self.ask(self.wired),
            result => result,
        };
        let Err(short) = short else { return Ok("passed".to_owned()) };
        if self.load.is_over() {
            return Err(Refusal::told(Stage::Canary, "the load was cancelled".to_owned()));
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
        let own = wired.request(&self.query);
        let is_cut = own.deadline > self.most;
        let deadline = own.deadline.min(self.most);
        let required = own.required.clone();
        let request = frond_root::Request { deadline, floor: Floor::All, required: Vec::new(), ..own };
        let question =
            Question { planned: Some(Box::new(move |plan| first(&plan, &required))), ..Question::new(request) };
        let cancel = CancellationToken::new();
        self.load.cancels(Some(cancel.clone()));
        let answer = self.host.runtime.block_on(ask(&wired.in_process(), question, Events::default(), cancel));
        self.load.cancels(None);
        match answer {
            Ok(Answer::Complete { .. }) => Ok(()),
            Ok(answer) => Err(Shortfall::of(&answer, is_cut)),
            // Every query would be refused with this error.
            Err(RunError::Query(error @ Error::PartialsTooLarge { .. })) => Err(Shortfall::plain(chain(&error), true)),
            Err(error) => Err(Shortfall::plain(chain(&error), false)),
        }
    }
}

impl Shortfall {
    fn plain(text: String, refused: bool) -> Self {
        Self { text, details: String::new(), refused, passing: false, cut_short: false, invalid_query: false }
    }

    /// Derives the shortfall of an answer. `is_cut` says that the query had less time than in
    /// production.
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
        let lines: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Refusal::told(Stage::Canary, lines.join("\n"))
    }
}

/// Reduces the plan to its first partitions.
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
