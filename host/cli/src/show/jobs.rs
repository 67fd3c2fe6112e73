//! Views of jobs: a table of them, one in detail, and the end of one.

pub(crate) mod watch;

use frond_jobs::JobState;

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::summary::{Verdict, verdict_rows};
use super::table::Table;
use super::text::{self, MAX_KEY, MAX_TEXT, count, percent, plural};
use crate::jobs::job::{Eta, Job};

/// Width of the first column of a job in detail: the longest label is `submitted`.
const LABEL: usize = 11;
/// Limit on the width of an app's name in a table.
const MAX_APP: usize = 24;

/// Returns a table of jobs in the given order, or an empty text without jobs.
pub(crate) fn table(jobs: &[Job], now: u64, style: TermStyle) -> String {
    let page = Page::new(style);
    let head = ["id", "app", "state", "done", "share", "when"];
    let mut table = Table::new(head, [false, false, false, true, true, false]);
    for job in jobs {
        let tone = match job.state {
            JobState::Failed => Tone::Bad,
            JobState::Partial => Tone::Warn,
            JobState::Cancelled | JobState::Expired => Tone::Dim,
            _ => Tone::Plain,
        };
        table.row(tone, cells(&page, job, now));
    }
    table.render(style)
}

fn cells(page: &Page, job: &Job, now: u64) -> [String; 6] {
    let is_planned = job.partitions.planned > 0;
    let unless = |text: String| if is_planned { text } else { "-".to_owned() };
    [
        job.id.to_string(),
        text::fit(&page.foreign(&job.app, MAX_KEY), MAX_APP),
        state(job),
        unless(format!("{}/{}", count(job.partitions.done), count(job.partitions.planned))),
        unless(percent(job.fraction)),
        when(job, now),
    ]
}

fn state(job: &Job) -> String {
    if job.cancelling { format!("{}, cancelling", job.state) } else { job.state.to_string() }
}

/// Formats the most relevant time: the estimate of a running job, or the age.
fn when(job: &Job, now: u64) -> String {
    match (&job.eta, job.finished_unix_ms) {
        (_, Some(finished)) => format!("ended {} ago", rough(now.saturating_sub(finished))),
        (Some(eta), None) => left(eta),
        (None, None) => format!("submitted {} ago", rough(now.saturating_sub(job.created_unix_ms))),
    }
}

/// Formats an estimate in short.
pub(crate) fn left(eta: &Eta) -> String {
    match eta.p50_ms {
        0..1000 => "less than 1 s left".to_owned(),
        ms => format!("about {} left", rough(ms)),
    }
}

/// Formats an estimate with its range and basis.
fn likely(eta: &Eta) -> String {
    let basis = match eta.basis.as_str() {
        "history" => ", from earlier jobs of the app",
        "progress" => ", at the pace so far",
        _ => "",
    };
    format!("about {}; nine times in ten within {}{basis}", rough(eta.p50_ms), rough(eta.p90_ms))
}

/// Formats a time at the precision of seconds: `<1 s`, `12 s`, `2 min 03 s`, `1 h 02 min`, `3 d 04
/// h`.
pub(crate) fn rough(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => "<1 s".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Formats a job's progress.
pub(crate) fn progress(job: &Job) -> String {
    let parts = job.partitions;
    if parts.planned == 0 {
        return match job.state {
            JobState::Queued => "waits for its turn".to_owned(),
            JobState::Planning => "is being cut into partitions".to_owned(),
            _ => "has no partitions".to_owned(),
        };
    }
    let mut text = format!("{} of {}", count(parts.done), plural(parts.planned, "partition", "partitions"));
    text.push_str(&format!(", {}", percent(job.fraction)));
    for (number, words) in [(parts.degraded, "more in part"), (parts.failed, "failed")] {
        if number > 0 {
            text.push_str(&format!(" · {} {words}", count(number)));
        }
    }
    text
}

fn row(page: &mut Page, label: &str, text: &str) {
    page.wrapped(LABEL, Line::new().tone(Tone::Dim, text::pad(label, LABEL)).put(text));
}

/// Returns all details of a job.
pub(crate) fn whole(job: &Job, now: u64, style: TermStyle) -> String {
    let mut page = Page::new(style);
    let moment = |at: u64| {
        if at > now {
            format!("{} (in {})", text::date(at), rough(at - now))
        } else {
            format!("{} ({} ago)", text::date(at), rough(now - at))
        }
    };
    row(&mut page, "job", &job.id.to_string());
    row(&mut page, "app", &text::sanitise(&job.app, MAX_KEY));
    row(&mut page, "state", &state(job));
    row(&mut page, "submitted", &moment(job.created_unix_ms));
    let times =
        [("started", job.started_unix_ms), ("ended", job.finished_unix_ms), ("kept until", job.expires_unix_ms)];
    for (label, at) in times {
        if let Some(at) = at {
            row(&mut page, label, &moment(at));
        }
    }
    if !job.state.is_ended() {
        row(&mut page, "progress", &progress(job));
        match (&job.eta, &job.eta_missing) {
            (Some(eta), _) => row(&mut page, "left", &likely(eta)),
            (None, Some(why)) => row(&mut page, "left", &format!("not known: {}", text::sanitise(why, MAX_TEXT))),
            (None, None) => {}
        }
    }
    if job.epoch > 1 {
        row(&mut page, "claimed", &format!("{} times (after an interruption or a redrive)", count(job.epoch)));
    }
    if let Some(caller) = &job.caller {
        row(&mut page, "asked by", &text::sanitise(caller, MAX_KEY));
    }
    if !job.version.is_empty() {
        row(&mut page, "version", &text::sanitise(&job.version, MAX_TEXT));
    }
    if job.state.is_ended() {
        page.blank();
        verdict(&mut page, job);
    }
    page.into_text()
}

/// Returns the verdict on a job, in the form of a query's verdict.
pub(crate) fn ending(job: &Job, style: TermStyle) -> String {
    let mut page = Page::new(style);
    verdict(&mut page, job);
    page.into_text()
}

fn verdict(page: &mut Page, job: &Job) {
    let outcome = match job.state {
        JobState::Succeeded => "complete",
        JobState::Partial => "partial",
        JobState::Failed => "failed",
        _ => "ended",
    };
    let is_failed = job.state == JobState::Failed;
    if job.state == JobState::Cancelled {
        page.line(Line::new().tone(Tone::Warn, "cancelled"));
    }
    if let Some(coverage) = job.coverage() {
        let reason = job.reason().filter(|_| is_failed);
        verdict_rows(page, Verdict { outcome, reason: reason.as_ref(), coverage: &coverage }, true);
        return;
    }
    let why = job.why().filter(|_| is_failed);
    match (job.state, why) {
        (JobState::Cancelled, _) => {}
        (JobState::Expired, _) => {
            page.line(Line::new().put("expired: its answer is gone, because its retention is over or it was deleted"))
        }
        (_, Some(why)) => {
            let mut line = Line::new().tone(Tone::Bad, format!("{outcome}: "));
            // The remedy has a line of its own.
            for part in why.split('\n') {
                page.wrapped(LABEL, std::mem::take(&mut line).put(text::sanitise(part, MAX_TEXT)));
            }
        }
        _ => page.line(Line::new().put(format!("{outcome}: {}", progress(job)))),
    }
}

#[cfg(test)]
mod tests;
