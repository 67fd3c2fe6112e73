//! Summary at a query's end: coverage, missing partitions and their reasons, and times.

use std::path::Path;

use frond_root::answer::{MAX_NAMED_WORKERS, Missing};
use frond_root::{Answer, Coverage, FailureKind, Reason, Status};

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text::{self, MAX_KEY, MAX_TEXT, count, millis, percent, plural};
use super::totals::Sums;
use super::trouble::Excerpt;
use super::written::WrittenLines;

/// Limit on the missing partitions that are listed.
const MAX_LISTED: usize = 5;
/// Limit on the missing ranges that are listed of a partition.
const MAX_RANGES: usize = 3;
/// Limit on the stragglers that are listed.
const MAX_STRAGGLERS: usize = 5;
/// Limit on the leaves whose log lines are shown.
const MAX_WRITTEN: usize = 5;
/// Width of the first column: the longest label is `required`.
const LABEL: usize = 9;

/// The outcome of a query: an answer without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'a> {
    /// `complete`, `partial` or `failed`.
    pub outcome: &'a str,
    /// The reason, if the query failed.
    pub reason: Option<&'a Reason>,
    /// The coverage report.
    pub coverage: &'a Coverage,
}

impl<'a> From<&'a Answer> for Verdict<'a> {
    fn from(answer: &'a Answer) -> Self {
        Self {
            outcome: answer.outcome(),
            reason: match answer {
                Answer::Failed { reason, .. } => Some(reason),
                _ => None,
            },
            coverage: answer.coverage(),
        }
    }
}

/// Optional parts of a summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// For `--stats`: use of resources and merges.
    pub stats: Option<Sums>,
    /// For `--stats`: log lines of leaves.
    pub written: Option<&'a WrittenLines>,
    /// Path of the recording, if there is one; the summary refers to it.
    pub recorded: Option<&'a Path>,
}

/// Returns the summary as text for stderr.
#[must_use]
pub fn summary(verdict: Verdict<'_>, extras: Extras<'_>, style: TermStyle) -> String {
    let mut page = Page::new(style);
    verdict_rows(&mut page, verdict, true);
    if let Some(sums) = extras.stats {
        stats(&mut page, verdict.coverage, sums);
    }
    if let Some(written) = extras.written {
        written.rows(&mut page, &text::pad("log", LABEL), MAX_WRITTEN);
    }
    if !verdict.coverage.complete && !is_refused(verdict) {
        hint(&mut page, extras.recorded);
    }
    page.into_text()
}

/// Adds the rows that the explanation of a recorded query shows too.
pub(super) fn verdict_rows(page: &mut Page, verdict: Verdict<'_>, with_details: bool) {
    let coverage = verdict.coverage;
    headline(page, verdict);
    // All partitions of a refused query are missing for the reason already shown.
    if !is_refused(verdict) {
        account_rows(page, coverage);
    }
    if with_details {
        first_details(page, verdict);
    }
    worker_row(page, coverage);
    note_rows(page, coverage);
    times(page, coverage);
}

/// Adds the account of the workers, if there were any.
fn worker_row(page: &mut Page, coverage: &Coverage) {
    let Some(workers) = coverage.workers.as_deref() else { return };
    let mut parts = vec![match workers.lost {
        0 => format!("{} joined", count(workers.joined)),
        lost => format!("{} joined, {} lost", count(workers.joined), count(lost)),
    }];
    let mut shares: Vec<_> = workers
        .named
        .iter()
        .take(MAX_NAMED_WORKERS)
        .map(|one| format!("{} {}", page.foreign(&one.name, MAX_KEY), count(one.attempts)))
        .collect();
    shares.extend((workers.omitted > 0).then(|| format!("and {} more", count(workers.omitted))));
    let attempts = plural(workers.attempts, "attempt", "attempts");
    parts.push(if shares.is_empty() { attempts } else { format!("{attempts}: {}", shares.join(", ")) });
    if workers.attempts_lost > 0 {
        parts.push(format!("{} lost with them", plural(workers.attempts_lost, "attempt", "attempts")));
    }
    if workers.units_redone > 0 {
        parts.push(format!("{} run again", plural(workers.units_redone, "unit", "units")));
    }
    row(page, "workers", Tone::Plain, &parts.join(" · "));
}

