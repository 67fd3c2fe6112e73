//! Log of a guest's stdout and stderr: the last bytes, made safe to show.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::escape::clean;
use crate::output::Output;

/// Most lines of a log in a failure.
const MAX_LINES: usize = 20;
/// Most bytes of a shown line; the rest is cut.
const MAX_LINE: usize = 1024;

/// Most bytes of a line's beginning, and of its end, in the log: a runtime may write an exception
/// and its place in one line of any length.
const MAX_PART: usize = 4 << 10;

/// Log of one call. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Log(Output<Tail>);

/// Last lines of a log, each without its middle if it is long.
#[derive(Debug)]
pub(crate) struct Tail {
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

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Output::new(Tail {
            bytes: VecDeque::new(),
            line: Line::default(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            written: 0,
            cut: false,
        }))
    }

    /// Returns the stream that a guest writes to.
    pub(crate) fn output(&self) -> Output<Tail> {
        self.0.clone()
    }

    /// Empties the log for the next call; the guest's streams stay open.
    pub(crate) fn clear(&self) {
        let mut tail = self.0.writer();
        tail.bytes.clear();
        tail.line.clear();
        tail.written = 0;
        tail.cut = false;
    }

    /// Returns the number of bytes written, dropped ones included.
    pub(crate) fn written(&self) -> u64 {
        self.0.writer().written
    }

    /// Returns the text in the log.
    pub(crate) fn read(&self) -> Text {
        let tail = self.0.writer();
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
        let log = Log::new(frond_root::call::Limits::default().log);
        log.0.writer().push(text.as_bytes());
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
