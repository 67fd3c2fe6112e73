//! Runs guest calls, which are futures, on threads. Wasm runs to its end within one poll; only a
//! host call that waits makes a call pending. [`bounded`] ends a pending call when it is stopped or
//! its time is up: this bounds waiting host calls, which neither epoch nor fuel can.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use pin_project_lite::pin_project;

use crate::classify::Stop;
use crate::clock::Watch;

/// Waker that unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Means of a thread to run calls: its deadline watch, and its waker if it may sleep.
pub(crate) struct Driver {
    watch: Watch,
    waker: Option<Waker>,
}

impl Driver {
    /// Makes the driver of the current thread, which may sleep. It allocates, so make it once per
    /// thread.
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, waker: Some(Waker::from(Arc::new(Unpark(thread::current())))) }
    }

    /// Makes a driver for a thread that must not sleep: its calls must not wait.
    pub(crate) fn sleepless(watch: Watch) -> Self {
        Self { watch, waker: None }
    }

    /// Polls a call once. Its guest is interrupted at `until`.
    pub(crate) fn poll<T>(
        &self,
        call: Pin<&mut (impl Future<Output = T> + ?Sized)>,
        waker: &Waker,
        until: Instant,
    ) -> Poll<T> {
        let _watched = Watched::new(&self.watch, until);
        call.poll(&mut Context::from_waker(waker))
    }

    /// Runs a call that ends by `until` to its end; sleeps while the call waits.
    pub(crate) fn run<T>(&self, call: impl Future<Output = T>, until: Instant) -> T {
        let mut call = pin!(call);
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        loop {
            if let Poll::Ready(output) = self.poll(call.as_mut(), waker, until) {
                return output;
            }
            thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// Guard that marks a call as running until it is dropped, also by a panic.
struct Watched<'a>(&'a Watch);

impl<'a> Watched<'a> {
    fn new(watch: &'a Watch, until: Instant) -> Self {
        watch.set(until);
        Self(watch)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Bounds of a call's waits.
pub(crate) struct Bounds<S> {
    /// Instant at which the call is given up.
    pub(crate) until: Instant,
    /// False for a call that is given up when it waits at all.
    pub(crate) waits: bool,
    /// Check whether the call must stop.
    pub(crate) stopped: S,
}

pin_project! {
    /// Future that ends with the output of another one, or with why that was given up.
    pub(crate) struct Bounded<F, S> {
        #[pin]
        future: Option<F>,
        bounds: Bounds<S>,
        is_begun: bool,
    }
}

/// Runs the future to its output, or returns why it was given up.
pub(crate) fn bounded<F, S>(future: F, bounds: Bounds<S>) -> Bounded<F, S> {
    // Not an async function, which would keep room for its argument twice.
    Bounded { future: Some(future), bounds, is_begun: false }
}

impl<F: Future, S: Fn() -> Option<Stop>> Future for Bounded<F, S> {
    type Output = Result<F::Output, Stop>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Check before the next poll: a runtime that shuts down with its query wakes its futures
        // without a result, and a guest whose time is up must not go on.
        let over = std::mem::replace(this.is_begun, true).then(|| this.bounds.over()).flatten();
        let stop = match (over, this.future.as_mut().as_pin_mut()) {
            (Some(stop), _) => stop,
            (None, None) => Stop::Cancelled,
            (None, Some(future)) => match future.poll(context) {
                Poll::Ready(output) => return Poll::Ready(Ok(output)),
                Poll::Pending if this.bounds.waits => match this.bounds.over() {
                    Some(stop) => stop,
                    None => return Poll::Pending,
                },
                Poll::Pending => (this.bounds.stopped)().unwrap_or(Stop::Time),
            },
        };
        let _unwinding = Unwinding::begin();
        this.future.set(None);
        Poll::Ready(Err(stop))
    }
}

impl<S: Fn() -> Option<Stop>> Bounds<S> {
    fn over(&self) -> Option<Stop> {
        (self.stopped)().or_else(|| (Instant::now() >= self.until).then_some(Stop::Time))
    }
}

thread_local! {
    static UNWINDING: Cell<bool> = const { Cell::new(false) };
}

/// Returns true while this thread drops the future of a call that it gave up, which unwinds the
/// guest in its host call.
pub(crate) fn is_unwinding() -> bool {
    UNWINDING.get()
}

/// Guard that ends the unwinding, also on a panic.
struct Unwinding;

impl Unwinding {
    fn begin() -> Self {
        UNWINDING.set(true);
        Self
    }
}

impl Drop for Unwinding {
    fn drop(&mut self) {
        UNWINDING.set(false);
    }
}
