//! Thread pool for system calls that may never return: a read from a network mount whose server is
//! gone, a lookup of a name. Such a call cannot be interrupted, so it must block neither a slot
//! thread nor a thread of the runtime, whose bounded pool is joined when the process ends. The
//! pool's threads are detached: the process ends without them.
//!
//! The calls for one resource, such as a folder, share a [`Bulkhead`], which bounds how many of
//! them run at once. A call whose caller has given up is *stuck* until it returns. A bulkhead with
//! too many stuck calls refuses further calls at once (circuit breaker), so that a dead mount costs
//! some threads and some deadlines, and not all of them.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use frond_root::sync::lock;
use tokio::sync::{Semaphore, oneshot};

/// Maximum number of threads of the process's pool.
pub(crate) const MAX_THREADS: usize = 512;
/// Maximum number of concurrent calls of one bulkhead.
pub(crate) const MAX_AT_ONCE: usize = 64;
/// Number of stuck calls from which a bulkhead refuses further ones.
pub(crate) const MAX_STUCK: usize = 8;
/// Time after which an idle thread ends.
const IDLE: Duration = Duration::from_secs(10);
/// Stack size of a thread: enough for the system's resolver, which may load third-party modules.
const STACK: usize = 1 << 20;

/// Pool of the process.
pub(crate) static THREADS: LazyLock<Threads> = LazyLock::new(|| Threads::new(MAX_THREADS));

/// Thread pool for file operations that may block. Clones share it.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Shared>);

/// State of a thread pool: queued calls, threads, and a bulkhead for each resource.
struct Shared {
    most: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
    running: AtomicUsize,
    stuck: AtomicUsize,
    bulkheads: Mutex<HashMap<Resource, Weak<Bulkhead>>>,
}

/// Queued calls, and the number of threads.
#[derive(Default)]
struct Queue {
    calls: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: usize,
    idle: usize,
}

/// Resource that calls are made for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Resource {
    /// A granted folder.
    Folder(PathBuf),
    /// Partitions on the file system of this number.
    FileSystem(u64),
    /// Names of hosts, for the system's resolver.
    Names,
}

/// Usage of a thread pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Number of threads.
    pub threads: usize,
    /// Number of running calls.
    pub running: usize,
    /// Number of running calls whose caller has given up.
    pub stuck: usize,
}

/// Returns the usage of the process's pool for file system calls and name lookups.
#[must_use]
pub fn usage() -> Usage {
    THREADS.usage()
}

impl Threads {
    /// Makes an empty pool of at most `most` threads.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            queue: Mutex::default(),
            wake: Condvar::new(),
            running: AtomicUsize::new(0),
            stuck: AtomicUsize::new(0),
            bulkheads: Mutex::default(),
        }))
    }

    fn usage(&self) -> Usage {
        Usage {
            threads: lock(&self.0.queue).threads,
            running: self.0.running.load(Ordering::Relaxed),
            stuck: self.0.stuck.load(Ordering::Relaxed),
        }
    }

    /// Returns the bulkhead of a resource, shared by all its users.
    pub(crate) fn lane(&self, resource: &Resource) -> Arc<Bulkhead> {
        let mut bulkheads = lock(&self.0.bulkheads);
        if let Some(lane) = bulkheads.get(resource).and_then(Weak::upgrade) {
            return lane;
        }
        bulkheads.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Bulkhead {
            threads: self.clone(),
            places: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            stuck: AtomicUsize::new(0),
            // The resolver has its own timeout, and a guest with dead names must not block lookups
            // of others.
            most_stuck: if *resource == Resource::Names { usize::MAX } else { MAX_STUCK },
        });
        bulkheads.insert(resource.clone(), Arc::downgrade(&lane));
        lane
    }

    /// Queues a call, and wakes or starts a thread for it. If there is none and none can be
    /// started, the call is dropped.
    fn send(&self, call: Box<dyn FnOnce() + Send>) {
        let mut queue = lock(&self.0.queue);
        queue.calls.push_back(call);
        if queue.calls.len() <= queue.idle {
            self.0.wake.notify_one();
            return;
        }
        if queue.threads >= self.0.most {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let shared = self.0.clone();
        let thread = std::thread::Builder::new().name("frond-files".to_owned()).stack_size(STACK);
        if thread.spawn(move || shared.work()).is_err() {
            let mut queue = lock(&self.0.queue);
            queue.threads -= 1;
            let unserved = if queue.threads == 0 { std::mem::take(&mut queue.calls) } else { VecDeque::new() };
            drop(queue);
            drop(unserved);
        }
    }
}

