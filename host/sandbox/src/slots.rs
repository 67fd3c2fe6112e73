//! The threads that leaves run on. Wasm keeps its thread busy, so leaves have threads of their own, apart from timers
//! and the gather; a thread takes leaf after leaf from one query without a hand-over, and moves to the next query
//! after a millisecond. A leaf that is likely to be over sooner than a thread would be awake runs where it is asked for, if
//! nothing else runs: see `brief.rs`.

mod queries;
mod tenants;

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use frond_root::{Attempt, LeafRunner, Outcome, Scatter, Usage};

use crate::clock::Clock;
use crate::host::CallOrigin;
use crate::inline::is_given_up;
use crate::leaf::Leaf;
use crate::park::{self, CallContext};
use crate::placement::Parker;
use crate::shares::Share;

use queries::{Queries, Turn, behind};

/// How long a thread stays with one query while others wait.
const TURN: Duration = Duration::from_millis(1);

/// A pool of leaf threads, shared by all queries of the process. The threads end when the last clone is dropped, each
/// once the leaf that it runs has ended.
#[derive(Clone)]
pub struct Slots(Arc<Owner>);

/// What the threads do not hold, so that it can tell them that nobody wants them any more.
struct Owner(Arc<Shared>);

struct Shared {
    clock: Clock,
    queries: Mutex<Queries>,
    threads: Mutex<Vec<Thread>>,
    /// How many threads there are to be.
    count: usize,
    running: AtomicUsize,
    /// Of the one leaf that runs on a thread of its query's.
    guest_seat: Mutex<CallContext>,
}

/// One query's leaves.
struct Query {
    scatter: Arc<Scatter>,
    leaf: Leaf,
    /// Of background work.
    share: Share,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queries = lock(&self.0.queries);
        queries.stopping = true;
        // Nobody is left to run them. Their own end may come back here, so the lock is let go of first.
        let attached = queries.clear();
        let idle = std::mem::take(&mut queries.idle);
        drop(queries);
        drop(attached);
        idle.iter().for_each(|parker| parker.wake(false));
    }
}

impl Slots {
    /// Starts `count` leaf threads. Host calls that wait are served by `runtime`.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(count: usize, clock: &Clock, runtime: &tokio::runtime::Handle) -> std::io::Result<Self> {
        Self::start_with(count, clock, runtime, false)
    }

    /// The same; with `back`, the threads step back for all else that runs on the machine, other processes included.
    ///
    /// # Errors
    /// As [`Slots::start`].
    pub fn start_with(
        count: usize,
        clock: &Clock,
        runtime: &tokio::runtime::Handle,
        back: bool,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            queries: Mutex::new(Queries::new(count)),
            threads: Mutex::default(),
            count: count.max(1),
            running: AtomicUsize::new(0),
            guest_seat: Mutex::new(CallContext { watch: clock.watch(), waker: None, slot: None }),
        });
        // Made first: should a thread not start, those that did are told to end.
        let slots = Self(Arc::new(Owner(shared.clone())));
        for slot in (0_u32..).take(count.max(1)) {
            let (shared, runtime) = (shared.clone(), runtime.clone());
            let thread = thread::Builder::new().name(format!("frond-leaf-{slot}")).spawn(move || {
                let _host_calls_wait_on = runtime.enter();
                if back {
                    step_back();
                }
                SlotThread::new(slot, &shared.clock).run(&shared);
            })?;
            lock(&slots.0.0.threads).push(thread.thread().clone());
        }
        Ok(slots)
    }

    /// Threads that may run background work at once: all but one, which is left to queries.
    #[must_use]
    pub fn behind(&self) -> usize {
        behind(self.0.0.count)
    }

    /// Threads that run leaves now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.0.running.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Wakes one thread, if one waits. It wakes the next, should it leave something to claim.
    fn nudge(&self) {
        // A thread that has just found nothing holds the lock until it is among those that wait.
        let next = lock(&self.queries).next_to_wake();
        if let Some((parker, apart)) = next {
            parker.wake(apart);
        }
    }

    /// A query has closed: its guests are asked to stop, those that wait in a host call included.
    fn closed(&self, guests: bool) {
        if guests {
            self.clock.bump();
            for thread in &*lock(&self.threads) {
                thread.unpark();
            }
        }
        // Their own end may come back here, so the lock is let go of first.
        let gone = lock(&self.queries).remove_closed();
        drop(gone);
    }

    /// The next attempt of any query, fair between tenants, background work by its weight and only when no query has one; sleeps
    /// while there is none. `None` when the pool stops. Accounts for the thread's last turn.
    fn next(&self, slot: u32, parker: &Arc<Parker>, ended: Option<Turn>) -> Option<(Arc<Query>, Attempt)> {
        if let Some(turn) = ended {
            // Its query may end with it, and come back here: without the lock.
            lock(&self.queries).ended(&turn);
        }
        let mut queries = lock(&self.queries);
        loop {
            if queries.stopping {
                return None;
            }
            // The last thread that is free leaves its place to the leaf that runs elsewhere.
            let free = !queries.idle.is_empty() || !queries.at_once;
            if let Some(next) = free.then(|| queries.next(slot)).flatten() {
                let other = queries.next_to_wake();
                drop(queries);
                if let Some((parker, apart)) = other {
                    parker.wake(apart);
                }
                return Some(next);
            }
            queries.idle.push(parker.clone());
            drop(queries);
            parker.sleep();
            queries = lock(&self.queries);
            // Woken by nobody, it is still there.
            queries.idle.retain(|idle| !Arc::ptr_eq(idle, parker));
        }
    }
}

