//! Sampling profiler for trial calls: records the guest's call stack at intervals, by function
//! names.
//!
//! A sample is taken at the guest's next check of the epoch: on entry to a function or at the head
//! of a loop, never within a host call. By clock, a thread bumps the epoch at an interval: the
//! samples show where the time went, and differ from run to run. By fuel, wasmtime interrupts the
//! guest each time it has used a given amount, and the epoch is bumped then: each sample stands for
//! the fuel since the previous one, and a deterministic guest has the same samples each time, on
//! any machine. The remaining fuel cannot be read at an epoch check, as compiled code holds it in a
//! register.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use frond_root::Digest;
use frond_root::sync::lock;
use wasmtime::component::Component;
use wasmtime::{GuestProfiler, Store, StoreContextMut};

use crate::clock::Clock;
use crate::escape::clip;

/// Most samples of a profile: some 20 MB.
const MAX_SAMPLES: u64 = 200_000;
/// Shortest interval by clock: with a shorter one, sampling would dominate the profile.
const MIN_INTERVAL: Duration = Duration::from_micros(50);
/// Least fuel between two samples, for the reason of [`MIN_INTERVAL`].
const MIN_FUEL: u64 = 1000;

/// Schedule of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// One sample per interval. A sample weighs the time since the previous one, in microseconds. A
    /// millisecond is a good interval.
    Clock(Duration),
    /// One sample per this much fuel, or a little more, as the guest checks the epoch only now and
    /// then. A sample weighs the fuel since the previous one. A guest uses 100,000 in about a tenth
    /// of a millisecond.
    Fuel(u64),
}

/// Profile of sampled calls.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Schedule of the samples.
    pub sampling: Sampling,
    /// Number of samples.
    pub samples: u64,
    /// Number of further samples that were dropped.
    pub more: u64,
    /// Samples in the "processed profile format" of the Firefox profiler, which
    /// <https://profiler.firefox.com> shows.
    /// `threadCPUDelta` is each sample's weight: microseconds by the clock, units of fuel by fuel.
    pub firefox: Vec<u8>,
}

/// Reason why there is no profile.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileError {
    /// No call was made.
    #[error("there was no call to take samples of")]
    NoCall,
    /// Sampling by fuel needs a guest with metered calls.
    #[error(
        "its calls are not metered, so that nothing says when fuel is used\n(set a limit on fuel, or sample by the clock)"
    )]
    Unmetered,
    /// More than one component was called.
    #[error("calls of several components cannot be in one profile")]
    SeveralComponents,
    /// wasmtime could not take samples.
    #[error("no samples could be taken: {0}")]
    Engine(String),
}

/// Sampler of the calls that it is attached to.
pub(crate) struct Probe {
    sampling: Sampling,
    name: String,
    clock: Clock,
    /// True if a sample is due at the next epoch check.
    due: AtomicBool,
    /// By fuel: remaining fuel at which the next sample is due.
    reserve: AtomicU64,
    /// By fuel: remaining fuel when the last sample became due.
    left: AtomicU64,
    /// By fuel: used fuel that no sample stands for yet.
    used: AtomicU64,
    state: Mutex<State>,
}

/// Running profiler with its samples and its first error.
struct State {
    profiler: Option<GuestProfiler>,
    /// Digest of the sampled component.
    of: Option<Digest>,
    error: Option<ProfileError>,
    last: Instant,
    samples: u64,
    more: u64,
}

