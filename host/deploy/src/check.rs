//! The checks of a candidate before it serves: validation, compilation, cases, canary.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_run::{Components, Loading, RunError, Wired};
use frond_test::told::told;
use frond_test::{CaseResult, Suite, Tester, Verdict};

use super::canary::Canary;
use super::candidate::Candidate;
use super::error::{Refusal, Stage};
use super::host::Host;
use super::load::Load;
use super::releases::Release;
use super::version::Version;
use super::version_view::Example;

/// The most examples that are shown.
const MAX_EXAMPLES: usize = 20;
/// The longest query of an example, in bytes.
const MAX_EXAMPLE: usize = 4 << 10;
/// The most failed cases that are reported in full.
const MAX_TOLD: usize = 5;

/// Callback that reports the progress of a check.
pub(crate) type Tell<'a> = &'a dyn Fn(Stage, String);

/// Context of a check, without its candidate.
pub(crate) struct Checker<'a> {
    pub(crate) host: &'a Host,
    /// The time limit of all cases together.
    pub(crate) case_time: Duration,
    /// The last query that was answered completely.
    pub(crate) remembered: Option<Bytes>,
    /// The serving version.
    pub(crate) serving: Option<Arc<Version>>,
    pub(crate) load: &'a Load,
    pub(crate) tell: Tell<'a>,
}

/// A candidate that has been validated and compiled.
pub(crate) struct LoadedCandidate {
    wired: Wired,
    warnings: Vec<String>,
    examples: Vec<Example>,
    components: Components,
    suite: Suite,
}

impl LoadedCandidate {
    /// The candidate as a version, under its history entry.
    pub(crate) fn into_version(self, entry: &Release) -> Version {
        Version::new(self.wired, self.warnings, self.examples, entry)
    }
}

/// Results of the checks.
pub(crate) struct CheckReport {
    pub(crate) cases: String,
    pub(crate) canary: String,
}

impl Checker<'_> {
    /// Validates and compiles the candidate. A version that passed the other checks before needs no
    /// more.
    ///
    /// # Errors
    /// If the candidate is invalid or does not compile.
    pub(crate) fn load(&self, candidate: &Candidate) -> Result<LoadedCandidate, Refusal> {
        let stage = std::cell::Cell::new(Stage::Validating);
        (self.tell)(Stage::Validating, "reading frond.toml and the components".to_owned());
        let tell = |loading: Loading<'_>| {
            if let Loading::Compiling { path, size } = loading {
                stage.set(Stage::Compiling);
                let size = frond_app::size::show_size(size);
                (self.tell)(Stage::Compiling, format!("compiling `{}` ({size})", path.display()));
            }
        };
        let refuse = |error: RunError| Refusal::new(stage.get(), &error);
        let package = &candidate.package;
        let app = package.clone().app().map_err(|error| refuse(error.into()))?;
        let fetch = |component: &frond_app::Component| candidate.fetch(component);
        let components = self.host.machine.load_from(package, &fetch, &tell).map_err(refuse)?;
        let wired = components.wire_on(&app, &self.host.threads).map_err(refuse)?;
        let suite = Suite::read(&app.dir, None).map_err(|cause| {
            let folder = app.dir.join("cases");
            Refusal::told(
                Stage::Testing,
                format!("cannot read the cases in `{}`\n  because: {cause}", folder.display()),
            )
        })?;
        let warnings = components.warnings.clone();
        Ok(LoadedCandidate { examples: examples(&suite), wired, warnings, components, suite })
    }

    /// Runs its cases, then the canary.
    ///
    /// # Errors
    /// The first check that fails.
    pub(crate) fn pass(&self, candidate: &Candidate, loaded: &LoadedCandidate) -> Result<CheckReport, Refusal> {
        let tried = self.cases(candidate, loaded)?;
        let cases = if tried.is_empty() { "none".to_owned() } else { format!("{} passed", tried.len()) };
        let case = first_whole(loaded, &tried);
        let has_case = case.is_some() && self.remembered.is_some();
        let Some(query) = self.remembered.clone().or(case) else {
            let canary = "skipped: no query has been answered yet, and no case asks the whole app".to_owned();
            return Ok(CheckReport { cases, canary });
        };
        (self.tell)(Stage::Canary, "running the last query".to_owned());
        let host = self.host;
        let wired = &loaded.wired;
        let serving = self.serving.clone();
        let canary = Canary { host, wired, serving, query, has_case, most: self.case_time, load: self.load };
        Ok(CheckReport { cases, canary: canary.run()? })
    }

    fn cases(&self, candidate: &Candidate, loaded: &LoadedCandidate) -> Result<Vec<CaseResult>, Refusal> {
        let refuse = |text: String| Refusal::told(Stage::Testing, text);
        let total = loaded.suite.cases.len();
        if total == 0 {
            return Ok(Vec::new());
        }
        let slots = self.host.machine.slots();
        let tester = Tester::over(candidate.package.clone(), loaded.components.clone(), slots)
            .map_err(|error| Refusal::new(Stage::Testing, &error))?;
        let until = Instant::now() + self.case_time;
        let mut all = Vec::new();
        for (number, (name, case)) in loaded.suite.cases.iter().enumerate() {
            if self.load.is_over() {
                return Err(refuse("the load was cancelled".to_owned()));
            }
            (self.tell)(Stage::Testing, format!("case {} of {total}: {name}", number + 1));
            let left = until.saturating_duration_since(Instant::now());
            let result = match case {
                _ if left.is_zero() => None,
                Ok(case) => tester.try_case_within(case, left),
                Err(fixture) => Some(frond_test::trial::broken(name, "?", fixture.clone())),
            };
            let Some(result) = result else { return Err(refuse(too_long(self.case_time, number, total, name))) };
            all.push(result);
        }
        match failures(&all) {
            Some(text) => Err(refuse(text)),
            None => Ok(all),
        }
    }
}

