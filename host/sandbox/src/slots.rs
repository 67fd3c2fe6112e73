//! Pool of slot threads, which run leaves. Wasm keeps its thread busy, so leaves run apart from
//! timers and the gather. A thread runs leaf after leaf of one query without a hand-over, and moves
//! to the next query after a millisecond. A leaf that waits for something outside leaves its slot
//! to others until it is woken: see `slots/task.rs`. A leaf that probably ends sooner than a slot
//! thread would wake up runs on its query's thread, if no other leaf runs: see `inline.rs`.

mod queries;
mod query;
mod task;
mod waiting;
mod warm;

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use frond_root::dispatch::most_background;
use frond_root::sync::lock;
use frond_root::{Attempt, LeafRunner, PieceSizes, Work};

use crate::clock::Clock;
use crate::fast_paths::FastPaths;
use crate::leaf::{CallContext, Leaf};
use crate::park::Driver;
use crate::placement::Parker;

use queries::{Queries, Turn};
pub use waiting::{WAITING, WAITING_MEMORY, WaitLimits};

use query::{Claim, Query, now};
use task::{Nudge, Ran};
use waiting::Waiting;
use warm::WarmQueries;

/// Time after which a thread leaves one query for the next.
const TURN: Duration = Duration::from_millis(1);

/// Pool of slot threads, shared by all queries of the process. When the last clone is dropped, each
/// thread ends after the leaf that it runs.
#[derive(Clone)]
pub struct Slots(Arc<Owner>);

/// Owner of the pool, which the threads do not hold: its drop tells them to end.
struct Owner(Arc<Shared>);

/// Queries and threads of a pool of slots.
struct Shared {
    clock: Clock,
    queries: Mutex<Queries>,
    threads: Mutex<Vec<Thread>>,
    /// Number of threads, also before all have started.
    count: usize,
    running: AtomicUsize,
    /// Leaves that wait without a slot.
    waiting: Arc<Waiting>,
    /// Driver of the one leaf that runs on its query's thread.
    inline: Mutex<Driver>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queries = lock(&self.0.queries);
        queries.stopping = true;
        // A dropped query may call back into the pool, so drop outside the lock.
        let attached = queries.clear();
        let idle = std::mem::take(&mut queries.idle);
        drop(queries);
        drop(attached);
        idle.iter().for_each(|parker| parker.wake(false));
        self.0.waiting.close();
    }
}

/// Settings of a pool of slots.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotSettings {
    /// Number of slots.
    pub count: usize,
    /// Bounds on the leaves that wait without a slot.
    pub waiting: WaitLimits,
    /// True if the threads run at a lower priority than other threads of the machine, other
    /// processes included.
    pub steps_back: bool,
    /// Mechanisms for tiny leaves.
    #[doc(hidden)]
    pub fast: FastPaths,
}

impl Slots {
    /// Starts `count` slot threads, with the default bounds on waiting leaves. `runtime` serves the
    /// host calls that wait.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(count: usize, clock: &Clock, runtime: &tokio::runtime::Handle) -> std::io::Result<Self> {
        Self::start_with(SlotSettings { count, ..SlotSettings::default() }, clock, runtime)
    }

    /// Starts slot threads as [`Slots::start`] does.
    ///
    /// # Errors
    /// As [`Slots::start`].
    pub fn start_with(
        settings: SlotSettings,
        clock: &Clock,
        runtime: &tokio::runtime::Handle,
    ) -> std::io::Result<Self> {
        let count = settings.count.max(1);
        let shared = Arc::new(Shared {
            clock: clock.clone(),
            queries: Mutex::new(Queries::new(count)),
            threads: Mutex::default(),
            count,
            running: AtomicUsize::new(0),
            waiting: Arc::new(Waiting::new(count, settings.waiting)),
            inline: Mutex::new(Driver::sleepless(clock.watch())),
        });
        // Made first: if a thread does not start, dropping this ends the threads that did.
        let slots = Self(Arc::new(Owner(shared.clone())));
        for slot in (0_u32..).take(count) {
            let shared = shared.clone();
            let runtime = runtime.clone();
            let thread = thread::Builder::new().name(format!("frond-leaf-{slot}")).spawn(move || {
                let _host_calls_wait_on = runtime.enter();
                if settings.steps_back {
                    step_back();
                }
                SlotThread::new(slot, &shared.clock, settings.fast.placement).run(&shared);
            })?;
            lock(&slots.0.0.threads).push(thread.thread().clone());
        }
        let runtime = runtime.clone();
        thread::Builder::new().name("frond-waiting".to_owned()).spawn(move || {
            let _host_calls_wait_on = runtime.enter();
            shared.waiting.run(&shared.clock, || shared.nudge());
        })?;
        Ok(slots)
    }

    /// Returns the number of threads that may run background work at once: all but one, which stays
    /// reserved for queries.
    #[must_use]
    pub fn behind(&self) -> usize {
        most_background(self.0.0.count)
    }

    /// Returns the number of leaves that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.0.running.load(Ordering::Relaxed)
    }

    /// Returns the most leaves that may wait without a slot.
    #[must_use]
    pub fn room_to_wait(&self) -> usize {
        self.0.0.waiting.most()
    }

    /// Returns the number of leaves that wait without a slot now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.0.waiting.count()
    }
}

