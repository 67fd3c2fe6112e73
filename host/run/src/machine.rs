//! Resources that all apps of a process share: the clock that interrupts guests, and engines with
//! their pools, by size.

use std::sync::{Arc, Mutex, Weak};

use frond_broker::{WorkerView, Workers};
use frond_root::call::{Isolation, Limits};
use frond_root::memory::Memory;
use frond_root::sync::lock;
use frond_sandbox::{Clock, Compiler, Sandbox, Settings, SlotSettings, Slots, WaitLimits};
use frond_tls::Trust;
use tokio::runtime::Handle;

use crate::cache::{bounded, cache_dir};
use crate::compile::compiler;
use crate::error::RunError;
use crate::isolated::Isolated;
use crate::planning::Planning;

/// Host of the guests of any number of apps. Apps whose limits need pools of the same size share an
/// engine, which is dropped with the last of them.
pub struct Machine {
    slots: usize,
    waiting: WaitLimits,
    clock: Clock,
    trust: Trust,
    planning: Planning,
    memory: Option<Memory>,
    compiler: Compiler,
    /// Workers of all apps that do not ask for isolation; `None` if their leaves run in this
    /// process.
    workers: Option<LeafWorkers>,
    /// Worker processes of isolated leaves; `None` if such leaves run as all others.
    isolation: Option<Isolating>,
    isolated: Mutex<Option<Isolated>>,
    sandboxes: Mutex<Vec<(Size, Weak<Sandbox>)>>,
}

/// Start of the worker processes of isolated leaves.
struct Isolating {
    runtime: Handle,
    /// Number of processes that stand ready.
    spares: usize,
}

/// Size class of a pool: bytes of memory and table elements, each rounded up to a power of two.
type Size = (u64, u64);

/// Places in a pool for leaves that wait beyond the bound, so that they do not take the last slot.
const BEYOND: usize = 64;

/// The most leaves at once: each has a slot thread.
pub const MAX_SLOTS: u16 = 1024;

/// Default number of leaves at once: the number of cores, but at least two, so that one long leaf
/// does not block all others.
#[must_use]
pub fn usual_slots() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).max(2)
}

/// Workers that run the leaves of an app.
#[derive(Clone)]
pub(crate) struct LeafWorkers {
    pub(crate) workers: Workers,
    /// The most leaves that also run in this process; 0 if none do.
    pub(crate) local_slots: usize,
    pub(crate) kind: WorkerKind,
}

/// Kind of the workers of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkerKind {
    /// Workers of a broker, and perhaps processes of this machine.
    Hosts,
    /// Processes of this machine, which grant nothing.
    Processes,
    /// Processes of this machine which are killed with a leaf that runs for too long.
    Killable,
}

impl Machine {
    /// Makes a machine with room for `slots` leaves at once.
    ///
    /// # Errors
    /// A [`RunError::Machine`] when the clock's thread cannot be started.
    pub fn new(slots: usize) -> Result<Self, RunError> {
        let clock = Clock::start().map_err(|error| RunError::machine("the sandbox could not be started", error))?;
        Ok(Self {
            slots,
            waiting: WaitLimits::default(),
            clock,
            trust: Trust::system(),
            planning: Planning::default(),
            memory: None,
            compiler: compiler().apart(),
            workers: None,
            isolation: None,
            isolated: Mutex::default(),
            sandboxes: Mutex::default(),
        })
    }

    /// Sets the root certificates that guests trust.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// Bounds the leaves that wait without a slot.
    #[must_use]
    pub fn with_waiting(self, waiting: WaitLimits) -> Self {
        Self { waiting, ..self }
    }

    /// Bounds the memory for plans and partials of all running queries together.
    #[must_use]
    pub fn with_memory(self, memory: Memory) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Has leaves run on workers, and also in this process if the workers are beside its slots.
    #[must_use]
    pub(crate) fn with_workers(self, workers: LeafWorkers) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// Has the leaves of apps that ask for isolation run in worker processes, one a slot, which are
    /// started with the first such app. So many `spares` stand ready to replace one that ends.
    #[must_use]
    pub fn isolating(self, runtime: &Handle, spares: usize) -> Self {
        Self { isolation: Some(Isolating { runtime: runtime.clone(), spares }), ..self }
    }

