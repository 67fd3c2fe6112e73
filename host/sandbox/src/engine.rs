//! The engines: one that meters fuel and one that does not, each with its pool, made when first wanted; and the same again
//! for each slot, for components that are called often and briefly (`slot_engines.rs`). Calls take places in the pools (`places.rs`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::compiler::Compiler;
use crate::limits::Limits;
use crate::permits::PoolPermits;

/// Wasm may use this much of a call's stack.
const WASM_STACK: usize = 512 << 10;
/// A call's whole stack; what wasm cannot use is for host functions.
const STACK: usize = 2 << 20;
/// Memory that stays with a pool slot: resetting it costs a copy of the dirtied pages, not a page fault each. Room for
/// one piece of 1 MiB and what a guest has beside it. Much more would make every later leaf in the slot pay for it: what
/// has stayed is reset after each call, dirtied by it or not.
const KEEP_MEMORY: usize = (1 << 20) + (256 << 10);
/// The same for tables.
const KEEP_TABLE: usize = 64 << 10;
/// Address space of a memory, and what it gets more at a time, on a machine that has little.
const FRUGAL_MEMORY: u64 = 16 << 20;
/// Core instances of one component: a componentize-py guest has 14.
const CORE_INSTANCES: u32 = 32;
/// Memories of one component: a QuickJS guest has 3.
const MEMORIES: u32 = 4;
/// Tables of one component.
const TABLES: u32 = 16;
/// The fewest calls beside the leaves that there is room for, of all queries together: merges and splits. As many as slots
/// where those are more; yet more of them wait.
const OTHER_CALLS: usize = 8;
/// The most calls at once that a pool is sized for.
const MOST_CALLS: usize = 1 << 12;

/// What a sandbox is sized by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Leaves at once.
    pub slots: usize,
    /// The limits that calls will be made under; pools are sized by the largest.
    pub limits: Vec<Limits>,
    /// Where compiled components are kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Compiles components that are not in the cache.
    pub compiler: Compiler,
}

impl Settings {
    /// Calls at once beside the leaves.
    fn merge_permits(&self) -> usize {
        self.slots.clamp(OTHER_CALLS, MOST_CALLS)
    }
}

/// Everything that guests run in.
pub struct Sandbox {
    engines: Arc<Engines>,
    cache: Option<Cache>,
    /// Places for calls beside the leaves, in whichever pool.
    merge_permits: PoolPermits,
}

/// What a sandbox's components run on.
pub(crate) struct Engines {
    settings: Settings,
    clock: Clock,
    made: Mutex<HashMap<Kind, Pool>>,
    warnings: Mutex<Vec<String>>,
}

/// An engine, its tuning, and the places of its pool that leaves take.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(crate) engine: Engine,
    pub(crate) tuning: Tuning,
    pub(crate) leaves: PoolPermits,
}

/// Settings of an engine that decide what code is compiled for it. Whether it has a pool does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    pub(crate) metered: bool,
    /// Bytes of address space of a memory, where there is none for a pool nor for 4 GiB and guard pages a memory: memories
    /// move when they grow.
    pub(crate) frugal: Option<u64>,
}

/// Whose an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) metered: bool,
    /// The slot whose leaves alone run on it; without one, whatever runs.
    pub(crate) slot: Option<usize>,
}

impl Sandbox {
    /// A sandbox without engines yet, with a clock of its own.
    ///
    /// # Errors
    /// When the clock's thread cannot be started. A cache that cannot be used is a warning.
    pub fn new(settings: Settings) -> std::io::Result<Self> {
        Ok(Self::timed(settings, &Clock::start()?))
    }

    /// The same with a clock that other sandboxes have too, so that their guests can run on the same threads.
    #[must_use]
    pub fn timed(settings: Settings, clock: &Clock) -> Self {
        let mut warnings = Vec::new();
        let cache = settings.cache.as_ref().and_then(|dir| match Cache::open(dir) {
            Ok(cache) => Some(cache),
            Err(error) => {
                warnings.push(format!("components are compiled anew each time: {}: {error}", dir.display()));
                None
            }
        });
        Self {
            merge_permits: PoolPermits::new(settings.merge_permits()),
            engines: Arc::new(Engines {
                settings,
                clock: clock.clone(),
                made: Mutex::default(),
                warnings: Mutex::new(warnings),
            }),
            cache,
        }
    }