impl Nudge for Shared {
    fn nudge(&self) {
        // A thread that has just found nothing holds the lock until it is in the idle list.
        let next = lock(&self.queries).next_to_wake();
        if let Some((parker, apart)) = next {
            parker.wake(apart);
        }
    }
}

impl Shared {
    /// Removes closed queries; with `guests`, interrupts their leaves, also those that wait in a
    /// host call.
    fn closed(&self, guests: bool) {
        if guests {
            self.interrupt();
        }
        // A dropped query may call back into the pool, so drop outside the lock.
        let gone = lock(&self.queries).remove_closed();
        drop(gone);
    }

    /// Interrupts guests that must stop, also those that wait in a host call. The others go on.
    fn interrupt(&self) {
        self.clock.bump();
        for thread in &*lock(&self.threads) {
            thread.unpark();
        }
        self.waiting.stop();
    }

    /// Claims the next attempt of any query: fair between tenants; background work, by weight, only
    /// if no query has an attempt. Sleeps while there is none. Returns `None` when the pool stops.
    /// Accounts for the thread's last turn first.
    fn next(&self, slot: u32, parker: &Arc<Parker>, ended: Option<Turn>) -> Option<(Arc<Query>, Claim)> {
        if let Some(turn) = ended {
            // Dropping its query may call back into the pool, so do it outside the lock.
            lock(&self.queries).ended(&turn);
        }
        let mut queries = lock(&self.queries);
        loop {
            if queries.stopping {
                return None;
            }
            // While a leaf runs inline, one thread stays idle in its place.
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
            // A spurious wake-up leaves it in the idle list.
            queries.idle.retain(|idle| !Arc::ptr_eq(idle, parker));
        }
    }
}

impl Shared {
    /// Runs a query's only leaf on this thread if it is probably short and no other leaf runs.
    /// Hands it over to a slot thread if it was not short.
    fn at_once(&self, query: &Arc<Query>) {
        if !query.leaf.is_brief(&*query.work) || !self.begin_at_once() {
            return;
        }
        let driver = lock(&self.inline);
        let context = CallContext { inline: true, ..CallContext::default() };
        let run = AssertUnwindSafe(|| {
            let attempt = Attempt::claim(&query.work, 0, now())?;
            self.running.fetch_add(1, Ordering::Relaxed);
            let until = attempt.deadline().into_std();
            let ran = driver.run(query.run(attempt, &context, None), until);
            self.running.fetch_sub(1, Ordering::Relaxed);
            ran.left
        });
        // A bug in the host or in a source costs only the attempt.
        let left = panic::catch_unwind(run).unwrap_or_else(|_| {
            self.running.fetch_sub(1, Ordering::Relaxed);
            None
        });
        drop(driver);
        let mut queries = lock(&self.queries);
        queries.at_once = false;
        if !queries.stopping {
            queries.handed.extend(left.map(|attempt| (query.clone(), attempt)));
        }
    }

    /// Reserves the inline run: returns true if all slot threads are idle.
    fn begin_at_once(&self) -> bool {
        let mut queries = lock(&self.queries);
        let free =
            queries.idle.len() == self.count && !queries.at_once && !queries.stopping && queries.handed.is_empty();
        queries.at_once |= free;
        free
    }
}

/// State of one slot thread.
struct SlotThread {
    slot: u32,
    context: CallContext,
    driver: Driver,
    warm: WarmQueries,
    parker: Arc<Parker>,
}

impl SlotThread {
    /// Makes the state; must run on the slot thread.
    fn new(slot: u32, clock: &Clock, placement: bool) -> Self {
        let context = CallContext { slot: usize::try_from(slot).ok(), ..CallContext::default() };
        Self {
            slot,
            context,
            driver: Driver::new(clock.watch()),
            warm: WarmQueries::default(),
            parker: Arc::new(Parker::new(slot, placement)),
        }
    }

