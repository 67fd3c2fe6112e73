//! Bodies that nobody wants: read, within bounds, so that who sends one reads why it was refused. Most clients read a
//! response only when they have sent all of their request, and a system that closes a connection with bytes unread takes
//! back what it has sent: without this a refused upload would end as a broken pipe.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::EXPECT;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;

/// The most that is read of a body that nobody wants.
pub(crate) const MAX_BYTES: u64 = 128 << 20;
/// The longest that it is read for.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(10);

/// A request's body, of which the rest is read in the background when its handler drops it.
pub(crate) struct DrainedBody<B: Rest>(Option<B>);

/// A body that can be read to its end by a task of its own.
pub(crate) trait Rest: Body<Data = Bytes> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Rest for B {}

impl<B: Rest> DrainedBody<B> {
    pub(crate) fn new(body: B) -> Self {
        Self(Some(body))
    }

    /// False for bodies whose rest does not come, or does no harm: of a client that waits to be told to send it, and of
    /// HTTP/2, where each stream ends by itself.
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

/// Reads a body to its end, or until more than `most` bytes came.
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

    /// Pieces of 1 MiB, as many as are asked for; counts them.
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
