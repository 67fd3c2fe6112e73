//! Handshake timeout (slowloris guard): drops connections whose first bytes do not arrive in time.
//! The first bytes tell the HTTP version. hyper's timeouts start only once the version is known.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

/// Connection preface of HTTP/2: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reader of a stream, which fails with `TimedOut` if the HTTP version is not known in time.
pub(crate) struct HandshakeTimeout {
    late: Option<Pin<Box<Sleep>>>,
    /// Number of bytes that match the preface so far.
    matched: usize,
}

impl HandshakeTimeout {
    pub(crate) fn new(within: Duration) -> Self {
        Self { late: Some(Box::pin(tokio::time::sleep(within))), matched: 0 }
    }

    /// True once the client has begun to speak HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.matched == PREFACE.len()
    }

    /// Reads from the stream.
    pub(crate) fn poll_read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(stream).poll_read(cx, into)?;
        let Some(late) = &mut self.late else { return read.map(Ok) };
        if read.is_pending() {
            ready!(late.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.inspect(into.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }

    fn inspect(&mut self, bytes: &[u8]) {
        let rest = PREFACE.get(self.matched..).unwrap_or_default();
        let same = rest.iter().zip(bytes).take_while(|(one, other)| one == other).count();
        self.matched += same;
        if same < bytes.len() || self.matched == PREFACE.len() {
            self.late = None;
        }
    }
}

#[cfg(test)]
mod tests;
