//! Trial of a case: one call alone, or one query of the whole app.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use frond_root::call::Limits;
use frond_root::{
    Answer, CancellationToken, Event, EventKind, Events, Failure, FailureKind, Listener, PartitionKey, Usage,
};
use frond_run::{Question, RunError, ask};
use frond_sandbox::{Guests, Leaf, Trial};
use serde::Serialize;

use crate::case::{Call, Case, Promises};
use crate::expect::Difference;
use crate::fixture::Fixture;
use crate::inject;
use crate::limits::{Origin, lower};
use crate::observed::{Headroom, NoResult, Observed};
use crate::tester::Tester;

/// Limit on the stored lines of the logs of a query's leaves.
const MAX_LOG: usize = 40;

/// Verdict on a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// The outcome is as expected.
    Passed,
    /// The outcome differs from the expectation.
    Failed {
        /// The differences.
        wrong: Vec<Difference>,
    },
    /// The case itself is wrong, which says nothing about the plugin.
    Broken {
        /// The error in the case.
        why: String,
    },
    /// The expectation was rewritten from the observed outcome.
    Blessed,
    /// Nothing was compared: the outcome under a fault is only shown.
    Shown {
        /// The outcome in a phrase.
        what: String,
    },
}

impl Verdict {
    /// Returns true for a verdict that fails the whole run.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Broken { .. })
    }
}

/// Result of a case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// The name of the call.
    pub call: &'static str,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Duration of the call, in milliseconds.
    pub ms: f64,
    /// Use of the limits. For a query, the highest use by any leaf.
    pub headroom: Vec<Headroom>,
    /// The failure of the call, expected or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The last lines of the guest's log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// The observed outcome, for `bless`.
    #[serde(skip)]
    pub observed: Option<Box<Observed>>,
}

impl Tester {
    /// Runs a case and compares the outcome with the expectation.
    #[must_use]
    pub fn try_case(&self, case: &Case) -> CaseResult {
        match self.come(case) {
            Ok(observed) => {
                let wrong = case.expect.hold(&observed);
                let verdict = match (case.expect.is_empty(), wrong.is_empty()) {
                    (true, _) => Verdict::Broken { why: nothing_expected(&observed) },
                    (false, true) => Verdict::Passed,
                    (false, false) => Verdict::Failed { wrong },
                };
                tried(case, verdict, observed)
            }
            Err(fixture) => broken(&case.name, case.call.name(), fixture),
        }
    }

    /// Runs a case within `left`. Returns `None` if a case with more time than that did not pass,
    /// because it may have failed for lack of time.
    #[must_use]
    pub fn try_case_within(&self, case: &Case, left: Duration) -> Option<CaseResult> {
        let mut sooner = case.clone();
        let own = match &mut sooner.call {
            Call::Query(promises) => {
                let own = promises.deadline.unwrap_or(self.package.deadline);
                promises.deadline = Some(own.min(left));
                own
            }
            Call::Leaf { .. } => self.leaf_time(&case.lower),
            Call::Split { .. } => self.split_time(&case.lower),
            Call::Merge { .. } | Call::Finish { .. } => self.merge_time(&case.lower),
        };
        if own > left && !matches!(case.call, Call::Query(_)) {
            sooner.lower.time = Some(frond_app::Time(left));
        }
        let begun = Instant::now();
        let tried = self.try_case(&sooner);
        // A failure in less than half of `left` is not for lack of time.
        let is_itself = own <= left || begun.elapsed() < left / 2;
        (is_itself || tried.verdict == Verdict::Passed).then_some(tried)
    }

    /// Runs a case's call without comparing the outcome: for injected faults.
    #[must_use]
    pub fn show_case(&self, case: &Case) -> CaseResult {
        match self.come(case) {
            Ok(observed) => tried(case, Verdict::Shown { what: observed.phrase() }, observed),
            Err(fixture) => broken(&case.name, case.call.name(), fixture),
        }
    }