/// Adds the notes on inputs, a row each. A note does not make anything missing.
fn note_rows(page: &mut Page, coverage: &Coverage) {
    let mut label = "note";
    for note in &coverage.notes {
        row(page, label, Tone::Warn, &text::sanitise(note, MAX_TEXT));
        label = "";
    }
}

/// Returns only the notes, for a complete answer without a summary.
#[must_use]
pub fn notes(coverage: &Coverage, style: TermStyle) -> String {
    let mut page = Page::new(style);
    note_rows(&mut page, coverage);
    page.into_text()
}

fn is_refused(verdict: Verdict<'_>) -> bool {
    matches!(verdict.reason, Some(Reason::InvalidQuery(_)))
}

fn account_rows(page: &mut Page, coverage: &Coverage) {
    required_rows(page, coverage);
    missing_rows(page, coverage);
    // If all missing partitions are listed and none was retried, the list has all failures.
    let listed = coverage.missing.len() <= MAX_LISTED && coverage.missing_omitted == 0;
    let more = !listed || coverage.attempts.retries > 0;
    if more && !coverage.failures.is_empty() {
        let slugs = text::slugs(&coverage.failures);
        row(page, "failures", Tone::Plain, &format!("{slugs}   (attempts, including retried ones)"));
    }
}

fn row(page: &mut Page, label: &str, tone: Tone, text: &str) {
    page.wrapped(LABEL, Line::new().tone(tone, text::pad(label, LABEL)).put(text));
}

fn headline(page: &mut Page, verdict: Verdict<'_>) {
    let coverage = verdict.coverage;
    let tone = match verdict.outcome {
        "complete" => Tone::Good,
        "partial" => Tone::Warn,
        _ => Tone::Bad,
    };
    let mut label = verdict.outcome;
    if let Some(reason) = verdict.reason {
        row(page, label, tone, &text::sanitise(&reason.to_string(), MAX_TEXT));
        label = "";
    }
    let words = format!(
        "{}, in {} of {}   ({})",
        covered(coverage),
        millis(coverage.timings.total),
        millis(coverage.timings.deadline),
        text::floor(coverage.floor),
    );
    row(page, label, tone, &words);
}

fn covered(coverage: &Coverage) -> String {
    let tally = coverage.partitions;
    if tally.planned == 0 {
        return if coverage.complete || coverage.fraction > 0.0 {
            "the plan has no partitions".to_owned()
        } else {
            "nothing was planned".to_owned()
        };
    }
    let there = tally.succeeded.saturating_add(tally.skipped);
    let partitions = plural(tally.planned, "partition", "partitions");
    let mut parts = vec![match tally.skipped {
        0 => format!("{} of {partitions}", count(there)),
        skipped => format!("{} of {partitions} ({} with nothing to do)", count(there), count(skipped)),
    }];
    if tally.degraded > 0 {
        parts.push(format!("{} more in part", count(tally.degraded)));
    }
    if there < tally.planned {
        parts.push(format!("{} by weight", percent(coverage.fraction)));
    }
    parts.join(", ")
}

fn required_rows(page: &mut Page, coverage: &Coverage) {
    let lost = &coverage.required_missing;
    if lost.is_empty() {
        return;
    }
    let mut keys: Vec<_> = lost.iter().take(MAX_LISTED).map(|key| page.foreign(key.as_str(), MAX_KEY)).collect();
    if lost.len() > keys.len() {
        keys.push(format!("and {} more", count((lost.len() - keys.len()) as u64)));
    }
    row(page, "required", Tone::Bad, &format!("but missing: {}", keys.join(", ")));
}

