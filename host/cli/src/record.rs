//! Recordings: a query's events as a file, one JSON object a line. The first line has the format's
//! version.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use frond_root::event::FORMAT_VERSION;
use frond_root::{Event, EventKind, Listener};
use serde::Deserialize;

/// Limit on the length of a line that is read, in bytes. A `query-ended` that names 100 failures
/// with their logs takes 2 MiB or so.
pub const MAX_LINE: u64 = 16 << 20;
/// Limit on the events that are read. The largest plan, with three attempts of each partition,
/// makes 9 million.
pub const MAX_EVENTS: u64 = 10_000_000;
/// Limit on the bytes of one recording.
pub const MAX_BYTES: u64 = 4 << 30;
/// Interval of flushes, in microseconds of the query's time: a killed process loses at most the
/// events of one interval.
const FLUSH_EVERY: u64 = 1_000_000;

/// Writes every event to a file. An error ends the recording but not the query:
/// [`Recorder::finish`] returns it.
#[derive(Debug)]
pub struct Recorder<W: Write + Send = File> {
    path: PathBuf,
    state: Mutex<State<W>>,
}

/// Open recording, and the first error of writing it.
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
    /// Creates the file at `path`, or truncates it.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::to(File::create(path)?, path))
    }
}

impl<W: Write + Send> Recorder<W> {
    /// Records to `out`. Error messages call it `path`.
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

    /// Flushes the buffer and ends the recording.
    ///
    /// # Errors
    /// The first error of the whole recording. The file then only holds the first events of the
    /// query, as the message says.
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

/// Reason why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: io::Error,
    },
    /// The file is not a recording.
    #[error("{path} is not a recording: {why}\n(make one with `frond query --record FILE`)")]
    NotARecording {
        /// The file.
        path: String,
        /// The difference from a recording.
        why: String,
    },
    /// A later version of Frond wrote the recording.
    #[error(
        "{path} has format version {found}, and this frond reads versions up to {FORMAT_VERSION}\n(use the frond that recorded it, or a later one)"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format version.
        found: u64,
    },
    /// A line is invalid.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// The line's number, from 1.
        line: u64,
        /// The error in the line.
        why: String,
    },
}

/// The end of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Complete: it ends with `query-ended`.
    Whole,
    /// After a complete line, before the query's end: the query failed to start, still runs, or its
    /// process was killed.
    Early {
        /// Number of lines.
        lines: u64,
    },
    /// In the middle of a line: the process was killed, or the disk was full.
    Cut {
        /// Number of the incomplete line; all lines before it were read.
        line: u64,
    },
}

/// Reads the recording at `path` and passes each event to `take`, in the order of the file. It
/// holds one line in memory.
///
/// # Errors
/// [`RecordError`], which names the file and the line. `take` has received the events before that
/// line.
pub fn read(path: &Path, take: impl FnMut(Event)) -> Result<Ending, RecordError> {
    let name = crate::show::text::sanitise(&path.to_string_lossy(), crate::show::text::MAX_TEXT);
    match File::open(path) {
        Ok(file) => read_from(BufReader::with_capacity(256 << 10, file), &name, take),
        Err(source) => Err(RecordError::Io { path: name, source }),
    }
}

/// Reads a recording from any reader, see [`read`]. Error messages call it `name`.
///
/// # Errors
/// See [`read`].
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

/// The fields that tell a recording from other files, and its version.
#[derive(Deserialize)]
struct Opening {
    event: String,
    version: Option<u64>,
}

/// Reader of a recording's lines, each of bounded length.
struct Lines<'a, R> {
    from: R,
    name: &'a str,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<'_, R> {
    /// Reads the next line. Returns `None` at the end, and false for a line without a line feed.
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

/// Formats a parse error without the parser's line number, which is always 1 here.
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
