//! Interrupts guests at their deadlines: one thread for all engines, asleep until the earliest
//! deadline of a running call.
//!
//! Each store's epoch callback compares the call's deadline with the clock; the value of the epoch
//! means nothing. The clock bumps the epoch only when a deadline passes or a query is cancelled, so
//! an idle or punctual host does no work for it. A ticking epoch would be late by up to ten ticks.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use frond_root::sync::lock;
use wasmtime::{Engine, EngineWeak};

/// Delay of the next bump while a call is past its deadline: covers a store that had not yet set
/// its own epoch deadline when the first bump came.
const AGAIN: Duration = Duration::from_millis(1);
const NEVER: u64 = u64::MAX;
/// Value of `wakes_at` while the clock thread is awake: it will check all deadlines before it
/// sleeps.
const AWAKE: u64 = 0;

/// Deadlines of the running calls. Clones share one thread.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

/// Clock as its users and its thread share it.
struct Shared {
    base: Instant,
    engines: Mutex<Vec<EngineWeak>>,
    watched: Mutex<Vec<Weak<AtomicU64>>>,
    wakes_at: AtomicU64,
    thread: Mutex<Option<Thread>>,
}

/// Entry of one caller, which makes at most one call at a time.
pub(crate) struct Watch {
    clock: Clock,
    deadline: Arc<AtomicU64>,
}

impl Clock {
    /// Starts a clock without engines.
    ///
    /// # Errors
    /// If its thread cannot be started.
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

    /// Adds an engine, whose guests the clock then interrupts.
    pub(crate) fn add(&self, engine: &Engine) {
        lock(&self.0.engines).push(engine.weak());
    }

    /// Makes an entry for a thread that makes calls.
    pub(crate) fn watch(&self) -> Watch {
        let deadline = Arc::new(AtomicU64::new(NEVER));
        let mut watched = lock(&self.0.watched);
        watched.retain(|one| one.strong_count() > 0);
        watched.push(Arc::downgrade(&deadline));
        Watch { clock: self.clone(), deadline }
    }

    /// Bumps the epoch: every running guest checks now whether it should stop.
    pub(crate) fn bump(&self) {
        self.0.bump();
    }
}

impl Watch {
    /// Marks the start of a call that must end by `deadline`.
    pub(crate) fn set(&self, deadline: Instant) {
        let at = self.clock.0.nanos(deadline);
        self.deadline.store(at, Ordering::SeqCst);
        if at < self.clock.0.wakes_at.load(Ordering::SeqCst) {
            self.clock.0.wake();
        }
    }

    /// Marks the end of the call.
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
        // A guest that sees the new epoch must also see the reason: wasmtime bumps it without any
        // ordering.
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

    /// Returns the time to sleep; `None` to sleep until woken. Bumps the epoch if a deadline has
    /// passed.
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
        // A deadline that was set after `earliest` was read may have missed `wakes_at`: check
        // again.
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
