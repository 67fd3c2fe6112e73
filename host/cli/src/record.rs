//! A query's events as a file: one JSON object a line, the first of which names the format's version.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use frond_root::event::FORMAT_VERSION;
use frond_root::{Event, EventKind, Listener};
use serde::Deserialize;

/// The longest line that is read, in bytes. A `query-ended` that names 100 failures with their logs takes 2 MiB or so.
pub const MAX_LINE: u64 = 16 << 20;
/// The most events that are read. The largest plan, each of its partitions tried three times, makes 9 million.
pub const MAX_EVENTS: u64 = 10_000_000;
/// The most bytes that are written of one query.
pub const MAX_BYTES: u64 = 4 << 30;
/// By how much the file may be behind the events, in microseconds of the query's time, should the process be killed.
const FLUSH_EVERY: u64 = 1_000_000;

/// Writes every event down. An error stops the writing, never the query: [`Recorder::finish`] reports it.
#[derive(Debug)]
pub struct Recorder<W: Write + Send = File> {
    path: PathBuf,
    state: Mutex<State<W>>,
}

#[derive(Debug)]
struct State<W: Write> {
    out: BufWriter<W>,
    line: Vec<u8>,
    events: u64,
    bytes: u64,
    flushed_at: u64,
    error: Option<io::Error>,
}

impl Recorder {
    /// Records to the file at `path`; what it held before is lost.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::to(File::create(path)?, path))
    }
}

impl<W: Write + Send> Recorder<W> {
    /// Records to `out`, which error messages call `path`.
    pub fn to(out: W, path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            state: Mutex::new(State {
                out: BufWriter::with_capacity(64 << 10, out),
                line: Vec::new(),
                events: 0,
                bytes: 0,
                flushed_at: 0,
                error: None,
            }),
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// The first error of the whole recording. The file then holds only the query's beginning, and the message says so.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.state();
        state.flush();
        let Some(error) = state.error.take() else {
            return Ok(());
        };
        let text = format!(
            "writing {} failed: {error}\n(the recording is incomplete: at most its first {} events are there)",
            self.path.display(),
            state.events
        );
        state.error = Some(io::Error::new(error.kind(), error.to_string()));
        Err(io::Error::new(error.kind(), text))
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write + Send> Listener for Recorder<W> {
    fn event(&self, event: &Event) {
        self.state().write(event);
    }
}

impl<W: Write> State<W> {
    fn write(&mut self, event: &Event) {
        if self.error.is_some() {
            return;
        }
        match self.try_write(event) {
            Ok(()) => self.events += 1,
            Err(error) => self.error = Some(error),
        }
        let is_over = matches!(event.kind, EventKind::QueryEnded { .. });
        if is_over || event.at.saturating_sub(self.flushed_at) >= FLUSH_EVERY {
            self.flushed_at = event.at;
            self.flush();
        }
    }

    fn try_write(&mut self, event: &Event) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        self.bytes = self.bytes.saturating_add(self.line.len() as u64);
        if self.bytes > MAX_BYTES {
            let text = format!("it would be larger than {MAX_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.out.write_all(&self.line)
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.out.flush().err();
        }
    }
}

/// What could not be read as a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is not a recording: {why}\n(make one with `frond query --record FILE`)")]
    NotARecording {
        /// The file.
        path: String,
        /// How that shows.
        why: String,
    },
    /// A later frond wrote it.
    #[error(
        "{path} has format version {found}, and this frond reads versions up to {FORMAT_VERSION}\n(use the frond that recorded it, or a later one)"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
    },
    /// A line of it is wrong.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With `query-ended`.
    Whole,
    /// After a whole line, before the query's end: it failed to start, still runs, or its process was killed.
    Early {
        /// How many lines there are.
        lines: u64,
    },
    /// In the middle of a line: its process was killed, or the disk was full.
    Cut {
        /// The line that is not whole; those before it were read.
        line: u64,
    },
}