impl Shared {
    /// Runs queued calls until the queue has been empty for a while.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(call) = queue.calls.pop_front() {
                drop(queue);
                // A bug in the host costs only its call, whose caller gets an error.
                let _ = catch_unwind(AssertUnwindSafe(call));
                queue = lock(&self.queue);
                continue;
            }
            queue.idle += 1;
            let (woken, waited) = self.wake.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if waited.timed_out() && queue.calls.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }
}

/// Reason why a call was not made or not finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Too many earlier calls are stuck.
    #[error("{MAX_STUCK} earlier calls to it have not returned: see whether its file system answers")]
    Stuck,
    /// No thread could be started, or the call panicked.
    #[error("no further thread can be started on this machine")]
    Lost,
}

/// Bulkhead for the calls on one resource: bounds them, and refuses further ones while too many are
/// stuck.
pub(crate) struct Bulkhead {
    threads: Threads,
    places: Arc<Semaphore>,
    stuck: AtomicUsize,
    most_stuck: usize,
}

impl Bulkhead {
    /// Makes a call on a thread of the pool. Dropping the future gives the call up: if it has not
    /// begun, it is not made.
    ///
    /// # Errors
    /// The reason why the call was not made or not finished.
    pub(crate) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CallError> {
        self.open()?;
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.map_err(|_| CallError::Lost)?;
        self.open()?;
        let (send, receive) = oneshot::channel();
        let waiting = Waiting { lane: self.clone(), state: Arc::default() };
        let lane = self.clone();
        let state = waiting.state.clone();
        self.threads.send(Box::new(move || {
            let _place = place;
            if let Some(result) = lane.run(&state, call) {
                // Without a receiver, the result is dropped here, which closes a file in it.
                let _ = send.send(result);
            }
        }));
        let result = receive.await.map_err(|_| CallError::Lost);
        drop(waiting);
        result
    }

    fn open(&self) -> Result<(), CallError> {
        if self.stuck.load(Ordering::Relaxed) < self.most_stuck { Ok(()) } else { Err(CallError::Stuck) }
    }

    /// Runs a call on the current pool thread. Returns `None` if the call was given up before it
    /// began, or panicked.
    fn run<T>(&self, state: &AtomicU8, call: impl FnOnce() -> T) -> Option<T> {
        state.compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire).ok()?;
        let running = &self.threads.0.running;
        running.fetch_add(1, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(call));
        running.fetch_sub(1, Ordering::Relaxed);
        if state.swap(DONE, Ordering::AcqRel) == GONE {
            self.count_stuck(false);
        }
        result.ok()
    }

    /// Drops a value on a thread of the pool, as closing a file may block. Does not wait for it.
    pub(crate) fn discard(&self, value: impl Send + 'static) {
        self.threads.send(Box::new(move || drop(value)));
    }

    fn count_stuck(&self, more: bool) {
        for count in [&self.stuck, &self.threads.0.stuck] {
            if more {
                count.fetch_add(1, Ordering::Relaxed);
            } else {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// States of a call.
const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
const DONE: u8 = 2;
/// Given up by its caller: the call runs, or must not begin.
const GONE: u8 = 3;

/// Guard of a waiting caller: gives the call up when it is dropped.
struct Waiting {
    lane: Arc<Bulkhead>,
    state: Arc<AtomicU8>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.state.compare_exchange(QUEUED, GONE, Ordering::AcqRel, Ordering::Acquire).is_ok()
            || self.state.load(Ordering::Acquire) == DONE
        {
            return;
        }
        // Count first: the call may return at once, and count down.
        self.lane.count_stuck(true);
        if self.state.compare_exchange(RUNNING, GONE, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.lane.count_stuck(false);
        }
    }
}

/// Returns a future's output if it is ready now.
pub(crate) fn now<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests;
