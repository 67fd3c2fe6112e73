//! Results of tests: a line for each case, then every failure in full, then the totals.

use std::iter;
use std::time::Duration;

use frond_test::advice::advice;
use frond_test::{CaseResult, LawResult, Verdict};
use serde::Serialize;

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text::{count, millis, pad, pad_left, percent, plural};
use super::trouble::Excerpt;

/// Limit on the width of the column of names.
const MAX_NAME: usize = 40;

/// Totals of cases and laws by verdict.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sums {
    passed: u64,
    failed: u64,
    broken: u64,
    blessed: u64,
    shown: u64,
    laws_hold: u64,
    laws_broken: u64,
    ms: f64,
}

impl Sums {
    /// Counts cases and laws by verdict.
    #[must_use]
    pub fn of(cases: &[CaseResult], laws: &[LawResult], took: Duration) -> Self {
        let mut sums = Self { ms: frond_root::answer::millis(took), ..Self::default() };
        for tried in cases {
            *match tried.verdict {
                Verdict::Passed => &mut sums.passed,
                Verdict::Failed { .. } => &mut sums.failed,
                Verdict::Broken { .. } => &mut sums.broken,
                Verdict::Blessed => &mut sums.blessed,
                Verdict::Shown { .. } => &mut sums.shown,
            } += 1;
        }
        sums.laws_hold = laws.iter().filter(|one| one.holds()).count() as u64;
        sums.laws_broken = laws.iter().filter(|one| one.broken.is_some()).count() as u64;
        sums
    }

    /// Returns true if no case and no law failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failed + self.broken + self.laws_broken == 0
    }

    /// Returns true if nothing but cases themselves is wrong.
    #[must_use]
    pub fn only_broken(&self) -> bool {
        self.failed + self.laws_broken == 0
    }
}

/// Returns the first line: the package and its number of cases.
#[must_use]
pub fn head(package: &str, cases: usize, style: TermStyle) -> String {
    let mut page = Page::new(style);
    page.line(Line::new().tone(Tone::Strong, package).put(format!(": {}", plural(cases as u64, "case", "cases"))));
    page.into_text()
}

/// Returns one case's line: verdict, name, time, and the use of its limits.
#[must_use]
pub fn case(tried: &CaseResult, width: usize, style: TermStyle) -> String {
    let (tone, word) = match tried.verdict {
        Verdict::Passed => (Tone::Good, "PASS"),
        Verdict::Failed { .. } => (Tone::Bad, "FAIL"),
        Verdict::Broken { .. } => (Tone::Warn, "BROKEN"),
        Verdict::Blessed => (Tone::Warn, "BLESSED"),
        Verdict::Shown { .. } => (Tone::Plain, "SHOWN"),
    };
    let mut page = Page::new(style);
    let mut line = Line::new().tone(tone, pad_left(word, 8)).put(format!(
        "  {}  {}",
        pad(tried.call, 6),
        pad(&page.foreign(&tried.name, MAX_NAME), width.min(MAX_NAME))
    ));
    if let Verdict::Shown { what } = &tried.verdict {
        page.wrapped(width.min(MAX_NAME) + 20, line.put(format!("  {what}")));
        return page.into_text();
    }
    if tried.observed.is_some() {
        line = line.put(format!("  {}", pad_left(&millis(tried.ms), 8)));
        for one in &tried.headroom {
            let tone = if one.share() > 0.9 { Tone::Warn } else { Tone::Dim };
            let of = match one.of {
                "memory" => "mem",
                "output" => "out",
                of => of,
            };
            line = line.tone(tone, format!("  {of} {}", pad_left(&percent(one.share()).replace(' ', ""), 5)));
        }
    }
    page.line(line);
    page.into_text()
}

/// Returns the last log lines of a case, unless the case is among the failures.
#[must_use]
pub fn written(tried: &CaseResult, style: TermStyle) -> String {
    let mut page = Page::new(style);
    if !tried.verdict.is_bad() {
        for line in &tried.log {
            page.wrapped(15, Line::new().tone(Tone::Dim, "          log: ").put(line));
        }
    }
    page.into_text()
}

