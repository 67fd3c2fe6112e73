//! Drains request bodies that a handler did not read, within limits, so that the client can read
//! the refusal.
//! Most clients read a response only after they have sent the whole request. A connection that is
//! closed with unread bytes is reset, which discards the sent response: a refused upload would fail
//! with a broken pipe.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::EXPECT;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;

/// The most bytes that are drained from one body.
pub(crate) const MAX_BYTES: u64 = 128 << 20;
/// Time limit of draining one body.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(10);

/// A request body whose rest is drained in the background when its handler drops it.
pub(crate) struct DrainedBody<B: Rest>(Option<B>);

/// A body that a separate task can read to its end.
pub(crate) trait Rest: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Rest for B {}

impl<B: Rest> DrainedBody<B> {
    pub(crate) fn new(body: B) -> Self {
        Self(Some(body))
    }

    /// True if the rest of the body must be drained.
    /// Exceptions are a client that waits for `100 Continue`, and HTTP/2, where each stream ends
    /// separately.
    pub(crate) fn matters(version: Version, headers: &HeaderMap, body: &B) -> bool {
        version <= Version::HTTP_11 && !headers.contains_key(EXPECT) && !body.is_end_stream()
    }
}

impl<B: Rest> Body for DrainedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.0 = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Rest> Drop for DrainedBody<B> {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(MAX_TIME, rest(body, MAX_BYTES)));
        }
    }
}

/// Reads a body to its end, or until more than `most` bytes were read.
async fn rest<B: Rest>(mut body: B, most: u64) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if read > most {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// An endless body in pieces of 1 MiB; counts the polls.
    struct Endless(Arc<AtomicU64>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1 << 20])))))
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_the_limit_and_one_piece() {
        let read = Arc::new(AtomicU64::new(0));
        rest(Endless(read.clone()), 10 << 20).await;
        assert_eq!(read.load(Ordering::Relaxed), 11);
    }

    #[tokio::test]
    async fn a_body_that_was_read_is_not_read_again() {
        let mut body = DrainedBody::new(http_body_util::Full::new(Bytes::from_static(b"all")));
        assert!(body.frame().await.is_some() && body.frame().await.is_none());
        assert!(body.is_end_stream() && body.0.is_none());
    }
}