    /// Makes the case's call and returns the outcome.
    ///
    /// # Errors
    /// When this package cannot run the case.
    pub fn come(&self, case: &Case) -> Result<Observed, Fixture> {
        let _host_calls_wait_on = self.runtime.enter();
        let lacks = |role: &str| Fixture::new(format!("calls the {role}, which this package does not have"));
        self.check_time(&case.call, &case.lower)?;
        match &case.call {
            Call::Leaf { key, index, data } => {
                let own = self.components.leaf.as_ref().ok_or_else(|| lacks("leaf"))?;
                let leaf = self.lowered(own, case)?;
                let partition = self.package.partition(key, data.clone());
                let partition = inject::partition(&case.inject, partition, false);
                let trial = self.call_leaf(&leaf, &case.query, (*index, partition), &case.lower)?;
                let origin = self.origin(&case.call, own.limits, &case.lower, &case.inject);
                Ok(Observed::of(origin.name(trial), leaf.limits, self.leaf_time(&case.lower)))
            }
            Call::Merge { partials } => {
                let own = self.components.merge.as_ref().ok_or_else(|| lacks("merge"))?;
                let time = self.merge_time(&case.lower);
                let call = |guests: &Guests| self.trials().merge(guests, &case.query, partials, time);
                self.of_guests(case, own, time, call)
            }
            Call::Finish { merged, covered } => {
                let own = self.components.merge.as_ref().ok_or_else(|| lacks("merge"))?;
                let time = self.merge_time(&case.lower);
                let call =
                    |guests: &Guests| self.trials().finish(guests, &case.query, merged.as_deref(), *covered, time);
                self.of_guests(case, own, time, call)
            }
            Call::Split { wanted } => {
                let own = self.components.split.as_ref().ok_or_else(|| lacks("split"))?;
                let time = self.split_time(&case.lower);
                let mut keys = None;
                let observed = self.of_guests(case, own, time, |guests| {
                    let trial = self.trials().split(guests, &case.query, *wanted, time);
                    keys = trial.result.as_ref().ok().map(|pieces| pieces.iter().map(|one| one.0.clone()).collect());
                    let result = trial.result.map(|pieces| pieces.into_iter().flat_map(|(_, data)| data).collect());
                    let Trial { usage, log, took, emitted, earlier, part, .. } = trial;
                    Trial { result, usage, log, took, emitted, earlier, part }
                })?;
                Ok(Observed { keys, ..observed })
            }
            Call::Query(promises) => self.query(case, promises),
        }
    }

    fn lowered(&self, leaf: &Leaf, case: &Case) -> Result<Leaf, Fixture> {
        self.faulty(leaf, lower(leaf.limits, &case.lower, &case.call)?, &case.inject)
    }

    /// Calls guests under the case's limits.
    fn of_guests(
        &self,
        case: &Case,
        own: &Guests,
        time: Duration,
        call: impl FnOnce(&Guests) -> Trial,
    ) -> Result<Observed, Fixture> {
        let guests = own.clone().under(lower(*own.limits(), &case.lower, &case.call)?);
        let origin = self.origin(&case.call, *own.limits(), &case.lower, &case.inject);
        Ok(Observed::of(origin.name(call(&guests)), *guests.limits(), time))
    }

    fn query(&self, case: &Case, promises: &Promises) -> Result<Observed, Fixture> {
        let app = self.package.clone().app().map_err(|wrong| {
            let hint = "give it a `partition`, `partials`, `merged` or `wanted` to call one component";
            Fixture::new(format!("asks the whole app, but {wrong}\n({hint})"))
        })?;
        let Some(leaf) = &self.components.leaf else {
            return Err(Fixture::new("calls the leaf, which this package does not have"));
        };
        let origin = self.origin(&case.call, leaf.limits, &case.lower, &case.inject);
        let leaf = self.lowered(leaf, case)?;
        let slots = promises.slots.unwrap_or(self.slots);
        let limits = leaf.limits;
        let wrong = |error: RunError| Fixture::new(chain(&error));
        let wired = self.components.wire_with(&app, leaf, slots, self.runtime.handle()).map_err(wrong)?;
        let own = wired.request(&case.query);
        let mut required = own.required.clone();
        required.extend(promises.require.iter().map(|key| PartitionKey::from(key.as_str())));
        let asked = frond_root::Request {
            deadline: promises.deadline.unwrap_or(own.deadline),
            floor: promises.floor.unwrap_or(own.floor),
            required,
            ..own
        };
        let deadline = asked.deadline;
        let faults = case.inject.clone();
        let question = Question {
            input: promises.input.iter().cloned().collect(),
            piece_size: promises.piece_size,
            planned: Some(Box::new(move |plan| inject::plan(&faults, &plan))),
            ..Question::new(asked)
        };
        let leaves = Arc::new(Leaves::default());
        let events = Events::new(vec![leaves.clone()]);
        let answer = self.runtime.block_on(ask(&wired, question, events, CancellationToken::new())).map_err(wrong)?;
        let missing = first_missing(&answer, &origin);
        Ok(Observed { missing, ..answered(&answer, leaves.take(), limits, deadline) })
    }
}

