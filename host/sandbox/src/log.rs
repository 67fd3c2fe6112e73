//! What a guest writes to stdout and stderr: the last bytes of it, safe to show.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The most bytes that a guest may write in one call.
const WRITE: usize = 64 << 10;
/// The most lines that a failure carries.
const MAX_LINES: usize = 20;
/// The most bytes of a line; the rest of it is cut.
const MAX_LINE: usize = 1024;

/// The most bytes that are kept of a line's beginning, and of its end: a runtime writes what was thrown, and where, in a
/// line of any length.
const MAX_PART: usize = 4 << 10;

/// The log of one call. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<Tail>>);

/// The last lines, each without its middle if it is long.
#[derive(Debug)]
struct Tail {
    /// Lines that are whole, with their ends.
    bytes: VecDeque<u8>,
    /// The line that is written now.
    line: Line,
    limit: usize,
    written: u64,
    /// True once anything was dropped from the front.
    cut: bool,
}

/// A line in two parts: its beginning, and the last bytes of what follows.
#[derive(Debug, Default)]
struct Line {
    head: Vec<u8>,
    rest: VecDeque<u8>,
    dropped: bool,
}

impl Line {
    fn push(&mut self, bytes: &[u8], most: usize) {
        let (head, rest) = bytes.split_at(bytes.len().min(most.saturating_sub(self.head.len())));
        self.head.extend_from_slice(head);
        let drop = (self.rest.len() + rest.len()).saturating_sub(most);
        self.dropped |= drop > 0;
        self.rest.drain(..drop.min(self.rest.len()));
        let kept = rest.len().min(most);
        self.rest.extend(rest.iter().skip(rest.len() - kept));
    }

    /// The line, with a sign where its middle is missing.
    fn parts(&self) -> [&[u8]; 4] {
        let sign = if self.dropped { "…" } else { "" };
        let (rest, more) = self.rest.as_slices();
        [&self.head, sign.as_bytes(), rest, more]
    }

    fn clear(&mut self) {
        self.head.clear();
        self.rest.clear();
        self.dropped = false;
    }
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        let most = MAX_PART.min(self.limit);
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at + 1);
            self.line.push(line.strip_suffix(b"\n").unwrap_or(line), most);
            self.end_line();
            rest = after;
        }
        self.line.push(rest, most);
    }

    fn end_line(&mut self) {
        for part in self.line.parts() {
            self.bytes.extend(part);
        }
        self.bytes.push_back(b'\n');
        self.line.clear();
        let drop = self.bytes.len().saturating_sub(self.limit);
        self.cut |= drop > 0;
        self.bytes.drain(..drop);
    }
}

impl Log {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Tail {
            bytes: VecDeque::new(),
            line: Line::default(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            written: 0,
            cut: false,
        })))
    }

    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }

    /// Bytes written, those not kept included.
    pub(crate) fn written(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).written
    }

    /// What is kept.
    pub(crate) fn read(&self) -> Text {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, more) = tail.bytes.as_slices();
        let mut all = [bytes, more].concat();
        all.extend(tail.line.parts().concat());
        let drop = all.len().saturating_sub(tail.limit);
        let kept = String::from_utf8_lossy(all.get(drop..).unwrap_or_default()).into_owned();
        Text { lines: kept.lines().map(str::to_owned).collect(), written: tail.written, cut: tail.cut || drop > 0 }
    }
}

/// What a call wrote, as far as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// Its lines, oldest first, as they were written: not safe to show.
    pub(crate) lines: Vec<String>,
    written: u64,
    cut: bool,
}

impl Text {
    /// What is kept of `text` by a log of the default size.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        let log = Log::new(crate::limits::Limits::default().log);
        log.push(text.as_bytes());
        log.read()
    }

    /// The last lines, oldest first, clipped, and without what could drive a terminal.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.shown_before(self.lines.len())
    }

    /// The last of the lines before number `end`.
    pub(crate) fn shown_before(&self, end: usize) -> Vec<String> {
        let end = end.min(self.lines.len());
        let skipped = end.saturating_sub(MAX_LINES);
        let mut shown = Vec::with_capacity(MAX_LINES + 1);
        if self.cut || skipped > 0 {
            shown.push(format!("… the last of {} bytes:", self.written));
        }
        shown.extend(self.lines.iter().take(end).skip(skipped).map(|line| line_of(line)));
        shown
    }
}

fn line_of(line: &str) -> String {
    clean(line, MAX_LINE)
}

/// Replaces control characters and those that reorder text by visible escapes; line feeds and tabs stay.
pub(crate) fn sanitise(text: &str) -> String {
    clean(text, usize::MAX)
}

/// A guest's text as [`sanitise`] makes it, cut to `most` bytes. It is the escaped text that is cut, as an escape has up to six
/// times the bytes of what it stands for; and what is cut off is never made, as demangling a name may make it a million bytes.
pub(crate) fn clean(text: impl fmt::Display, most: usize) -> String {
    let mut clean = Clean { text: String::new(), most, is_cut: false };
    // Fails only where it is cut.
    let _ = write!(clean, "{text}");
    if clean.is_cut {
        clean.text.push('…');
    }
    clean.text
}

/// Takes text until there is enough of it.
struct Clean {
    text: String,
    most: usize,
    is_cut: bool,
}

impl fmt::Write for Clean {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let is_hidden = is_hidden(c);
            let len = if is_hidden { c.escape_default().len() } else { c.len_utf8() };
            if self.text.len() + len > self.most {
                self.is_cut = true;
                return Err(fmt::Error);
            }
            match is_hidden {
                true => self.text.extend(c.escape_default()),
                false => self.text.push(c),
            }
        }
        Ok(())
    }
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

impl tokio::io::AsyncWrite for Log {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