impl Probe {
    pub(crate) fn new(clock: &Clock, name: &str, sampling: Sampling) -> Self {
        let sampling = match sampling {
            Sampling::Clock(interval) => Sampling::Clock(interval.max(MIN_INTERVAL)),
            Sampling::Fuel(fuel) => Sampling::Fuel(fuel.max(MIN_FUEL)),
        };
        Self {
            sampling,
            name: clip(name),
            clock: clock.clone(),
            due: AtomicBool::new(false),
            reserve: AtomicU64::new(0),
            left: AtomicU64::new(0),
            used: AtomicU64::new(0),
            state: Mutex::new(State {
                profiler: None,
                of: None,
                error: None,
                last: Instant::now(),
                samples: 0,
                more: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Begins to sample a call of the component with this digest. An error is reported by
    /// [`Probe::finish`]: the call itself goes on.
    pub(crate) fn begin<T>(&self, component: &Component, digest: Digest, store: &mut Store<T>) {
        let mut state = self.state();
        if state.error.is_some() {
            return;
        }
        if let Err(error) = self.attach(&mut state, component, digest, store) {
            state.error = Some(error);
        }
    }

    fn attach<T>(
        &self,
        state: &mut State,
        component: &Component,
        digest: Digest,
        store: &mut Store<T>,
    ) -> Result<(), ProfileError> {
        let engine = |error: wasmtime::Error| ProfileError::Engine(clip(&error.to_string()));
        let interval = match self.sampling {
            Sampling::Clock(interval) => interval,
            Sampling::Fuel(fuel) => {
                // Only the engine of metered calls counts fuel.
                let all = store.get_fuel().map_err(|_| ProfileError::Unmetered)?;
                store.fuel_async_yield_interval(Some(fuel)).map_err(engine)?;
                self.reserve.store(all.saturating_sub(fuel), Ordering::Relaxed);
                self.left.store(all, Ordering::Relaxed);
                self.used.store(0, Ordering::Relaxed);
                Duration::from_millis(1)
            }
        };
        if state.profiler.is_none() {
            let of = component.clone();
            let profiler = GuestProfiler::new_component(component.engine(), &self.name, interval, of, []);
            state.profiler = Some(profiler.map_err(engine)?);
            state.of = Some(digest);
        } else if state.of != Some(digest) {
            return Err(ProfileError::SeveralComponents);
        }
        state.last = Instant::now();
        Ok(())
    }

    /// Takes a sample if one is due; called at the guest's epoch checks. Returns the number of
    /// wasmtime's own host calls for it, which do not count as the guest's.
    pub(crate) fn look<T>(&self, store: &StoreContextMut<'_, T>) -> u64 {
        if !self.due.swap(false, Ordering::Relaxed) {
            return 0;
        }
        let own = if matches!(self.sampling, Sampling::Fuel(_)) { 2 } else { 1 };
        let mut state = self.state();
        if state.samples >= MAX_SAMPLES {
            state.more += 1;
            return own;
        }
        let now = Instant::now();
        let weight = match self.sampling {
            Sampling::Clock(_) => now.duration_since(state.last),
            // The format has microseconds; here they stand for fuel.
            Sampling::Fuel(_) => Duration::from_micros(self.used.swap(0, Ordering::Relaxed)),
        };
        state.last = now;
        if state.error.is_none()
            && let Some(profiler) = &mut state.profiler
        {
            profiler.sample(store, weight);
            state.samples += 1;
        }
        own
    }

    /// Records that the guest leaves wasm with this much fuel left. wasmtime gives the guest its
    /// fuel in portions and keeps a reserve. Once a portion is used up, this is wasmtime's own call
    /// for the next one, and a sample is due.
    pub(crate) fn leaves_wasm(&self, fuel: u64) {
        let Sampling::Fuel(interval) = self.sampling else { return };
        if fuel <= self.reserve.load(Ordering::Relaxed) {
            let before = self.left.swap(fuel, Ordering::Relaxed);
            self.used.fetch_add(before.saturating_sub(fuel), Ordering::Relaxed);
            self.reserve.store(fuel.saturating_sub(interval), Ordering::Relaxed);
            self.tick();
        }
    }

    fn tick(&self) {
        self.due.store(true, Ordering::Relaxed);
        self.clock.bump();
    }

    pub(crate) fn finish(&self) -> Result<Profile, ProfileError> {
        let mut state = self.state();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let profiler = state.profiler.take().ok_or(ProfileError::NoCall)?;
        let mut firefox = Vec::new();
        profiler.finish(&mut firefox).map_err(|error| ProfileError::Engine(clip(&error.to_string())))?;
        Ok(Profile { sampling: self.sampling, samples: state.samples, more: state.more, firefox })
    }
}

/// Thread that bumps the epoch at an interval until the ticker is dropped.
pub(crate) struct Ticker(Option<(Sender<()>, JoinHandle<()>)>);

impl Ticker {
    /// Starts the thread; sampling by fuel needs none.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(probe: &Arc<Probe>) -> std::io::Result<Self> {
        let Sampling::Clock(interval) = probe.sampling else { return Ok(Self(None)) };
        let probe = probe.clone();
        let (running, stopped) = channel();
        let thread = thread::Builder::new().name("frond-profile".to_owned()).spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                probe.tick();
            }
        })?;
        Ok(Self(Some((running, thread))))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some((running, thread)) = self.0.take() {
            drop(running);
            // The thread's loop has no cause to panic.
            let _ = thread.join();
        }
    }
}