    /// Workers that run the leaves of an app, if there may be any.
    ///
    /// # Errors
    /// A [`RunError::Machine`] if the worker processes of isolated leaves cannot be started.
    pub(crate) fn workers(&self, isolation: Isolation) -> Result<Option<LeafWorkers>, RunError> {
        let Some(Isolating { runtime, spares }) = self.isolation.as_ref().filter(|_| isolation != Isolation::Thread)
        else {
            return Ok(self.workers.clone());
        };
        let mut isolated = lock(&self.isolated);
        let started = match isolated.take() {
            Some(started) => started,
            None => Isolated::start(self.slots, *spares, runtime)?,
        };
        let workers = started.workers().clone();
        *isolated = Some(started);
        Ok(Some(LeafWorkers { workers, local_slots: 0, kind: WorkerKind::Killable }))
    }

    /// The processes of isolated leaves, those that stand ready included.
    #[must_use]
    pub fn isolated(&self) -> Vec<WorkerView> {
        // Locked while they are started: then there are none yet.
        let isolated = self.isolated.try_lock().ok();
        let workers = isolated.as_ref().and_then(|started| started.as_ref()).map(Isolated::workers);
        workers.map(|workers| [workers.list(), workers.absent()].concat()).unwrap_or_default()
    }

    /// Memory for plans and partials, if it is bounded.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        self.memory.clone()
    }

    /// Root certificates that guests trust.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Kills running compilations and refuses further ones, so that apps that still load do not
    /// delay a shutdown.
    pub fn stop_compiling(&self) {
        self.compiler.stop();
    }

    /// Permits for plans that search for files.
    pub(crate) fn planning(&self) -> Planning {
        self.planning.of_app()
    }

    /// The most leaves at once.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Number of slot threads. Without leaves of queries, they serve checks of apps.
    fn threads(&self) -> usize {
        let local = self.workers.as_ref().map(|on| on.local_slots);
        local.filter(|local| *local > 0).unwrap_or(self.slots)
    }

    /// Starts the slot threads, shared by all apps that are wired to them.
    ///
    /// # Errors
    /// A [`RunError::Machine`] when a thread cannot be started.
    pub fn start(&self, runtime: &Handle) -> Result<Slots, RunError> {
        self.start_with(runtime, false)
    }

    /// Starts the slot threads; with `back`, at a lower priority than everything else on the host.
    ///
    /// # Errors
    /// See [`Machine::start`].
    pub fn start_with(&self, runtime: &Handle, back: bool) -> Result<Slots, RunError> {
        let settings =
            SlotSettings { count: self.threads(), waiting: self.waiting, steps_back: back, ..SlotSettings::default() };
        Slots::start_with(settings, &self.clock, runtime)
            .map_err(|error| RunError::machine("the slot threads could not be started", error))
    }

    /// Returns a sandbox with room for calls under each of `limits`.
    pub(crate) fn sandbox(&self, limits: &[Limits]) -> Arc<Sandbox> {
        let most = |of: fn(&Limits) -> u64| {
            let most = limits.iter().map(of).max().unwrap_or(0);
            most.checked_next_power_of_two().unwrap_or(most)
        };
        let size = (most(|of| of.memory), most(|of| of.table_elements));
        let mut sandboxes = lock(&self.sandboxes);
        sandboxes.retain(|(_, sandbox)| sandbox.strong_count() > 0);
        if let Some(sandbox) = sandboxes.iter().find(|one| one.0 == size).and_then(|one| one.1.upgrade()) {
            return sandbox;
        }
        let limits = vec![Limits { memory: size.0, table_elements: size.1, ..Limits::default() }];
        let settings = Settings {
            slots: self.slots,
            waiting: self.waiting.leaves.saturating_mul(self.slots).saturating_add(BEYOND),
            limits,
            cache: cache_dir(),
            compiler: self.compiler.clone(),
        };
        let sandbox = Arc::new(bounded(settings, &self.clock));
        sandboxes.push((size, Arc::downgrade(&sandbox)));
        sandbox
    }
}