/// Returns the failure of the first missing partition in words. Calls that were cancelled are
/// consequences, and explain nothing.
fn first_missing(answer: &Answer, origin: &Origin<'_>) -> Option<String> {
    answer.coverage().missing.iter().find_map(|one| {
        let failure = one.failure.clone().filter(|failure| failure.kind != FailureKind::Cancelled)?;
        Some(format!("the partition `{}` failed: {}", one.key, origin.failure(failure)))
    })
}

fn answered(answer: &Answer, (usage, written): (Usage, Vec<String>), limits: Limits, time: Duration) -> Observed {
    let coverage = answer.coverage();
    let first = coverage.missing.iter().find_map(|one| one.failure.as_ref());
    Observed {
        result: match answer {
            Answer::Failed { reason, .. } => Err(NoResult::Query(reason.clone())),
            Answer::Complete { body, .. } | Answer::Partial { body, .. } => Ok(body.clone()),
        },
        usage,
        log: first.map_or(written, |failure| failure.log.clone()),
        took: Duration::from_secs_f64(coverage.timings.total / 1e3),
        emitted: None,
        outcome: Some(answer.outcome()),
        partitions: serde_json::to_value(coverage.partitions).ok(),
        keys: None,
        failures: coverage.failures.clone(),
        missing: None,
        limits,
        time,
    }
}

fn tried(case: &Case, verdict: Verdict, observed: Observed) -> CaseResult {
    CaseResult {
        name: case.name.clone(),
        call: case.call.name(),
        verdict,
        ms: frond_root::answer::millis(observed.took),
        headroom: observed.headroom(),
        failure: observed.result.as_ref().err().and_then(NoResult::failure).cloned(),
        log: observed.log.clone(),
        observed: Some(Box::new(observed)),
    }
}

/// Returns the result of a case that could not be run.
#[must_use]
pub fn broken(name: &str, call: &'static str, fixture: Fixture) -> CaseResult {
    CaseResult {
        name: name.to_owned(),
        call,
        verdict: Verdict::Broken { why: fixture.what },
        ms: 0.0,
        headroom: Vec::new(),
        failure: None,
        log: Vec::new(),
        observed: None,
    }
}

fn nothing_expected(observed: &Observed) -> String {
    let shown = observed.snapshot();
    let mut lines: Vec<&str> = shown.lines().take(6).collect();
    if shown.lines().count() > lines.len() {
        lines.push("…");
    }
    lines.extend(observed.cause());
    format!(
        "expects nothing\n(add text, json, a file or a failure under [expect]; the actual result is\n{})",
        lines.join("\n")
    )
}

/// Formats an error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}\nbecause: {cause}");
        next = cause.source();
    }
    text
}

/// The highest use by any leaf of a query, and the first lines of the leaves' logs.
#[derive(Default)]
struct Leaves(Mutex<(Usage, Vec<String>)>);

impl Leaves {
    fn take(&self) -> (Usage, Vec<String>) {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener for Leaves {
    fn event(&self, event: &Event) {
        if let EventKind::AttemptEnded { usage, log, .. } = &event.kind {
            let mut leaves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (most, lines) = &mut *leaves;
            *most = Usage {
                fuel: most.fuel.max(usage.fuel),
                memory: most.memory.max(usage.memory),
                output: most.output.max(usage.output),
                log: most.log.max(usage.log),
            };
            lines.extend(log.iter().take(MAX_LOG.saturating_sub(lines.len())).cloned());
        }
    }
}
