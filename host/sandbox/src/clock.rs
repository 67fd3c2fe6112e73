//! What interrupts guests in time: one thread for all engines, asleep until the earliest deadline of a running call.
//!
//! A deadline is an instant that each store's epoch callback compares with the clock; the epoch itself counts nothing.
//! It is bumped when a deadline comes, when a query is cancelled, and never otherwise, so that an idle or a punctual
//! host does no work for it. Counting ticks instead is late by up to ten of them.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use wasmtime::{Engine, EngineWeak};

use crate::profile::Probe;

/// How soon the epoch is bumped again while a call is past its deadline: covers a store that had not yet set its own
/// epoch when the first bump came.
const AGAIN: Duration = Duration::from_millis(1);
const NEVER: u64 = u64::MAX;
/// The clock thread is awake and will look at all deadlines before it sleeps.
const AWAKE: u64 = 0;

/// The deadlines of the calls that run now. Clones share one thread.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

struct Shared {
    base: Instant,
    engines: Mutex<Vec<EngineWeak>>,
    watched: Mutex<Vec<Weak<AtomicU64>>>,
    wakes_at: AtomicU64,
    thread: Mutex<Option<Thread>>,
}

/// One caller's entry: at most one running call at a time.
pub(crate) struct Watch {
    clock: Clock,
    deadline: Arc<AtomicU64>,
    /// What takes samples of its calls.
    probe: Option<Arc<Probe>>,
}

impl Clock {
    /// A clock without engines yet.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            base: Instant::now(),
            engines: Mutex::default(),
            watched: Mutex::default(),
            wakes_at: AtomicU64::new(AWAKE),
            thread: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        let handle = thread::Builder::new().name("frond-clock".to_owned()).spawn(move || run(&weak))?;
        *lock(&shared.thread) = Some(handle.thread().clone());
        Ok(Self(shared))
    }

    /// Interrupts guests of this engine, too.
    pub(crate) fn add(&self, engine: &Engine) {
        lock(&self.0.engines).push(engine.weak());
    }

    /// An entry for a thread that makes calls.
    pub(crate) fn watch(&self) -> Watch {
        let deadline = Arc::new(AtomicU64::new(NEVER));
        let mut watched = lock(&self.0.watched);
        watched.retain(|one| one.strong_count() > 0);
        watched.push(Arc::downgrade(&deadline));
        Watch { clock: self.clone(), deadline, probe: None }
    }

    /// Lets every running guest ask, now, whether it should stop.
    pub(crate) fn bump(&self) {
        self.0.bump();
    }
}

impl Watch {
    /// The same, with samples taken of its calls.
    pub(crate) fn sampled(self, probe: Option<Arc<Probe>>) -> Self {
        Self { probe, ..self }
    }

    pub(crate) fn probe(&self) -> Option<&Arc<Probe>> {
        self.probe.as_ref()
    }

    /// A call begins that must end by `deadline`.
    pub(crate) fn set(&self, deadline: Instant) {
        let at = self.clock.0.nanos(deadline);
        self.deadline.store(at, Ordering::SeqCst);
        if at < self.clock.0.wakes_at.load(Ordering::SeqCst) {
            self.clock.0.wake();
        }
    }

    /// The call has ended.
    pub(crate) fn clear(&self) {
        self.deadline.store(NEVER, Ordering::SeqCst);
    }
}

impl Shared {
    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(since).unwrap_or(NEVER - 1).max(AWAKE + 1)
    }

    fn wake(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }

    fn bump(&self) {
        // Whoever sees the epoch that follows also sees why: wasmtime counts it without any ordering.
        fence(Ordering::SeqCst);
        lock(&self.engines).retain(|engine| match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        });
    }

    fn earliest(&self) -> u64 {
        let load = |one: &Weak<AtomicU64>| one.upgrade().map_or(NEVER, |at| at.load(Ordering::SeqCst));
        lock(&self.watched).iter().map(load).min().unwrap_or(NEVER)
    }

    /// How long to sleep; `None` until woken. Bumps the epoch when a deadline has come.
    fn step(&self) -> Option<Duration> {
        self.wakes_at.store(AWAKE, Ordering::SeqCst);
        let earliest = self.earliest();
        let now = self.nanos(Instant::now());
        let sleep = if earliest <= now {
            self.bump();
            AGAIN
        } else {
            Duration::from_nanos(earliest - now)
        };
        let until = now.saturating_add(u64::try_from(sleep.as_nanos()).unwrap_or(NEVER));
        let until = if earliest == NEVER { NEVER } else { until };
        self.wakes_at.store(until, Ordering::SeqCst);
        // A deadline set since `earliest` was read may not have seen `wakes_at`: look once more.
        if self.earliest() < until.min(earliest) {
            return Some(Duration::ZERO);
        }
        (until != NEVER).then_some(sleep)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake();
    }
}

fn run(shared: &Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let sleep = strong.step();
        drop(strong);
        match sleep {
            Some(Duration::ZERO) => {}
            Some(sleep) => thread::park_timeout(sleep),
            None => thread::park(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