/// Reads the recording at `path` and hands each event to `take`, in the order of the file. Memory: one line.
///
/// # Errors
/// [`RecordError`], naming the file and the line. Events before that line have been handed over.
pub fn read(path: &Path, take: impl FnMut(Event)) -> Result<Ending, RecordError> {
    let name = crate::show::text::sanitise(&path.to_string_lossy(), crate::show::text::MAX_TEXT);
    match File::open(path) {
        Ok(file) => read_from(BufReader::with_capacity(256 << 10, file), &name, take),
        Err(source) => Err(RecordError::Io { path: name, source }),
    }
}

/// The same for anything that can be read, which error messages call `name`.
///
/// # Errors
/// As [`read`].
pub fn read_from(from: impl BufRead, name: &str, mut take: impl FnMut(Event)) -> Result<Ending, RecordError> {
    let mut lines = Lines { from, name, line: Vec::new(), number: 0 };
    let mut is_over = false;
    while let Some(is_whole) = lines.next()? {
        if lines.number > MAX_EVENTS {
            return Err(lines.wrong(format!("more than {MAX_EVENTS} events")));
        }
        let parsed = if lines.number == 1 { lines.first() } else { lines.event() };
        match parsed {
            Ok(event) => {
                is_over |= matches!(event.kind, EventKind::QueryEnded { .. });
                take(event);
            }
            Err(_) if !is_whole && lines.number > 1 => return Ok(Ending::Cut { line: lines.number }),
            Err(error) => return Err(error),
        }
    }
    match lines.number {
        0 => Err(lines.not_a_recording("it is empty")),
        _ if is_over => Ok(Ending::Whole),
        lines => Ok(Ending::Early { lines }),
    }
}

/// Only what tells a recording from anything else, and its version.
#[derive(Deserialize)]
struct Opening {
    event: String,
    version: Option<u64>,
}

struct Lines<'a, R> {
    from: R,
    name: &'a str,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<'_, R> {
    /// Reads the next line: `None` at the end, false for one without a line's end.
    fn next(&mut self) -> Result<Option<bool>, RecordError> {
        self.line.clear();
        let mut limited = (&mut self.from).take(MAX_LINE + 1);
        let read = limited
            .read_until(b'\n', &mut self.line)
            .map_err(|source| RecordError::Io { path: self.name.to_owned(), source })?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if read as u64 > MAX_LINE {
            let why = format!("a line of more than {MAX_LINE} bytes");
            return Err(match self.number {
                1 => self.not_a_recording(&why),
                _ => self.wrong(why),
            });
        }
        Ok(Some(self.line.ends_with(b"\n")))
    }

    fn first(&self) -> Result<Event, RecordError> {
        let opening: Opening = serde_json::from_slice(&self.line)
            .map_err(|_| self.not_a_recording("its first line is not an event in JSON"))?;
        if opening.event != "query-started" {
            return Err(self.not_a_recording("it does not begin with query-started"));
        }
        match opening.version {
            Some(version) if version > u64::from(FORMAT_VERSION) => {
                Err(RecordError::Newer { path: self.name.to_owned(), found: version })
            }
            _ => self.parse(),
        }
    }

    fn event(&self) -> Result<Event, RecordError> {
        let event = self.parse()?;
        if matches!(event.kind, EventKind::QueryStarted { .. }) {
            return Err(self.wrong("a second query begins here (a recording holds one)".to_owned()));
        }
        Ok(event)
    }

    fn parse(&self) -> Result<Event, RecordError> {
        serde_json::from_slice(&self.line).map_err(|error| self.wrong(without_place(&error)))
    }

    fn wrong(&self, why: String) -> RecordError {
        RecordError::Line { path: self.name.to_owned(), line: self.number, why }
    }

    fn not_a_recording(&self, why: &str) -> RecordError {
        RecordError::NotARecording { path: self.name.to_owned(), why: why.to_owned() }
    }
}

/// The parser counts each line as its first, which would contradict the line that is named.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let text = crate::show::text::sanitise(text, crate::show::text::MAX_TEXT);
    match error.column() {
        0 => text,
        column => format!("{text}, at column {column}"),
    }
}

#[cfg(test)]
mod tests;