    fn run(&mut self, shared: &Shared) {
        let mut ended = None;
        while let Some((query, claim)) = shared.next(self.slot, &self.parker, ended.take()) {
            let began = Instant::now();
            shared.running.fetch_add(1, Ordering::Relaxed);
            // A bug in the host or in a source costs its attempt, which is then `lost`, and not the
            // slot.
            let turn = AssertUnwindSafe(|| self.turn(&query, claim));
            let longest = panic::catch_unwind(turn).unwrap_or_else(|_| began.elapsed());
            shared.running.fetch_sub(1, Ordering::Relaxed);
            ended = Some(Turn { query, took: began.elapsed(), longest });
        }
    }

    /// Runs leaf after leaf of one query for a turn. Returns the duration of the longest.
    fn turn(&mut self, query: &Arc<Query>, first: Claim) -> Duration {
        let mut begun = Instant::now();
        let until = begun + TURN;
        let mut longest = Duration::ZERO;
        let mut next = Some(first);
        while let Some(claim) = next {
            self.advance(query, claim);
            let ended = Instant::now();
            longest = longest.max(ended - begun);
            begun = ended;
            next = (ended < until).then(|| query.claim(self.slot)).flatten();
        }
        longest
    }

    /// Polls a call until it ends or leaves the slot to wait; without room to wait elsewhere, it
    /// waits here.
    fn advance(&mut self, query: &Arc<Query>, claim: Claim) {
        let claimed = match claim {
            Claim::New(attempt) => Some(query.begin(attempt, &self.context)),
            Claim::Woken(task) => task.resume().map(|call| (task, call)),
        };
        let Some((task, mut call)) = claimed else { return };
        let waker = Waker::from(task.clone());
        loop {
            if let Poll::Ready(Ran { kept, .. }) = self.driver.poll(call.as_mut(), &waker, task.until()) {
                if let Some((slot, size)) = kept {
                    self.warm.add(&query.warm, slot, size);
                }
                return;
            }
            let Some((still, _occupied)) = task.leave(call) else { return };
            call = still;
            task.sleep();
        }
    }
}

/// Runner of one app's leaves on the shared slot threads.
#[derive(Clone)]
pub struct LeafHost {
    slots: Slots,
    leaf: Leaf,
}

impl LeafHost {
    /// Makes a runner.
    #[must_use]
    pub fn new(slots: Slots, leaf: Leaf) -> Self {
        Self { slots, leaf }
    }
}

impl LeafRunner for LeafHost {
    fn attach(&self, work: Arc<dyn Work>) {
        let pool = &self.slots.0.0;
        let nudged: Weak<dyn Nudge> = Arc::downgrade(&(pool.clone() as Arc<dyn Nudge>));
        let query = Arc::new(Query::new((&work, &self.leaf), pool.count, &pool.waiting, nudged));
        lock(&self.slots.0.0.queries).attach(query.clone());
        let shared = Arc::downgrade(&self.slots.0.0);
        let closing = Arc::downgrade(&work);
        work.on_stop(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                // A leaf that is claimed later checks before it starts.
                shared.closed(closing.upgrade().is_none_or(|work| work.running() > 0));
            }
        }));
        let shared = Arc::downgrade(&self.slots.0.0);
        work.on_superseded(Arc::new(move |_id| {
            if let Some(shared) = shared.upgrade() {
                shared.interrupt();
            }
        }));
        let shared = Arc::downgrade(&self.slots.0.0);
        work.on_cuttable(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.nudge();
            }
        }));
        self.slots.0.0.at_once(&query);
        self.slots.0.0.nudge();
    }

    fn nudge(&self) {
        self.slots.0.0.nudge();
    }

    fn slots(&self) -> usize {
        self.slots.0.0.count
    }

    fn pieces(&self) -> Option<PieceSizes> {
        let sizes = if self.leaf.deterministic { PieceSizes::Fixed } else { PieceSizes::Timed };
        self.leaf.plugin.takes_pieces().then_some(sizes)
    }
}

/// Nice value of slot threads that step back: by the scheduler's weights, a third of the share of
/// an ordinary thread. With the lowest priority (19, a seventieth) leaves starved beside the
/// client's own threads, and no query was answered.
const STEP_BACK: i32 = 5;

/// Lowers the priority of this thread. A failure is ignored.
fn step_back() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), STEP_BACK);
}
