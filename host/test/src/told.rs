//! A case that did not pass, in plain words: for places that are no terminal.

use std::fmt::Write;

use frond_root::Failure;
pub use frond_root::limit::grouped as count;

use crate::advice::advice;
use crate::trial::{CaseResult, Verdict};

/// The most frames of a backtrace that are told.
const MAX_FRAMES: usize = 5;
/// The most lines of a guest's log that are told: the last ones.
const MAX_LOG: usize = 5;

/// What is wrong with a case, line by line; empty for one that passed.
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

/// A failure's innermost frames and its guest's last lines.
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

/// A time in milliseconds, for people to read.
#[must_use]
pub fn millis(ms: f64) -> String {
    match ms {
        0.0..100.0 => format!("{ms:.1} ms"),
        100.0..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}
