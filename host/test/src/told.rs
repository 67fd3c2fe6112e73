//! Plain-text report of a failed case, for output other than a terminal.

use std::fmt::Write;

use frond_root::Failure;
pub use frond_root::limit::grouped as count;

use crate::advice::advice;
use crate::trial::{CaseResult, Verdict};

/// Limit on the frames of a backtrace in the report.
const MAX_FRAMES: usize = 5;
/// Limit on the lines of a guest's log in the report: the last ones.
const MAX_LOG: usize = 5;

/// Returns the report on a case, line by line. It is empty for a case that passed.
#[must_use]
pub fn told(tried: &CaseResult) -> String {
    let mut text = String::new();
    match &tried.verdict {
        Verdict::Broken { why } => add(&mut text, 2, &format!("the case itself is wrong: {why}")),
        Verdict::Failed { wrong } => {
            for one in wrong {
                add(&mut text, 2, &one.what);
                add(&mut text, 4, one.diff.as_deref().unwrap_or_default());
            }
        }
        Verdict::Passed | Verdict::Blessed | Verdict::Shown { .. } => return text,
    }
    match &tried.failure {
        Some(failure) => {
            add(&mut text, 4, &details(failure));
            if let Some(advice) = advice(failure) {
                add(&mut text, 4, &format!("({advice})"));
            }
        }
        None => add(&mut text, 4, &log(&tried.log)),
    }
    format!("{} ({})\n{}", tried.name, tried.call, text.trim_end())
}

/// Returns a failure's innermost frames and the last lines of its guest's log.
#[must_use]
pub fn details(failure: &Failure) -> String {
    let mut text = String::new();
    for (number, frame) in failure.backtrace.iter().take(MAX_FRAMES).enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{number:>3}: {frame}");
    }
    text.push_str(&log(&failure.log));
    text
}

fn log(lines: &[String]) -> String {
    let last = lines.iter().skip(lines.len().saturating_sub(MAX_LOG));
    last.map(|line| format!("log: {line}\n")).collect()
}

fn add(text: &mut String, indent: usize, more: &str) {
    for line in more.lines() {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
}

/// Formats a time in milliseconds for people.
#[must_use]
pub fn millis(ms: f64) -> String {
    match ms {
        0.0..100.0 => format!("{ms:.1} ms"),
        100.0..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}