fn missing_rows(page: &mut Page, coverage: &Coverage) {
    let listed: Vec<_> = coverage.missing.iter().take(MAX_LISTED).collect();
    let keys: Vec<_> =
        listed.iter().map(|one| text::fit(&page.foreign(one.key.as_str(), MAX_KEY), page.width() / 3)).collect();
    let wide = keys.iter().map(|key| text::columns(key)).max().unwrap_or(0);
    let states: Vec<_> = listed.iter().map(|one| state(one)).collect();
    let state_wide = states.iter().map(|state| text::columns(state)).max().unwrap_or(0);
    let mut label = "missing";
    for ((one, key), state) in listed.iter().zip(&keys).zip(&states) {
        let line = Line::new()
            .tone(Tone::Warn, text::pad(label, LABEL))
            .put(format!("{}   {}   ", text::pad(key, wide), text::pad(state, state_wide)))
            .put(why(one));
        page.wrapped(LABEL + 2, line);
        label = "";
    }
    let more = (coverage.missing.len() - listed.len()) as u64;
    let more = more.saturating_add(coverage.missing_omitted);
    if more > 0 {
        let rest = if coverage.missing_omitted == 0 {
            "(see --format json)".to_owned()
        } else {
            format!("(--format json names the first {})", count(coverage.missing.len() as u64))
        };
        row(page, label, Tone::Warn, &format!("and {} more {rest}", count(more)));
    }
}

fn state(one: &Missing) -> String {
    match one.status {
        Status::Degraded => format!("degraded to {}", percent(one.share)),
        status => text::status(status).to_owned(),
    }
}

fn why(one: &Missing) -> String {
    let what = match (&one.failure, one.slug) {
        (Some(failure), Some(slug)) if failure.kind == slug => {
            format!("{slug}: {}", text::sanitise(&failure.message, MAX_TEXT))
        }
        (_, Some(slug)) if one.status == Status::TimedOut => format!("{slug}: still running when it was cut off"),
        (_, Some(slug)) => slug.to_string(),
        (_, None) if one.status == Status::Degraded => "returned before its end".to_owned(),
        (_, None) => String::new(),
    };
    let what = format!("{what}{}", ranges(one));
    match one.attempts {
        0 | 1 => what,
        attempts => format!("{what} (after {attempts} attempts)"),
    }
}

/// Lists the missing units of a partition that is taken in parts.
fn ranges(one: &Missing) -> String {
    let shown: Vec<_> = one.ranges.iter().take(MAX_RANGES).map(|(begin, end)| format!("{begin}..{end}")).collect();
    match one.ranges.len() - shown.len() {
        _ if shown.is_empty() => String::new(),
        0 => format!(", without {}", shown.join(", ")),
        more => format!(", without {} and {}", shown.join(", "), plural(more as u64, "more range", "more ranges")),
    }
}

/// Adds the backtrace and log of the failure that ended the query, or of the first missing
/// partition that has any.
fn first_details(page: &mut Page, verdict: Verdict<'_>) {
    let of_query = match verdict.reason {
        Some(Reason::Merge(failure)) => Some(("the merge", failure)),
        Some(Reason::InvalidQuery(failure)) => Some(("the query", failure)),
        Some(Reason::Split(failure)) => Some(("the split", failure)),
        _ => None,
    };
    let of_leaves = verdict.coverage.missing.iter().filter_map(|one| Some((one.key.as_str(), one.failure.as_ref()?)));
    // A cancelled call is a consequence: its backtrace explains nothing.
    let of_leaves = of_leaves.filter(|(_, failure)| failure.kind != FailureKind::Cancelled);
    let found = of_query
        .into_iter()
        .chain(of_leaves)
        .map(|(place, failure)| (place, failure.kind, Excerpt::of(failure)))
        .find(|(.., excerpt)| excerpt.has_details());
    if let Some((place, kind, excerpt)) = found {
        let place = page.foreign(place, MAX_KEY);
        row(page, "first", Tone::Plain, &format!("{kind} of {place}"));
        excerpt.details(page, LABEL);
    }
}

fn times(page: &mut Page, coverage: &Coverage) {
    let times = coverage.timings;
    let parts = [("plan", times.plan), ("gather", times.gather), ("merge", times.merge), ("reserve", times.reserve)];
    let parts = parts.map(|(name, ms)| format!("{name} {}", millis(ms)));
    row(page, "time", Tone::Plain, &parts.join(" · "));
}

