//! A sampled profile of calls made alone: where a guest is, again and again, by its functions' names.
//!
//! A sample is taken when the guest next looks at the epoch: at the entry of a function or the head of a loop, and never
//! within a host call. By the clock, a thread bumps the epoch at an interval; that says where the time went, and differs
//! from run to run. By fuel, wasmtime is made to interrupt the guest whenever it has used so much, and the epoch is bumped
//! then: each sample stands for the fuel since the one before, and a deterministic guest has the same samples each time, on any machine.
//! What fuel is left cannot be read at a look at the epoch, as the guest has it in a register.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wasmtime::{GuestProfiler, Store, StoreContextMut};

use crate::classify::clip;
use crate::clock::Clock;
use crate::component::Plugin;
use crate::host::Host;

/// The most samples that are kept: some 20 MB of profile.
const MAX_SAMPLES: u64 = 200_000;
/// The shortest interval of the clock: faster, it would see little but itself.
const MIN_INTERVAL: Duration = Duration::from_micros(50);
/// The least fuel between two samples, for the same reason.
const MIN_FUEL: u64 = 1000;

/// When samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// At this interval; a sample weighs the time since the one before, in microseconds. A millisecond is a good one.
    Clock(Duration),
    /// Whenever this much fuel is used, or a little more, as the guest only looks now and then; a sample weighs what it
    /// was. 100,000 is used in about a tenth of a millisecond.
    Fuel(u64),
}

/// What the samples came to.
#[derive(Clone, Debug)]
pub struct Profile {
    /// When they were taken.
    pub sampling: Sampling,
    /// How many there are.
    pub samples: u64,
    /// How many more there would have been.
    pub more: u64,
    /// The samples in the "processed profile format" of the Firefox profiler, which <https://profiler.firefox.com> shows.
    /// `threadCPUDelta` is each sample's weight: microseconds by the clock, units of fuel by fuel.
    pub firefox: Vec<u8>,
}

/// Why there is no profile.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileError {
    /// No call was made.
    #[error("there was no call to take samples of")]
    NoCall,
    /// Samples by fuel were asked of a guest without any.
    #[error(
        "its calls are not metered, so that nothing says when fuel is used\n(set a limit on fuel, or sample by the clock)"
    )]
    Unmetered,
    /// More than one component was called.
    #[error("calls of several components cannot be in one profile")]
    SeveralComponents,
    /// wasmtime does not profile it.
    #[error("no samples could be taken: {0}")]
    Engine(String),
}

/// Takes the samples of the calls that it is given to.
pub(crate) struct Probe {
    sampling: Sampling,
    name: String,
    clock: Clock,
    /// The next look at the epoch is one to take a sample at.
    due: AtomicBool,
    /// By fuel: what is left when the next sample is due.
    reserve: AtomicU64,
    /// By fuel: what was left when the last sample was due.
    left: AtomicU64,
    /// By fuel: what has been used that no sample stands for yet.
    used: AtomicU64,
    state: Mutex<State>,
}

struct State {
    profiler: Option<GuestProfiler>,
    /// The digest of the component that is sampled.
    of: String,
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
                of: String::new(),
                error: None,
                last: Instant::now(),
                samples: 0,
                more: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of `plugin` begins. What keeps it from being sampled is told at the end: the call itself goes on.
    pub(crate) fn begin(&self, plugin: &Plugin, store: &mut Store<Host>) {
        let mut state = self.state();
        if state.error.is_some() {
            return;
        }
        if let Err(error) = self.attach(&mut state, plugin, store) {
            state.error = Some(error);
        }
    }

    fn attach(&self, state: &mut State, plugin: &Plugin, store: &mut Store<Host>) -> Result<(), ProfileError> {
        let engine = |error: wasmtime::Error| ProfileError::Engine(clip(&error.to_string()));
        let interval = match self.sampling {
            Sampling::Clock(interval) => interval,
            Sampling::Fuel(_) if store.data().limits.fuel == 0 => return Err(ProfileError::Unmetered),
            Sampling::Fuel(fuel) => {
                store.fuel_async_yield_interval(Some(fuel)).map_err(engine)?;
                let all = store.get_fuel().map_err(engine)?;
                self.reserve.store(all.saturating_sub(fuel), Ordering::Relaxed);
                self.left.store(all, Ordering::Relaxed);
                self.used.store(0, Ordering::Relaxed);
                Duration::from_millis(1)
            }
        };
        let digest = plugin.digest();
        if state.profiler.is_none() {
            let component = plugin.shared().pre.component().clone();
            let profiler = GuestProfiler::new_component(plugin.shared().engine(), &self.name, interval, component, []);
            state.profiler = Some(profiler.map_err(engine)?);
            state.of = digest;
        } else if state.of != digest {
            return Err(ProfileError::SeveralComponents);
        }
        state.last = Instant::now();
        Ok(())
    }

    /// The guest looks at the epoch.
    pub(crate) fn look(&self, store: &mut StoreContextMut<'_, Host>) {
        if !self.due.swap(false, Ordering::Relaxed) {
            return;
        }
        // wasmtime's own calls are none of the guest's.
        let own = if matches!(self.sampling, Sampling::Fuel(_)) { 2 } else { 1 };
        let host = store.data_mut();
        host.host_calls = host.host_calls.saturating_sub(own);
        let mut state = self.state();
        if state.samples >= MAX_SAMPLES {
            state.more += 1;
            return;
        }
        let now = Instant::now();
        let weight = match self.sampling {
            Sampling::Clock(_) => now.duration_since(state.last),
            // The format has microseconds here.
            Sampling::Fuel(_) => Duration::from_micros(self.used.swap(0, Ordering::Relaxed)),
        };
        state.last = now;
        if state.error.is_none()
            && let Some(profiler) = &mut state.profiler
        {
            profiler.sample(&*store, weight);
            state.samples += 1;
        }
    }

    /// The guest leaves wasm with so much fuel left. wasmtime keeps a reserve apart from what it lets the guest use before
    /// it takes part in it again: when that has been used up, this is its own call to do so, and a sample is due.
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

/// Bumps the epoch at an interval, as long as it lives.
pub(crate) struct Ticker(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

impl Ticker {
    /// None is needed to sample by fuel.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(crate) fn start(probe: &Arc<Probe>) -> std::io::Result<Self> {
        let Sampling::Clock(interval) = probe.sampling else { return Ok(Self(None)) };
        let (probe, stopped) = (probe.clone(), Arc::new(AtomicBool::new(false)));
        let stop = stopped.clone();
        let thread = thread::Builder::new().name("frond-profile".to_owned()).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                thread::park_timeout(interval);
                probe.tick();
            }
        })?;
        Ok(Self(Some((stopped, thread))))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        if let Some((stopped, thread)) = self.0.take() {
            stopped.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            // It can have panicked no more than a loop of two lines can.
            let _ = thread.join();
        }
    }
}
