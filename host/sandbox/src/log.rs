//! Log of a guest's stdout and stderr: the last bytes, made safe to show.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::escape::clean;

/// Most bytes per write of a guest.
const WRITE: usize = 64 << 10;
/// Most lines of a log in a failure.
const MAX_LINES: usize = 20;
/// Most bytes of a shown line; the rest is cut.
const MAX_LINE: usize = 1024;

/// Most bytes of a line's beginning, and of its end, in the log: a runtime may write an exception
/// and its place in one line of any length.
const MAX_PART: usize = 4 << 10;

/// Log of one call. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<Tail>>);

/// Last lines of a log, each without its middle if it is long.
#[derive(Debug)]
struct Tail {
    /// Complete lines, with their line feeds.
    bytes: VecDeque<u8>,
    /// Line that is being written.
    line: Line,
    limit: usize,
    written: u64,
    /// True once bytes were dropped from the front.
    cut: bool,
}

/// Line in two parts: its beginning, and its last bytes.
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
        let last = rest.len().min(most);
        self.rest.extend(rest.iter().skip(rest.len() - last));
    }

    /// Returns the line's parts, with an ellipsis for a missing middle.
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

    /// Returns the number of bytes written, dropped ones included.
    pub(crate) fn written(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).written
    }

    /// Returns the text in the log.
    pub(crate) fn read(&self) -> Text {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, more) = tail.bytes.as_slices();
        let mut all = [bytes, more].concat();
        all.extend(tail.line.parts().concat());
        let drop = all.len().saturating_sub(tail.limit);
        let text = String::from_utf8_lossy(all.get(drop..).unwrap_or_default()).into_owned();
        Text { lines: text.lines().map(str::to_owned).collect(), written: tail.written, cut: tail.cut || drop > 0 }
    }
}

/// Text in a call's log.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// Raw lines, oldest first: not safe to show.
    pub(crate) lines: Vec<String>,
    written: u64,
    cut: bool,
}

impl Text {
    /// Makes the text that a log of the default size keeps of `text`.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        let log = Log::new(crate::limits::Limits::default().log);
        log.push(text.as_bytes());
        log.read()
    }

    /// Returns the last lines, oldest first, clipped and without terminal control characters.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.shown_before(self.lines.len())
    }

    /// Returns the last lines before line `end`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_shown_are_bounded() {
        let text = Text::of(&format!("{}\n", "\u{202e}".repeat(2000)));
        let shown = text.shown();
        assert!(shown.iter().all(|line| line.len() <= MAX_LINE + '…'.len_utf8()), "{shown:?}");
    }
}
