//! Detection of half-closed connections.
//! A client that has shut its sending half still gets its answer; if a client is gone, its query is
//! cancelled.
//!
//! TCP signals both by the same FIN, and hyper treats either as the end of the connection. Only
//! sent bytes distinguish them: the system of a client that has closed its socket answers them with
//! RST. So after a FIN, the server sends the first bytes of its response, `HTTP/1.`, ahead of the
//! response, one at a time as probes with growing pauses, and later omits them from the response.
//! An event stream carries comments for the same purpose (see [`StreamHeartbeat`]). HTTP/2 ends its
//! streams by frames and needs none of this.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::handshake::HandshakeTimeout;

/// First bytes of every HTTP/1 response, for any minor version and status.
const OPENING: &[u8] = b"HTTP/1.";
/// Interim response that may precede the response, as hyper writes it.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Comment of an event stream, which its reader ignores.
const COMMENT: &[u8] = b":\n\n";
/// Time between the first two probes.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Factor between pauses: probes are sent 0, 0.1, 0.6, 3, 16, 78 and 390 s after the FIN.
const GROWTH: u32 = 5;
/// Time within which a refusal of a probe usually arrives.
const REFUSAL: Duration = Duration::from_millis(50);
/// Bytes of pipelined requests that are read ahead, while one request is answered.
const AHEAD: usize = 16 << 10;
/// Bytes that are drained from a client that keeps sending after the connection's end.
const LINGER_BYTES: u64 = 256 << 10;
/// Time limit of draining such a client.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// A connection's stream, shared by hyper and by the detection of clients that are gone.
pub(crate) struct WatchedStream<S> {
    shared: Arc<Mutex<Shared<S>>>,
    half_closed: Arc<AtomicBool>,
}

impl<S> Clone for WatchedStream<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), half_closed: self.half_closed.clone() }
    }
}

/// Connection as hyper and the writing side share it.
struct Shared<S> {
    stream: S,
    handshake: HandshakeTimeout,
    /// Bytes read ahead, not yet taken by hyper.
    ahead: BytesMut,
    /// The client has sent a FIN.
    ended: bool,
    /// Everything that hyper wrote has been sent.
    is_flushed: bool,
    /// A request is in progress whose response has not begun.
    owes_response: bool,
    pauses: Pauses,
    /// A probe was sent, and its outcome has not been checked.
    is_unsure: bool,
    /// Bytes of the response that were sent as probes.
    sent_ahead: usize,
}

/// Result of polling the connection.
pub(crate) enum ConnectionState {
    /// Nothing new; the task is woken when there is.
    Nothing,
    /// Bytes were read that hyper may want.
    Read,
    /// The client is gone.
    Gone(io::Error),
}

impl<S> WatchedStream<S> {
    pub(crate) fn new(stream: S, handshake: HandshakeTimeout) -> Self {
        let shared = Shared {
            stream,
            handshake,
            ahead: BytesMut::new(),
            ended: false,
            is_flushed: true,
            owes_response: false,
            pauses: Pauses::default(),
            is_unsure: false,
            sent_ahead: 0,
        };
        Self { shared: Arc::new(Mutex::new(shared)), half_closed: Arc::default() }
    }

    /// Notes that a request was read, so a response is due.
    pub(crate) fn asked(&self) {
        let mut shared = self.shared.lock();
        // While the previous response is unsent, no byte may be inserted.
        shared.owes_response = shared.is_flushed;
    }

