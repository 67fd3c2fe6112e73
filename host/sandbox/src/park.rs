//! Runs a guest call's future on the current thread. Wasm runs to its end within one poll; only a
//! host call that waits makes the future pending. Then the thread sleeps until it is woken, stopped
//! or out of time: this bounds waiting host calls, which neither epoch nor fuel can.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::classify::Stop;
use crate::clock::Watch;
use crate::profile::Probe;

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

/// Context in which a thread makes its calls.
pub(crate) struct CallContext {
    pub(crate) watch: Watch,
    /// Probe that takes samples of the calls.
    pub(crate) probe: Option<Arc<Probe>>,
    /// Waker of the thread. Without one the thread must not sleep, and a call is given up after
    /// [`AT_MOST`](crate::inline::AT_MOST).
    pub(crate) waker: Option<Waker>,
    /// Slot of the thread, if it is a slot thread.
    pub(crate) slot: Option<usize>,
}

/// Makes a waker of the current thread. It allocates, so make it once per thread.
pub(crate) fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Runs the future to its output, or returns why it was given up. Without a waker, a pending future
/// is given up at once.
pub(crate) fn run<T>(
    future: impl Future<Output = T>,
    waker: Option<&Waker>,
    deadline: Instant,
    stopped: impl Fn() -> Option<Stop>,
) -> Result<T, Stop> {
    let unwinding = Unwinding;
    let ended = {
        let mut future = pin!(future);
        let ended = drive(future.as_mut(), waker, deadline, stopped);
        UNWINDING.set(ended.is_err());
        ended
    };
    drop(unwinding);
    ended
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

impl Drop for Unwinding {
    fn drop(&mut self) {
        UNWINDING.set(false);
    }
}

fn drive<T>(
    mut future: Pin<&mut impl Future<Output = T>>,
    waker: Option<&Waker>,
    deadline: Instant,
    stopped: impl Fn() -> Option<Stop>,
) -> Result<T, Stop> {
    let mut context = Context::from_waker(waker.unwrap_or(Waker::noop()));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        if let Some(stop) = stopped() {
            return Err(stop);
        }
        let now = Instant::now();
        if waker.is_none() || now >= deadline {
            return Err(Stop::Time);
        }
        thread::park_timeout(deadline - now);
        // Check before the next poll: a runtime that shuts down with its query wakes its futures
        // without a result.
        if let Some(stop) = stopped() {
            return Err(stop);
        }
    }
}