fn stats(page: &mut Page, coverage: &Coverage, sums: Sums) {
    let attempts = coverage.attempts;
    let mut parts = vec![plural(attempts.started, "started", "started")];
    let kinds = [
        (attempts.retries, "retry", "retries"),
        (attempts.hedges, "hedge", "hedges"),
        (attempts.hedge_wins, "hedge that won", "hedges that won"),
        (attempts.discarded, "result discarded", "results discarded"),
        (attempts.warm, "in a warm instance", "in warm instances"),
        (attempts.cuts, "cut off from another", "cut off from others"),
    ];
    let occurred = kinds.iter().filter(|(number, ..)| *number > 0);
    parts.extend(occurred.map(|(number, one, many)| plural(*number, one, many)));
    row(page, "attempts", Tone::Plain, &parts.join(" · "));
    unit_row(page, coverage);
    let times = coverage.timings;
    let slot_time = format!("used {} · wasted {}", millis(times.leaf_used), millis(times.leaf_wasted));
    let waited =
        if times.leaf_waited > 0.0 { format!(" · waited {}", millis(times.leaf_waited)) } else { String::new() };
    row(page, "leaves", Tone::Plain, &format!("{slot_time}{waited}{}", usage(sums)));
    row(page, "rate", Tone::Plain, &rate(coverage));
    if sums.folds > 0 {
        let merges = plural(sums.folds, "merge", "merges");
        row(page, "merged", Tone::Plain, &format!("{merges} of {}", text::bytes(sums.folded)));
    }
    stragglers(page, coverage);
}

/// Adds the account of the partitions that were taken in parts: bytes, or integers of a range.
pub(super) fn unit_row(page: &mut Page, coverage: &Coverage) {
    let units = coverage.units;
    if units.is_empty() {
        return;
    }
    let kinds = [
        (units.taken, "taken"),
        (units.skipped, "skipped"),
        (units.lost, "lost"),
        (units.saved, "saved by a kept partial"),
        (units.redone, "run again"),
        (units.discarded, "discarded"),
    ];
    let occurred = kinds.iter().filter(|(number, _)| *number > 0);
    let words: Vec<_> = occurred.map(|(number, what)| format!("{} {what}", count(*number))).collect();
    row(page, "units", Tone::Plain, &format!("in parts: {}", words.join(" · ")));
}

fn usage(sums: Sums) -> String {
    let used = sums.leaves;
    let mut parts = String::new();
    if used.fuel > 0 {
        parts.push_str(&format!(" · fuel {}", text::big(used.fuel)));
    }
    if used.memory > 0 {
        parts.push_str(&format!(" · memory up to {}", text::bytes(used.memory)));
    }
    parts.push_str(&format!(" · output {}", text::bytes(used.output)));
    if used.log > 0 {
        parts.push_str(&format!(" · log {}", text::bytes(used.log)));
    }
    parts
}

/// Formats rates. Weight is in bytes unless the app says otherwise, so it has no unit.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate, for display; the cast saturates"
)]
fn rate(coverage: &Coverage) -> String {
    let seconds = (coverage.timings.gather / 1e3).max(1e-6);
    let per_second = |number: u64| text::big((number as f64 / seconds) as u64);
    format!(
        "{} partitions/s · {} weight/s, over the gather",
        per_second(coverage.partitions.succeeded),
        per_second(coverage.covered)
    )
}

fn stragglers(page: &mut Page, coverage: &Coverage) {
    let mut label = "slowest";
    for one in coverage.stragglers.iter().take(MAX_STRAGGLERS) {
        let key = page.foreign(one.key.as_str(), MAX_KEY);
        let words = format!("{key}   {}, {} median", millis(one.ms), text::times(one.times_median));
        row(page, label, Tone::Plain, &words);
        label = "";
    }
    let more = coverage.stragglers.len().saturating_sub(MAX_STRAGGLERS) as u64;
    if more > 0 {
        row(page, label, Tone::Plain, &format!("and {more} more"));
    }
}

fn hint(page: &mut Page, recorded: Option<&Path>) {
    let words = match recorded {
        Some(path) => format!("frond explain {}", text::sanitise(&path.to_string_lossy(), MAX_TEXT)),
        None => "run it again with --record FILE, then `frond explain FILE`".to_owned(),
    };
    row(page, "look", Tone::Dim, &words);
}

#[cfg(test)]
mod tests;