    /// What interrupts guests.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.engines.clock
    }

    /// Bounds the cache, in bytes, by another size than [`CACHE_SIZE`](crate::CACHE_SIZE). It is kept to whenever a
    /// component is compiled; the one compiled last always stays.
    #[must_use]
    pub fn bounding_cache(self, size: u64) -> Self {
        Self { cache: self.cache.map(|cache| cache.bounded(size)), ..self }
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Removes all but the `keep` components that were used last from the cache: for those that are built again and
    /// again.
    pub fn prune_cache(&self, keep: usize) {
        if let Some(Err(error)) = self.cache.as_ref().map(|cache| cache.prune(keep)) {
            self.warn(format!("old compiled components stay in the cache: {error}"));
        }
    }

    /// Places for merges, splits, trials and programs.
    pub(crate) fn merge_permits(&self) -> &PoolPermits {
        &self.merge_permits
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.engines.settings.compiler
    }

    /// Adds to what works less well than it should.
    pub fn warn(&self, warning: String) {
        self.engines.warn(warning);
    }

    /// What works less well than it should, since the last call.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.engines.warnings))
    }

    /// Makes the engine for metered calls now and not with the first component, so that its warnings can be taken.
    ///
    /// # Errors
    /// When this machine cannot run one.
    pub fn prepare(&self) -> std::io::Result<()> {
        self.pool(true).map(|_| ()).map_err(|error| std::io::Error::other(format!("{error:#}")))
    }

    pub(crate) fn pool(&self, metered: bool) -> wasmtime::Result<Pool> {
        self.engines.get(Kind { metered, slot: None })
    }

    pub(crate) fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }
}

impl Engines {
    /// Slots that may have engines of their own: with one slot there is nobody to share with.
    pub(crate) fn slot_engines(&self) -> usize {
        if self.settings.slots > 1 { self.settings.slots.min(MOST_CALLS) } else { 0 }
    }

    fn warn(&self, warning: String) {
        lock(&self.warnings).push(warning);
    }

    pub(crate) fn get(&self, kind: Kind) -> wasmtime::Result<Pool> {
        let mut made = lock(&self.made);
        if let Some(pool) = made.get(&kind) {
            return Ok(pool.clone());
        }
        let (engine, tuning) = self.make(kind)?;
        let pool = Pool { engine, tuning, leaves: PoolPermits::new(self.leaves(kind)) };
        self.clock.add(&pool.engine);
        made.insert(kind, pool.clone());
        Ok(pool)
    }

    /// How many leaves run at once on an engine: what runs on a slot's own runs there alone.
    fn leaves(&self, kind: Kind) -> usize {
        if kind.slot.is_some() { 1 } else { self.settings.slots.clamp(1, MOST_CALLS) }
    }

    /// A pool if the machine lets us have one. A slot that cannot have one shares what there is.
    fn make(&self, kind: Kind) -> wasmtime::Result<(Engine, Tuning)> {
        let tuning = Tuning { metered: kind.metered, frugal: None };
        let mut config = tuning.config();
        let merge_permits = if kind.slot.is_some() { 0 } else { self.settings.merge_permits() };
        config.allocation_strategy(self.pool(self.leaves(kind) + merge_permits));
        match Engine::new(&config) {
            Err(error) if kind.slot.is_none() => {
                self.warn(format!("without an instance pool each leaf starts about five times slower: {error:#}"));
                let memory = self.most(|limits| limits.memory).min(FRUGAL_MEMORY);
                let tuning = Tuning { frugal: Some(memory), ..tuning };
                Ok((Engine::new(&tuning.config())?, tuning))
            }
            made => Ok((made?, tuning)),
        }
    }

    fn most(&self, of: fn(&Limits) -> u64) -> u64 {
        self.settings.limits.iter().map(of).max().unwrap_or(0)
    }

    /// One for so many calls at once.
    fn pool(&self, calls: usize) -> PoolingAllocationConfig {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let calls = u32::try_from(calls).unwrap_or(u32::MAX / 64);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls)
            .max_core_instances_per_component(CORE_INSTANCES)
            .total_core_instances(calls * CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_memories_per_module(MEMORIES)
            .total_memories(calls * MEMORIES)
            .max_tables_per_component(TABLES)
            .max_tables_per_module(TABLES)
            .total_tables(calls * TABLES)
            .total_stacks(calls)
            .max_memory_size(size(self.most(|limits| limits.memory)))
            .table_elements(size(self.most(|limits| limits.table_elements)))
            .max_component_instance_size(4 << 20)
            .max_core_instance_size(4 << 20)
            .max_unused_warm_slots(calls)
            .linear_memory_keep_resident(KEEP_MEMORY)
            .table_keep_resident(KEEP_TABLE)
            .pagemap_scan(Enabled::Auto);
        pool
    }
}

impl Tuning {
    /// Configuration of an engine without a pool.
    pub(crate) fn config(self) -> Config {
        let mut config = Config::new();
        config
            .consume_fuel(self.metered)
            .epoch_interruption(true)
            .concurrency_support(false)
            .wasm_component_model(true)
            .relaxed_simd_deterministic(true)
            .memory_init_cow(true)
            .max_wasm_stack(WASM_STACK)
            .async_stack_size(STACK);
        if let Some(memory) = self.frugal {
            config.memory_reservation(memory).memory_reservation_for_growth(FRUGAL_MEMORY).memory_guard_size(64 << 10);
        }
        config
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
