//! Progress for logs and programs: a line for each change of note, or each event as JSON.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use frond_root::{Event, EventKind, Failure, Listener};

use super::board::{Board, Phase};
use super::view::View;
use crate::out::queue::Queue;
use crate::show::text::{self, MAX_KEY, MAX_TEXT, count, duration, percent, plural, sanitise, share};

/// Limit on the failures with a line each.
const MAX_FAILURES: u64 = 20;

/// Writes a line at the start, at failures and retries, at each tenth, and at the end.
pub struct Lines {
    state: Mutex<State>,
    queue: Queue,
    unicode: bool,
    quiet: u64,
}

/// State of the query, and how much of it has been told.
#[derive(Default)]
struct State {
    board: Board,
    tenths: u64,
    spoken: bool,
    /// The last partition that failed, and its key: the retry's event follows and has only the
    /// index.
    failed: Option<(u32, String)>,
}

impl Lines {
    /// Creates a view that writes to `out`, but nothing before `quiet` microseconds of the query.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, unicode: bool, quiet: u64) -> Self {
        Self {
            state: Mutex::default(),
            queue: Queue::new(out, |missed| format!("frond: missed {missed} lines")),
            unicode,
            quiet,
        }
    }

    fn say(&self, at: u64, words: &str, vital: bool) {
        let text = format!("frond: {} {words}", duration(at));
        let text = if self.unicode { text } else { text::ascii(&text).into_owned() };
        self.queue.push(&text, vital);
    }
}

impl Listener for Lines {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let news = state.tell(event);
        if event.at < self.quiet {
            return;
        }
        if !std::mem::replace(&mut state.spoken, true) && !matches!(event.kind, EventKind::QueryStarted { .. }) {
            let words = state.standing();
            self.say(event.at, &words, false);
        }
        if let Some(words) = news {
            self.say(event.at, &words, matches!(event.kind, EventKind::QueryEnded { .. }));
        }
    }
}

impl View for Lines {
    fn finish(&self) {
        self.queue.close();
    }
}

impl State {
    /// Adds an event, and returns the line about it, if it deserves one.
    fn tell(&mut self, event: &Event) -> Option<String> {
        let words = match &event.kind {
            EventKind::AttemptEnded { partition, attempt, failure: Some(failure), .. } => {
                self.failed(*partition, *attempt, failure)
            }
            EventKind::RetryScheduled { partition, attempt, start } if self.board.retries < MAX_FAILURES => {
                let known = self.failed.as_ref().filter(|(of, _)| of == partition);
                let key = known.map_or_else(|| format!("partition {partition}"), |(_, key)| key.clone());
                Some(format!("{key}, attempt {attempt}, will start at {}", duration(*start)))
            }
            EventKind::GatherEnded { .. } => Some("the gather has ended, merging".to_owned()),
            EventKind::QueryEnded { outcome, coverage, .. } => {
                Some(format!("{}, {} covered", sanitise(outcome, MAX_KEY), percent(coverage.fraction)))
            }
            _ => None,
        };
        self.board.take(event);
        match event.kind {
            EventKind::QueryStarted { .. } | EventKind::Planned { .. } => Some(self.standing()),
            EventKind::AttemptEnded { failure: None, .. } => self.tenth(),
            _ => words,
        }
    }

    fn failed(&mut self, partition: u32, attempt: u32, failure: &Failure) -> Option<String> {
        let key = match self.board.key(partition, attempt) {
            Some(key) => sanitise(key.as_str(), MAX_KEY),
            None => format!("partition {partition}"),
        };
        self.failed = Some((partition, key.clone()));
        match self.board.failures {
            0..MAX_FAILURES => Some(format!(
                "{key}, attempt {attempt}, failed: {}: {}",
                failure.kind,
                sanitise(&failure.message, MAX_TEXT)
            )),
            MAX_FAILURES => Some("more failures are not listed".to_owned()),
            _ => None,
        }
    }

    fn standing(&self) -> String {
        let app = sanitise(&self.board.app, MAX_KEY);
        match self.board.phase {
            Phase::Waiting | Phase::Planning => {
                format!("{app}: planning, deadline {}", duration(self.board.deadline))
            }
            Phase::Gathering if self.board.succeeded() == 0 => {
                format!("{app}: {}", plural(self.board.planned, "partition", "partitions"))
            }
            _ => format!("{app}: {}", self.done()),
        }
    }

    fn done(&self) -> String {
        let done = self.board.succeeded();
        let all = self.board.planned;
        let partitions = plural(all, "partition", "partitions");
        format!("{} of {partitions}, {}", count(done), percent(share(done.min(all), all)))
    }

    fn tenth(&mut self) -> Option<String> {
        let all = self.board.planned.max(1);
        let tenths = self.board.succeeded().saturating_mul(10) / all;
        (std::mem::replace(&mut self.tenths, tenths) < tenths).then(|| self.done())
    }
}

/// Writes each event as a line of JSON, as a recording does.
pub struct Json {
    queue: Queue,
}

impl Json {
    /// Creates a view that writes to `out`.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self { queue: Queue::new(out, |missed| format!(r#"{{"event":"missed","count":{missed}}}"#)) }
    }
}

impl Listener for Json {
    fn event(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            self.queue.push(&line, matches!(event.kind, EventKind::QueryEnded { .. }));
        }
    }
}

impl View for Json {
    fn finish(&self) {
        self.queue.close();
    }
}
