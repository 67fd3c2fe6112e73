//! What a guest writes to stdout and stderr: the last bytes of it, safe to show.

use std::collections::VecDeque;
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

/// The log of one call. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<Tail>>);

#[derive(Debug)]
struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    written: u64,
}

impl Log {
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Tail {
            bytes: VecDeque::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            written: 0,
        })))
    }

    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.written += bytes.len() as u64;
        let kept = bytes.len().min(tail.limit);
        let drop = (tail.bytes.len() + kept).saturating_sub(tail.limit);
        tail.bytes.drain(..drop);
        tail.bytes.extend(bytes.iter().skip(bytes.len() - kept));
    }

    /// Bytes written, those not kept included.
    pub(crate) fn written(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).written
    }

    /// The last lines, oldest first, without what could drive a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = tail.written > tail.bytes.len() as u64;
        let text = String::from_utf8_lossy(tail.bytes.make_contiguous()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(MAX_LINES);
        let mut shown = Vec::with_capacity(MAX_LINES + 1);
        if cut || skipped > 0 {
            shown.push(format!("… the last of {} bytes:", tail.written));
        }
        shown.extend(lines.iter().skip(skipped).map(|line| line_of(line)));
        shown
    }
}

fn line_of(line: &str) -> String {
    let mut end = line.len().min(MAX_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let mut clean = sanitise(line.get(..end).unwrap_or_default());
    if end < line.len() {
        clean.push('…');
    }
    clean
}

/// Replaces control characters and those that reorder text by visible escapes; line feeds and tabs stay.
pub(crate) fn sanitise(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match hidden(c) {
            true => clean.extend(c.escape_default()),
            false => clean.push(c),
        }
    }
    clean
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