    /// Adds comments to an event stream once the client has shut its sending half (heartbeat).
    pub(crate) fn pulse<B>(&self, body: B) -> StreamHeartbeat<B> {
        StreamHeartbeat { body, half_closed: self.half_closed.clone(), pauses: Pauses::default() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WatchedStream<S> {
    /// Polls whether the client is still there. Call it after hyper has made all the progress it
    /// can.
    pub(crate) fn watch(&self, cx: &mut Context<'_>) -> ConnectionState {
        let mut shared = self.shared.lock();
        if shared.handshake.is_http2() {
            return ConnectionState::Nothing;
        }
        match shared.read_ahead(cx) {
            Ok(false) => {}
            Ok(true) => {
                self.half_closed.store(shared.ended, Ordering::Relaxed);
                return ConnectionState::Read;
            }
            Err(error) => return ConnectionState::Gone(error),
        }
        match shared.probe(cx) {
            Poll::Ready(error) => ConnectionState::Gone(error),
            Poll::Pending => ConnectionState::Nothing,
        }
    }

    /// Drains the connection for a moment after an error, so that the error response is not lost.
    /// If a connection is closed with unread bytes, the sent response is discarded (RFC 9112,
    /// section 9.6).
    pub(crate) async fn linger(self) {
        let mut wire = self;
        let reading = async {
            wire.shutdown().await?;
            tokio::io::copy(&mut wire.take(LINGER_BYTES), &mut tokio::io::sink()).await
        };
        let _ = tokio::time::timeout(LINGER_TIME, reading).await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Reads bytes that hyper has not asked for. True if any were read, or the end.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut has_read = false;
        let mut space = [0; 1024];
        while !self.ended && self.ahead.len() < AHEAD {
            let mut into = ReadBuf::new(&mut space);
            if self.handshake.poll_read(&mut self.stream, cx, &mut into)?.is_pending() {
                break;
            }
            self.ended = into.filled().is_empty();
            self.ahead.extend_from_slice(into.filled());
            has_read = true;
        }
        Ok(has_read)
    }

    /// Sends the next probe when its time has come. Ready if the client refuses it.
    fn probe(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.ended && self.owes_response {
            ready!(self.pauses.poll_over(cx));
            // An empty write reports whether the previous bytes were refused.
            let next = OPENING.get(self.sent_ahead..=self.sent_ahead).unwrap_or_default();
            let byte = if self.is_unsure { &[][..] } else { next };
            if !self.is_unsure && byte.is_empty() {
                return Poll::Pending;
            }
            match ready!(self.send(cx, byte)) {
                Ok(count) => self.sent_ahead += count,
                Err(error) => return Poll::Ready(error),
            }
            self.is_unsure = !self.is_unsure;
            let pause = if self.is_unsure { REFUSAL } else { self.pauses.grown().saturating_sub(REFUSAL) };
            self.pauses.begin(pause);
        }
        Poll::Pending
    }

    fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        // Bytes that TLS holds back are sent with later ones.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    /// Notes that hyper writes: from then on no probe may be sent.
    fn writes(&mut self, bytes: &[u8]) {
        self.is_flushed = false;
        self.owes_response &= bytes == CONTINUE;
    }

    /// The number of bytes to omit from hyper's write, since they were sent as probes.
    fn count_sent(&mut self, bytes: &[u8]) -> Option<usize> {
        let count = self.sent_ahead.min(bytes.len());
        self.sent_ahead -= count;
        (count > 0).then_some(count)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.lock();
        if !shared.ahead.is_empty() {
            let count = shared.ahead.len().min(into.remaining());
            into.put_slice(shared.ahead.get(..count).unwrap_or_default());
            shared.ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        if shared.ended {
            return Poll::Ready(Ok(()));
        }
        let Shared { stream, handshake, .. } = &mut *shared;
        handshake.poll_read(stream, cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut shared = self.shared.lock();
        shared.writes(bytes);
        match shared.count_sent(bytes) {
            Some(count) => Poll::Ready(Ok(count)),
            None => Pin::new(&mut shared.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.lock();
        let flushed = Pin::new(&mut shared.stream).poll_flush(cx);
        shared.is_flushed |= flushed.is_ready();
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.lock();
        shared.writes(&[]);
        Pin::new(&mut shared.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.shared.lock();
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let is_all = slices.iter().map(|slice| slice.len()).sum::<usize>() == first.len();
        shared.writes(if is_all { first } else { &[] });
        match shared.count_sent(first) {
            Some(count) => Poll::Ready(Ok(count)),
            None => Pin::new(&mut shared.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.shared.lock().stream.is_write_vectored()
    }
}

/// Exponential pauses between probes. The first probe has no pause before it.
#[derive(Default)]
struct Pauses {
    over: Option<Pin<Box<Sleep>>>,
    last: Duration,
}

impl Pauses {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.over.as_mut().map_or(Poll::Ready(()), |over| over.as_mut().poll(cx))
    }

    fn grown(&mut self) -> Duration {
        self.last = if self.last.is_zero() { FIRST_PAUSE } else { self.last * GROWTH };
        self.last
    }

    fn begin(&mut self, pause: Duration) {
        match &mut self.over {
            Some(over) => over.as_mut().reset(Instant::now() + pause),
            None => self.over = Some(Box::pin(tokio::time::sleep(pause))),
        }
    }
}

/// An event stream with comments as a heartbeat, once its client has shut its sending half.
pub(crate) struct StreamHeartbeat<B> {
    body: B,
    half_closed: Arc<AtomicBool>,
    pauses: Pauses,
}

impl<B: Body<Data = Bytes> + Unpin> Body for StreamHeartbeat<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        // The connection's task polls this body and also reads the FIN, so it polls again after a
        // FIN.
        if !self.half_closed.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        ready!(self.pauses.poll_over(cx));
        let pause = self.pauses.grown();
        self.pauses.begin(pause);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Comments may be added.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests;
