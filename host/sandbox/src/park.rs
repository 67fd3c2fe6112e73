//! Runs a guest call's future on this thread. Wasm runs to its end within one poll; only a host call that waits makes
//! it pending, and then the thread sleeps until it is woken, stopped, or out of time: the limit on host calls that
//! neither epoch nor fuel can see.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::classify::Stop;
use crate::clock::Watch;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Where a thread's calls are made.
pub(crate) struct CallContext {
    pub(crate) watch: Watch,
    /// Without one, the thread must not sleep, and a call is given up after [`AT_MOST`](crate::inline::AT_MOST).
    pub(crate) waker: Option<Waker>,
    /// The slot that the thread is, if it is one.
    pub(crate) slot: Option<usize>,
}

/// Wakes the current thread. Made once a thread, as it allocates.
pub(crate) fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// The future's output, or why it was given up. Without a waker it has no time to wait.
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

/// True on a thread that drops the future of a call which it gave up: the guest, which is in a host call, is unwound.
pub(crate) fn is_unwinding() -> bool {
    UNWINDING.get()
}

/// Ends the unwinding, panics included.
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
        // Asked before the future is: a runtime that ends with its query wakes what waits for it, in vain.
        if let Some(stop) = stopped() {
            return Err(stop);
        }
    }
}