/// All failures, formatted like `frond test`. Broken cases are named as such.
fn failures(all: &[CaseResult]) -> Option<String> {
    let count = |is: fn(&Verdict) -> bool| all.iter().filter(|one| is(&one.verdict)).count();
    let failed = count(|one| matches!(one, Verdict::Failed { .. }));
    let broken = count(|one| matches!(one, Verdict::Broken { .. }));
    if failed + broken == 0 {
        return None;
    }
    let bad = |one: &&CaseResult| matches!(one.verdict, Verdict::Failed { .. } | Verdict::Broken { .. });
    let mut texts: Vec<String> = all.iter().filter(bad).take(MAX_TOLD).map(told).collect();
    if failed + broken > MAX_TOLD {
        texts.push(format!("and {} more", failed + broken - MAX_TOLD));
    }
    let mut totals = format!("{} passed, {failed} failed", all.len() - failed - broken);
    if broken > 0 {
        totals.push_str(&format!(", {broken} broken"));
    }
    Some(format!("{totals}\n{}", texts.join("\n")))
}

fn too_long(time: Duration, done: usize, total: usize, name: &str) -> String {
    format!(
        "the cases take longer than the {} s that all of them have: {done} of {total} had ended when `{name}` \
         ran out of time\n(make the cases smaller, or give them more time in the server's settings)",
        time.as_secs_f64()
    )
}

/// The query of the first case of the whole app with a complete answer.
/// A query that fails on purpose would say nothing about other queries.
fn first_whole(loaded: &LoadedCandidate, tried: &[CaseResult]) -> Option<Bytes> {
    let was_whole =
        |one: &CaseResult| one.observed.as_ref().is_some_and(|observed| observed.outcome == Some("complete"));
    let named = tried.iter().zip(&loaded.suite.cases).filter(|(tried, _)| was_whole(tried));
    named.filter_map(|(_, (_, case))| case.as_ref().ok()).find_map(|case| match &case.call {
        frond_test::case::Call::Query(promises) if promises.input.is_none() && case.inject.is_empty() => {
            Some(case.query.clone())
        }
        _ => None,
    })
}

fn examples(suite: &Suite) -> Vec<Example> {
    let text = |(name, case): &(String, Result<frond_test::Case, frond_test::Fixture>)| {
        let case = case.as_ref().ok()?;
        let whole = matches!(case.call, frond_test::case::Call::Query(_)) && case.query.len() <= MAX_EXAMPLE;
        let query = std::str::from_utf8(&case.query).ok().filter(|_| whole)?;
        Some(Example { name: name.clone(), query: query.to_owned() })
    };
    suite.cases.iter().filter_map(text).take(MAX_EXAMPLES).collect()
}
