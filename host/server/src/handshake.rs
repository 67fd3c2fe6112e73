//! Handshake timeout (slowloris guard): drops connections whose first bytes do not arrive in time.
//! The first bytes tell the HTTP version. hyper's timeouts start only once the version is known.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Connection preface of HTTP/2: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails with `TimedOut` if its HTTP version is not known in time.
pub(crate) struct HandshakeTimeout<S> {
    stream: S,
    late: Option<Pin<Box<Sleep>>>,
    /// Number of bytes that match the preface so far.
    matched: usize,
}

impl<S> HandshakeTimeout<S> {
    pub(crate) fn new(stream: S, within: Duration) -> Self {
        Self { stream, late: Some(Box::pin(tokio::time::sleep(within))), matched: 0 }
    }

    /// True once the client has begun to speak HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.matched == PREFACE.len()
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

impl<S: AsyncRead + Unpin> AsyncRead for HandshakeTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into)?;
        let Some(late) = &mut self.late else { return read.map(Ok) };
        if read.is_pending() {
            ready!(late.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.inspect(into.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HandshakeTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