impl Shared {
    /// Runs a query's only leaf on this thread if it is likely to be brief and nothing else runs; hands it over to a leaf
    /// thread if it was not brief.
    fn at_once(&self, query: &Arc<Query>) {
        if !query.leaf.is_brief(&query.scatter) || !self.begin_at_once() {
            return;
        }
        let context = lock(&self.guest_seat);
        let run = AssertUnwindSafe(|| {
            let attempt = query.scatter.claim(0, now())?;
            self.running.fetch_add(1, Ordering::Relaxed);
            let (left, _) = query.run(attempt, &context);
            self.running.fetch_sub(1, Ordering::Relaxed);
            left
        });
        // A bug of ours, or of a source's, costs the attempt.
        let left = panic::catch_unwind(run).unwrap_or_else(|_| {
            context.watch.clear();
            self.running.fetch_sub(1, Ordering::Relaxed);
            None
        });
        drop(context);
        let mut queries = lock(&self.queries);
        queries.at_once = false;
        if !queries.stopping {
            queries.handed.extend(left.map(|attempt| (query.clone(), attempt)));
        }
    }

    /// True if a leaf may run elsewhere: all threads wait.
    fn begin_at_once(&self) -> bool {
        let mut queries = lock(&self.queries);
        let free =
            queries.idle.len() == self.count && !queries.at_once && !queries.stopping && queries.handed.is_empty();
        queries.at_once |= free;
        free
    }
}

impl Query {
    /// Background work.
    fn is_behind(&self) -> bool {
        self.scatter.background().is_some()
    }

    /// Runs an attempt and ends it. It is given back if it was only given up because its thread must not be kept; with it comes
    /// the time that the call took.
    fn run(&self, attempt: Attempt, context: &CallContext) -> (Option<Attempt>, Duration) {
        let (began, deadline) = (Instant::now(), attempt.deadline());
        let called = self.leaf.call(attempt, context);
        let took = began.elapsed();
        let output = called.result.as_ref().map_or(0, |partial| partial.len() as u64);
        let usage = Usage { output, ..called.usage };
        let short_calls = self.leaf.plugin.short_calls();
        let given_up = context.waker.is_none()
            && now() < deadline
            && called.result.as_ref().is_err_and(|failure| is_given_up(failure, took, &self.leaf.limits, short_calls));
        // What a failed call wrote is in its failure.
        let wrote = called.log.as_ref().filter(|log| called.result.is_ok() && log.written() > 0);
        let log = wrote.map(|log| log.read().shown()).unwrap_or_default();
        let mut left = None;
        if let CallOrigin::Leaf(attempt) = called.caller {
            match given_up {
                true => left = Some(attempt),
                false => attempt.end(Outcome { result: called.result, usage, log }, now()),
            }
        }
        if let Some(weight) = self.scatter.background() {
            self.share.ran(took, weight);
        }
        self.leaf.plugin.learn(context.slot, took);
        (left, took)
    }
}

