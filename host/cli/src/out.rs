//! Standard output and standard error. No other module of the workspace writes to them: the lints
//! `print_stdout`, `print_stderr` and `disallowed_methods` forbid it.
//!
//! - stdout carries the answer: [`print`] fails when it cannot be written, unless its reader has
//!   gone away.
//! - stderr carries messages: [`errln!`](crate::errln) never fails, because a message is never
//!   worth losing an answer for.
//! - [`queue`] is for lines that are written while queries run: a separate thread writes them.
//!
//! A descriptor may be non-blocking, such as one inherited from a Node.js program: writes to both
//! wait until it is writable.

#![expect(clippy::disallowed_methods, reason = "everything else writes through this module")]

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};
use terminal_size::{Height, Width, terminal_size_of};

use crate::exit::MachineFault;
use escape::Escaper;

mod escape;
pub(crate) mod queue;

/// Writes a line to stderr, formatted as by `format!`. A line that cannot be written is lost.
macro_rules! errln {
    ($($text:tt)*) => { $crate::out::message(&format!("{}\n", format_args!($($text)*))) };
}

/// Writes text to stderr. Text that cannot be written is lost: there is nowhere to report it.
pub(crate) fn message(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// Prints each warning to stderr.
pub(crate) fn warn(warnings: impl IntoIterator<Item = impl fmt::Display>) {
    warnings.into_iter().for_each(|warning| errln!("warning: {warning}"));
}

/// Writes text of Frond itself to stdout; on a terminal it ends with a line feed. A reader that has
/// gone away, such as `head`, is no error.
///
/// # Errors
/// When the text cannot be written, for example because the disk is full.
pub(crate) fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut text = Answer::to_stdout(None);
    text.write(bytes)?;
    text.end()
}

/// Writes a whole answer to stdout, see [`Answer`].
///
/// # Errors
/// See [`print`].
pub(crate) fn answer(bytes: &[u8]) -> anyhow::Result<()> {
    let mut answer = Answer::begin();
    answer.write(bytes)?;
    answer.end()
}

/// Writes an answer of one line to stdout, see [`answer`].
///
/// # Errors
/// See [`print`].
pub(crate) fn answer_line(text: &str) -> anyhow::Result<()> {
    answer(format!("{text}\n").as_bytes())
}

/// Writer of an answer to stdout, piece by piece. On a terminal it escapes control characters.
pub(crate) struct Answer {
    out: Patient<io::Stdout>,
    escaper: Option<Escaper>,
    last: u8,
    gone: bool,
}

impl Answer {
    pub(crate) fn begin() -> Self {
        Self::to_stdout(stdout_is_terminal().then(Escaper::default))
    }

    fn to_stdout(escaper: Option<Escaper>) -> Self {
        Self { out: Patient(io::stdout()), escaper, last: b'\n', gone: false }
    }

    /// Writes the next piece. Returns true while the reader is there.
    ///
    /// # Errors
    /// When the piece cannot be written, for example because the disk is full.
    pub(crate) fn write(&mut self, piece: &[u8]) -> anyhow::Result<bool> {
        match self.escaper.as_mut().map(|escaper| escaper.feed(piece)) {
            Some(escaped) => self.put(escaped.as_bytes()),
            None => self.put(piece),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        if !self.gone {
            self.gone = is_gone(self.out.write_all(bytes).and_then(|()| self.out.flush()))?;
            self.last = bytes.last().copied().unwrap_or(self.last);
        }
        Ok(!self.gone)
    }

    /// Ends the line on a terminal.
    ///
    /// # Errors
    /// See [`Answer::write`].
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        if let Some(rest) = self.escaper.as_mut().map(Escaper::finish) {
            self.put(rest.as_bytes())?;
        }
        if self.last != b'\n' && stdout_is_terminal() {
            self.put(b"\n")?;
        }
        Ok(())
    }
}

fn is_gone(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error).context(MachineFault::new("the answer could not be written")),
    }
}

/// Returns a writer to stderr that reports errors, for callers that count lost lines.
pub(crate) fn stderr() -> impl Write + Send + 'static {
    Patient(io::stderr())
}

/// Returns a writer to stderr for a guest program: output that cannot be written is lost.
pub(crate) fn stderr_for_guests() -> impl Write + Send + 'static {
    Forgiving { out: Patient(io::stderr()), forgives: |_| true }
}

/// Returns a writer to stdout for a guest program, which does not notice that the reader has gone
/// away.
pub(crate) fn stdout_for_guests() -> impl Write + Send + 'static {
    Forgiving { out: Patient(io::stdout()), forgives: |error| error.kind() == ErrorKind::BrokenPipe }
}

/// Returns true if stderr is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Returns true if stdout is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns the colour choice and the size of stderr.
pub(crate) fn stderr_look() -> (ColorChoice, Option<(Width, Height)>) {
    (AutoStream::choice(&io::stderr()), terminal_size_of(io::stderr()))
}

/// Returns the colour choice and the size of stdout.
pub(crate) fn stdout_look() -> (ColorChoice, Option<(Width, Height)>) {
    (AutoStream::choice(&io::stdout()), terminal_size_of(io::stdout()))
}

/// A writer that ignores the errors that `forgives` accepts: it reports the bytes as written.
struct Forgiving<W> {
    out: W,
    forgives: fn(&io::Error) -> bool,
}

impl<W: Write> Write for Forgiving<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.out.write(bytes) {
            Err(error) if (self.forgives)(&error) => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.out.flush() {
            Err(error) if (self.forgives)(&error) => Ok(()),
            flushed => flushed,
        }
    }
}

/// A writer that waits when a non-blocking descriptor returns `WouldBlock`.
struct Patient<W>(W);

impl<W: AsFd> Patient<W> {
    fn patiently<T>(&mut self, mut act: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match act(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                done => return done,
            }
        }
    }
}

impl<W: Write + AsFd> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.patiently(W::flush)
    }
}

#[cfg(test)]
mod tests;
