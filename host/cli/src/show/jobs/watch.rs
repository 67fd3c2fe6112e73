//! Display of a watched job: a redrawn line on a terminal, lines elsewhere, JSON for programs.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

use frond_jobs::JobState;

use super::{left, progress};
use crate::jobs::job::{Job, Partitions};
use crate::out::print;
use crate::show::page::{Line, Page, Tone};
use crate::show::style::{self, TermStyle};
use crate::show::text::{self, MAX_KEY, MAX_TEXT, count, percent, sanitise};

/// Width of the bar alone.
const BAR: u64 = 20;

/// The display of a watched job.
pub(crate) struct Display(View);

/// Form in which a watched job is shown.
enum View {
    Bar(Box<Bar>),
    Lines(Lines),
    Json { last: String, away: Option<&'static str> },
    Quiet,
}

impl Display {
    /// Creates a display on stderr: a bar on a terminal, else a line for each change.
    pub(crate) fn stderr() -> Self {
        if style::stderr_is_drawable() {
            return Self(View::Bar(Box::new(Bar::new(ProgressDrawTarget::stderr_with_hz(20)))));
        }
        Self(View::Lines(Lines::default()))
    }

    /// Creates a display that writes each new state as a line to stdout.
    pub(crate) fn json() -> Self {
        Self(View::Json { last: String::new(), away: None })
    }

    /// Creates a display that shows nothing before the end.
    pub(crate) fn quiet() -> Self {
        Self(View::Quiet)
    }

    /// Shows the job; `text` is the server's JSON of it.
    pub(crate) fn show(&mut self, job: &Job, text: &str) {
        match &mut self.0 {
            View::Bar(bar) => bar.show(job),
            View::Lines(lines) => lines.show(job).into_iter().for_each(|line| say(&line)),
            View::Json { last, away } => {
                if let Some(peer) = away.take() {
                    say(&format!("{peer} is reachable again"));
                }
                if last != text {
                    text.clone_into(last);
                    // A closed stdout is no error: the watch goes on until the job ends.
                    let _ = print(format!("{text}\n").as_bytes());
                }
            }
            View::Quiet => {}
        }
    }

    /// Shows that `peer`, the server or the store, cannot be reached.
    pub(crate) fn away(&mut self, peer: &'static str, why: &str) {
        let away = match &mut self.0 {
            View::Bar(bar) => return bar.away(peer, why),
            View::Lines(Lines { away, .. }) | View::Json { away, .. } => away,
            View::Quiet => return,
        };
        if away.replace(peer).is_none() {
            say(&format!("{peer} is unreachable: {}; trying again", sanitise(why, MAX_TEXT)));
        }
    }

    /// Ends the display. Returns true if the verdict is to be printed for people.
    pub(crate) fn finish(&mut self) -> bool {
        if let View::Bar(bar) = &self.0 {
            bar.bar.finish_and_clear();
        }
        !matches!(self.0, View::Json { .. })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.finish();
    }
}

fn say(words: &str) {
    let line = format!("frond: {words}");
    errln!("{}", if TermStyle::stderr().unicode { line } else { text::ascii(&line).into_owned() });
}

/// Progress bar of a watched job, with the job as last seen.
struct Bar {
    bar: ProgressBar,
    last: Option<Job>,
}

impl Bar {
    fn new(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        // Redraws between two replies too, because the terminal's width may change.
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, last: None }
    }

    fn show(&mut self, job: &Job) {
        self.bar.set_message(picture(job, None, TermStyle::stderr()));
        self.last = Some(job.clone());
    }

    fn away(&mut self, peer: &str, why: &str) {
        let picture = match &self.last {
            Some(job) => picture(job, Some((peer, why)), TermStyle::stderr()),
            None => format!("{peer} is unreachable: {}", sanitise(why, MAX_TEXT)),
        };
        self.bar.set_message(picture);
    }
}

/// Returns the job as one line without a line feed. `away` names what cannot be reached, and the
/// reason.
fn picture(job: &Job, away: Option<(&str, &str)>, style: TermStyle) -> String {
    // The last column stays free: terminals differ in when they wrap.
    let mut page = Page::new(TermStyle { width: style.width.saturating_sub(1), ..style });
    let app = page.foreign(&job.app, MAX_KEY);
    let mut line = Line::new().tone(Tone::Strong, format!("{}  ", text::fit(&app, 24)));
    let Partitions { planned, done, degraded, failed } = job.partitions;
    line = match job.state {
        JobState::Running if planned > 0 => {
            let filled = done.min(planned).saturating_mul(BAR) / planned;
            let columns = |sign: &str, number: u64| sign.repeat(usize::try_from(number).unwrap_or(0));
            let figures = format!("  {}/{} partitions, {}", count(done), count(planned), percent(job.fraction));
            line.tone(Tone::Good, columns("█", filled)).tone(Tone::Dim, columns("·", BAR - filled)).put(figures)
        }
        state => line.put(state.to_string()),
    };
    if let Some((peer, why)) = away {
        line = line.tone(Tone::Warn, format!(" · {peer} is unreachable, trying again: {}", sanitise(why, MAX_TEXT)));
    } else if let Some(eta) = &job.eta {
        line = line.put(format!(" · {}", left(eta)));
    }
    if job.cancelling {
        line = line.tone(Tone::Warn, " · cancelling");
    }
    if degraded > 0 {
        line = line.tone(Tone::Warn, format!(" · {} in part", count(degraded)));
    }
    if failed > 0 {
        line = line.tone(Tone::Bad, format!(" · {} failed", count(failed)));
    }
    page.line(line);
    page.into_text().trim_end_matches('\n').to_owned()
}

/// A line at the start, at each change of state and at each tenth.
#[derive(Default)]
struct Lines {
    state: Option<JobState>,
    tenths: u64,
    epoch: u64,
    cancelling: bool,
    away: Option<&'static str>,
}

impl Lines {
    /// Returns the lines for the changes since the last call.
    fn show(&mut self, job: &Job) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(peer) = self.away.take() {
            lines.push(format!("{peer} is reachable again"));
        }
        let app = sanitise(&job.app, MAX_KEY);
        if std::mem::replace(&mut self.epoch, job.epoch) < job.epoch && self.state.is_some() && job.epoch > 1 {
            lines.push(format!("{app}: resumed where it was"));
        }
        if !std::mem::replace(&mut self.cancelling, job.cancelling) && job.cancelling {
            lines.push(format!("{app}: being cancelled"));
        }
        let tenths = job.partitions.done.saturating_mul(10) / job.partitions.planned.max(1);
        let is_new = self.state.replace(job.state) != Some(job.state);
        // The verdict reports the end.
        let is_further = std::mem::replace(&mut self.tenths, tenths) < tenths;
        if (is_new || is_further) && !job.state.is_ended() {
            let estimate = job.eta.as_ref().map(|eta| format!(" · {}", left(eta))).unwrap_or_default();
            lines.push(format!("{app}: {}{estimate}", standing(job)));
        }
        lines
    }
}

fn standing(job: &Job) -> String {
    match job.state {
        JobState::Queued | JobState::Planning if job.partitions.planned == 0 => progress(job),
        JobState::Running => progress(job),
        state => format!("{state}, {}", progress(job)),
    }
}

#[cfg(test)]
mod tests;
