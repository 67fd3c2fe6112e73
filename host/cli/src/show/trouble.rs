//! One failed call, told so that its author can find out why: the message, the innermost frames, the last log lines.

use frond_root::Failure;

use super::page::{Line, Page, Tone};
use super::text::{MAX_TEXT, plural, sanitise};

/// The most frames of a backtrace that are shown.
const MAX_FRAMES: usize = 5;
/// The most lines of a guest's log that are shown: the last ones.
const MAX_LOG: usize = 5;

/// A failure of bounded size, safe to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// What happened.
    pub message: String,
    /// The guest's functions on the stack, innermost first.
    pub frames: Vec<String>,
    /// How many more there are.
    pub more_frames: u64,
    /// The last lines that the guest wrote.
    pub log: Vec<String>,
    /// How many there are before them.
    pub more_log: u64,
}

impl Excerpt {
    /// What is shown of `failure`.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        let safe = |line: &String| sanitise(line, MAX_TEXT);
        let more_log = failure.log.len().saturating_sub(MAX_LOG);
        Self {
            message: sanitise(&failure.message, MAX_TEXT),
            frames: failure.backtrace.iter().take(MAX_FRAMES).map(safe).collect(),
            more_frames: failure.backtrace.len().saturating_sub(MAX_FRAMES) as u64,
            log: failure.log.iter().skip(more_log).map(safe).collect(),
            more_log: more_log as u64,
        }
    }

    /// True when there is more to say than the message.
    #[must_use]
    pub fn has_details(&self) -> bool {
        !self.frames.is_empty() || !self.log.is_empty()
    }

    /// Adds the backtrace and the log to `page`, `indent` columns in.
    pub fn details(&self, page: &mut Page, indent: usize) {
        let lead = " ".repeat(indent);
        for (number, frame) in self.frames.iter().enumerate() {
            page.wrapped(indent + 6, Line::new().put(format!("{lead}{number:>3}: {frame}")));
        }
        if self.more_frames > 0 {
            let more = plural(self.more_frames, "more frame", "more frames");
            page.line(Line::new().tone(Tone::Dim, format!("{lead}     and {more}")));
        }
        if self.more_log > 0 {
            let more = plural(self.more_log, "earlier line", "earlier lines");
            page.line(Line::new().tone(Tone::Dim, format!("{lead}log: {more} not shown")));
        }
        for line in &self.log {
            page.wrapped(indent + 6, Line::new().tone(Tone::Dim, format!("{lead}log: ")).put(line));
        }
    }
}
