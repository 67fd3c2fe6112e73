//! Bodies with limits on size and time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use wasmtime_wasi_http::Error;

/// Number of bytes that may still pass, and the handler for more.
pub(super) struct Limit {
    pub(super) left: u64,
    pub(super) over: Box<dyn FnMut() -> Error + Send>,
}

/// Body under a limit.
pub(super) struct Limited<B> {
    body: B,
    limit: Limit,
    timer: Option<Timer>,
}

/// Timeout between two frames of a body, within the deadline of the whole.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    until: Instant,
    /// Most time between two frames.
    idle: Option<Duration>,
}

impl Timer {
    fn next(until: Instant, idle: Option<Duration>) -> tokio::time::Instant {
        idle.and_then(|idle| Instant::now().checked_add(idle)).map_or(until, |next| next.min(until)).into()
    }
}

impl<B> Limited<B> {
    pub(super) fn new(body: B, limit: Limit) -> Self {
        Self { body, limit, timer: None }
    }

    /// Sets the time limits: the body must end by `until`, and must not be without a frame for
    /// longer than `idle`.
    pub(super) fn until(self, until: Instant, idle: Option<Duration>) -> Self {
        let sleep = Box::pin(sleep_until(Timer::next(until, idle)));
        Self { timer: Some(Timer { sleep, until, idle }), ..self }
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.limit.left.checked_sub(size) {
            Some(left) => {
                self.limit.left = left;
                Ok(frame)
            }
            None => Err((self.limit.over)()),
        }
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Limited<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(Timer { sleep, until, idle: idle @ Some(_) }) = &mut this.timer {
                    sleep.as_mut().reset(Timer::next(*until, *idle));
                }
                Poll::Ready(Some(this.count(frame)))
            }
            Poll::Pending => match &mut this.timer {
                Some(timer) => timer.sleep.as_mut().poll(cx).map(|()| Some(Err(Error::HttpResponseTimeout))),
                None => Poll::Pending,
            },
            ended => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