/// One leaf thread.
struct SlotThread {
    slot: u32,
    context: CallContext,
    parker: Arc<Parker>,
}

impl SlotThread {
    /// On the thread that it is for.
    fn new(slot: u32, clock: &Clock) -> Self {
        let context =
            CallContext { watch: clock.watch(), waker: Some(park::waker()), slot: usize::try_from(slot).ok() };
        Self { slot, context, parker: Arc::new(Parker::new(slot)) }
    }

    fn run(&self, shared: &Shared) {
        let mut ended = None;
        while let Some((query, attempt)) = shared.next(self.slot, &self.parker, ended.take()) {
            let began = Instant::now();
            shared.running.fetch_add(1, Ordering::Relaxed);
            // A bug of ours, or of a source's, costs its attempt, which is then `lost`, and not the slot.
            let turn = AssertUnwindSafe(|| self.turn(&query, attempt));
            let longest = panic::catch_unwind(turn).unwrap_or_else(|_| {
                self.context.watch.clear();
                began.elapsed()
            });
            shared.running.fetch_sub(1, Ordering::Relaxed);
            ended = Some(Turn { query, took: began.elapsed(), longest });
        }
    }

    /// Leaf after leaf of one query, for a turn. Gives the length of the longest.
    fn turn(&self, query: &Query, first: Attempt) -> Duration {
        let until = Instant::now() + TURN;
        let mut longest = Duration::ZERO;
        let mut next = Some(first);
        while let Some(attempt) = next {
            let (_, took) = query.run(attempt, &self.context);
            longest = longest.max(took);
            let now = now();
            next = (now.into_std() < until).then(|| query.scatter.claim(self.slot, now)).flatten();
        }
        longest
    }
}

/// Runs one app's leaves on the shared threads.
#[derive(Clone)]
pub struct LeafHost {
    slots: Slots,
    leaf: Leaf,
}

impl LeafHost {
    /// Leaves on shared threads.
    #[must_use]
    pub fn new(slots: Slots, leaf: Leaf) -> Self {
        Self { slots, leaf }
    }
}

impl LeafRunner for LeafHost {
    fn attach(&self, scatter: Arc<Scatter>) {
        let query = Arc::new(Query { scatter: scatter.clone(), leaf: self.leaf.clone(), share: Share::default() });
        lock(&self.slots.0.0.queries).attach(query.clone());
        let shared = Arc::downgrade(&self.slots.0.0);
        let closing = Arc::downgrade(&scatter);
        scatter.on_close(move || {
            if let Some(shared) = shared.upgrade() {
                // A leaf that is claimed from now on looks before it starts.
                shared.closed(closing.upgrade().is_none_or(|scatter| scatter.running() > 0));
            }
        });
        self.slots.0.0.at_once(&query);
        self.slots.0.0.nudge();
    }

    fn nudge(&self) {
        self.slots.0.0.nudge();
    }
}

/// A third of the share of a core that others have, by the weights of the scheduler: with the least (19, a seventieth) leaves
/// starved beside whoever asked, and nothing was answered.
const STEP_BACK: i32 = 5;

/// Gives this thread a smaller share of a busy core. Where that cannot be, it has an ordinary one.
fn step_back() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), STEP_BACK);
}

/// The real clock: leaves run in real time.
fn now() -> tokio::time::Instant {
    Instant::now().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