/// Returns a line for each law.
#[must_use]
pub fn laws(laws: &[LawResult], style: TermStyle) -> String {
    let mut page = Page::new(style);
    for tried in laws {
        let (tone, word) = match (&tried.broken, tried.checked) {
            (Some(_), _) => (Tone::Bad, "BROKEN"),
            (None, 0) if tried.is_unchecked() => (Tone::Warn, "–"),
            (None, 0) => (Tone::Dim, "–"),
            (None, _) => (Tone::Good, "HOLDS"),
        };
        let seen = match (tried.checked, &tried.failure) {
            (0, Some(failure)) if tried.is_unchecked() => format!("not checked, every call failed: {failure}"),
            (0, _) if tried.broken.is_none() => "no case makes the partials to check it on".to_owned(),
            (seen, _) => plural(seen, "check", "checks"),
        };
        let told = iter::once(seen).chain(tried.notes.iter().cloned()).collect::<Vec<_>>().join("; ");
        let line = Line::new()
            .tone(tone, pad_left(word, 8))
            .put(format!("  law     {}", pad(&tried.law.to_string(), 14)))
            .tone(Tone::Dim, format!("  {told}"));
        page.wrapped(34, line);
    }
    page.into_text()
}

/// Returns every failure in full.
#[must_use]
pub fn failures(cases: &[CaseResult], laws: &[LawResult], style: TermStyle) -> String {
    let mut page = Page::new(style);
    for tried in cases.iter().filter(|one| one.verdict.is_bad()) {
        page.blank();
        page.line(Line::new().tone(Tone::Strong, format!("{} ({})", tried.name, tried.call)));
        match &tried.verdict {
            Verdict::Broken { why } => paragraph(&mut page, &format!("the case itself is wrong: {why}")),
            Verdict::Failed { wrong } => {
                for one in wrong {
                    paragraph(&mut page, &one.what);
                    diff(&mut page, one.diff.as_deref().unwrap_or_default());
                }
            }
            Verdict::Passed | Verdict::Blessed | Verdict::Shown { .. } => {}
        }
        details(&mut page, tried);
    }
    for tried in laws {
        if let Some(broken) = &tried.broken {
            page.blank();
            page.line(Line::new().tone(Tone::Strong, format!("law: {}", tried.law)));
            diff(&mut page, &broken.what);
            diff(&mut page, &broken.diff);
        }
    }
    page.into_text()
}

fn details(page: &mut Page, tried: &CaseResult) {
    if let Some(failure) = &tried.failure {
        Excerpt::of(failure).details(page, 4);
        if let Some(advice) = advice(failure) {
            page.wrapped(4, Line::new().tone(Tone::Dim, format!("    ({advice})")));
        }
    } else {
        for line in tried.log.iter().rev().take(5).rev() {
            page.wrapped(10, Line::new().tone(Tone::Dim, "    log: ").put(line));
        }
    }
}

fn paragraph(page: &mut Page, text: &str) {
    for line in text.lines() {
        page.wrapped(4, Line::new().put(format!("  {line}")));
    }
}

fn diff(page: &mut Page, text: &str) {
    for line in text.lines() {
        let tone = match line.chars().next() {
            Some('-') => Tone::Bad,
            Some('+') => Tone::Good,
            _ => Tone::Dim,
        };
        page.wrapped(6, Line::new().put("    ").tone(tone, line));
    }
}

/// Returns the last line: the totals.
#[must_use]
pub fn sums(sums: &Sums, style: TermStyle) -> String {
    let mut page = Page::new(style);
    page.blank();
    if sums.shown > 0 {
        page.line(Line::new().put(plural(sums.shown, "outcome shown", "outcomes shown")));
        return page.into_text();
    }
    let tone = if sums.is_good() { Tone::Good } else { Tone::Bad };
    let mut line = Line::new().tone(tone, format!("{} passed, {} failed", count(sums.passed), count(sums.failed)));
    for (number, word) in [(sums.broken, "broken"), (sums.blessed, "blessed")] {
        if number > 0 {
            line = line.tone(Tone::Warn, format!(", {} {word}", count(number)));
        }
    }
    if sums.laws_hold + sums.laws_broken > 0 {
        let hold = plural(sums.laws_hold, "law holds", "laws hold");
        line = line.put(format!("; {hold}"));
        if sums.laws_broken > 0 {
            line = line.tone(Tone::Bad, format!(", {} broken", count(sums.laws_broken)));
        }
    }
    page.line(line.tone(Tone::Dim, format!("   in {}", millis(sums.ms))));
    page.into_text()
}
