//! Engines with their instance pools: one that meters fuel and one that does not, made on first
//! use. Each slot gets further engines for components with many short leaf calls
//! (`slot_engines.rs`). A call holds a permit of its pool (`permits.rs`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use frond_root::call::Limits;
use frond_root::sync::lock;
use wasmtime::{Enabled, Engine, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::compiler::Compiler;
use crate::fast_paths::FastPaths;
use crate::permits::{MergePermits, PoolPermits};
use crate::tuning::{FRUGAL_MEMORY, Metering, Tuning};

/// Bytes of memory that stay resident with a pool entry: resetting them costs a copy of the dirtied
/// pages instead of page faults. There is room for one piece of 1 MiB and the guest's other data. A
/// larger value costs every later leaf in the entry: all resident memory is reset after each call,
/// dirtied or not.
const KEEP_MEMORY: usize = (1 << 20) + (256 << 10);
/// Bytes of tables that stay resident with a pool entry.
const KEEP_TABLE: usize = 64 << 10;
/// Most core instances of one component: a componentize-py guest has 14.
const CORE_INSTANCES: u32 = 32;
/// Most memories of one component: a QuickJS guest has 3.
pub(crate) const MEMORIES: u32 = 4;
/// Most tables of one component.
const TABLES: u32 = 16;
/// Least room in the pools for merges, splits, trials and programs, of all queries together. With
/// more slots than this there is room for as many as slots; further calls wait.
const OTHER_CALLS: usize = 8;
/// Most waiting leaves that a pool is sized for: at 4 GiB each, their memories take half of the
/// address space of a process.
const MOST_WAITING: usize = 1 << 14;
/// Most concurrent calls that a pool is sized for.
const MOST_CALLS: usize = 1 << 12;

/// Settings that size a sandbox.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most leaves that run at once.
    pub slots: usize,
    /// Most leaves that wait beside them, if the machine has the address space: a memory takes
    /// several GiB of it.
    pub waiting: usize,
    /// Limits of the calls to come; pools are sized by the largest.
    pub limits: Vec<Limits>,
    /// Folder of the cache of compiled components; `None` for no cache.
    pub cache: Option<PathBuf>,
    /// Compiler for components that are not in the cache.
    pub compiler: Compiler,
}

impl Settings {
    /// Returns the number of concurrent calls that are not leaves.
    fn merge_permits(&self) -> usize {
        self.slots.clamp(OTHER_CALLS, MOST_CALLS)
    }
}

/// Environment in which guests run: engines, instance pools, cache, compiler.
pub struct Sandbox {
    engines: Arc<Engines>,
    cache: Option<Cache>,
    /// Permits for merges, splits, trials and programs, of either pool.
    merge_permits: MergePermits,
    fast: FastPaths,
}

/// Engines of a sandbox, made on first use.
pub(crate) struct Engines {
    settings: Settings,
    clock: Clock,
    made: Mutex<HashMap<Kind, Pool>>,
    warnings: Mutex<Vec<String>>,
}

/// Engine, its tuning, and the permits of its pool for leaves.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(crate) engine: Engine,
    pub(crate) tuning: Tuning,
    pub(crate) leaves: PoolPermits,
}

/// Key of an engine: its metering, and whether it is shared or of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) metering: Metering,
    /// The slot whose leaves alone run on the engine; `None` for the shared engine.
    pub(crate) slot: Option<usize>,
}

impl Sandbox {
    /// Makes a sandbox with a new clock and no engines yet.
    ///
    /// # Errors
    /// If the clock's thread cannot be started. A cache that cannot be used is only a warning.
    pub fn new(settings: Settings) -> std::io::Result<Self> {
        Ok(Self::timed(settings, &Clock::start()?))
    }

    /// Makes a sandbox on a clock that it shares with other sandboxes, so that their guests can run
    /// on the same threads.
    #[must_use]
    pub fn timed(settings: Settings, clock: &Clock) -> Self {
        let mut warnings = Vec::new();
        let cache = settings.cache.as_ref().and_then(|dir| match Cache::open(dir) {
            Ok(cache) => Some(cache),
            Err(error) => {
                warnings.push(format!("components are compiled again each time: {}: {error}", dir.display()));
                None
            }
        });
        Self {
            merge_permits: MergePermits::new(settings.merge_permits()),
            engines: Arc::new(Engines {
                settings,
                clock: clock.clone(),
                made: Mutex::default(),
                warnings: Mutex::new(warnings),
            }),
            cache,
            fast: FastPaths::default(),
        }
    }

    /// Returns the clock, which interrupts guests.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.engines.clock
    }

    /// Sets the size of the cache in bytes; the default is [`CACHE_SIZE`](crate::CACHE_SIZE). Each
    /// compilation enforces it; the most recently compiled component always stays.
    #[must_use]
    pub fn bounding_cache(self, size: u64) -> Self {
        Self { cache: self.cache.map(|cache| cache.bounded(size)), ..self }
    }

    /// Switches mechanisms for tiny leaves off, in components that are loaded later.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fast_paths(self, fast: FastPaths) -> Self {
        Self { fast, ..self }
    }

    pub(crate) fn fast_paths(&self) -> FastPaths {
        self.fast
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Removes all but the `keep` most recently used components from the cache: for components that
    /// are rebuilt often.
    pub fn prune_cache(&self, keep: usize) {
        if let Some(Err(error)) = self.cache.as_ref().map(|cache| cache.prune(keep)) {
            self.warn(format!("old compiled components could not be removed from the cache: {error}"));
        }
    }

    /// Returns the permits for merges, splits, trials and programs.
    pub(crate) fn merge_permits(&self) -> &MergePermits {
        &self.merge_permits
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.engines.settings.compiler
    }

    /// Adds a warning.
    pub fn warn(&self, warning: String) {
        self.engines.warn(warning);
    }

    /// Returns the warnings since the last call: whatever works less well than it should.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.engines.warnings))
    }

    /// Makes the engine for metered calls before the first component needs it, so that its warnings
    /// can be taken.
    ///
    /// # Errors
    /// If this machine cannot run an engine.
    pub fn prepare(&self) -> std::io::Result<()> {
        self.pool(Metering::Fuel).map(|_| ()).map_err(|error| std::io::Error::other(format!("{error:#}")))
    }

    pub(crate) fn pool(&self, metering: Metering) -> wasmtime::Result<Pool> {
        self.engines.get(Kind { metering, slot: None })
    }

    pub(crate) fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }
}

impl Engines {
    /// Returns the number of slots that may have separate engines; 0 with a single slot, which
    /// shares with no other.
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
        let pool = self.make(kind)?;
        self.clock.add(&pool.engine);
        made.insert(kind, pool.clone());
        Ok(pool)
    }

    /// Returns the number of memories for leaves that run on an engine, or that are warm. A slot's
    /// engine has those of one instance. The shared engine also has those of one warm instance for
    /// each slot, between its calls.
    fn memories(&self, kind: Kind) -> usize {
        let instances = if kind.slot.is_some() { 1 } else { 2 * self.settings.slots.clamp(1, MOST_CALLS) };
        instances * MEMORIES as usize
    }

    /// Makes an engine with a pool. If the machine refuses the pool, a shared engine gets one with
    /// less room for waiting leaves, and at last none; a slot's engine is an error.
    fn make(&self, kind: Kind) -> wasmtime::Result<Pool> {
        let tuning = Tuning { metering: kind.metering, frugal: None };
        let wanted = if kind.slot.is_some() { 0 } else { self.settings.waiting.min(MOST_WAITING) };
        let mut waiting = wanted;
        let others = if kind.slot.is_some() { 0 } else { self.settings.merge_permits() };
        loop {
            let memories = self.memories(kind);
            let leaves = PoolPermits::new(memories, waiting);
            let mut config = tuning.config();
            config.allocation_strategy(self.pool(memories + waiting, memories, others));
            match Engine::new(&config) {
                Ok(engine) => {
                    if waiting < wanted {
                        self.warn(format!(
                            "only {waiting} leaves can wait at once without a slot, not {wanted}: there is no address \
                             space for more (`ulimit -v` limits it)"
                        ));
                    }
                    return Ok(Pool { engine, tuning, leaves });
                }
                Err(error) if kind.slot.is_some() => return Err(error),
                Err(_) if waiting > 0 => waiting /= 2,
                Err(error) => {
                    self.warn(format!("without an instance pool each leaf starts about five times slower: {error:#}"));
                    let memory = self.most(|limits| limits.memory).min(FRUGAL_MEMORY);
                    let tuning = Tuning { frugal: Some(memory), ..tuning };
                    let engine = Engine::new(&tuning.config())?;
                    return Ok(Pool { engine, tuning, leaves });
                }
            }
        }
    }

    fn most(&self, of: fn(&Limits) -> u64) -> u64 {
        self.settings.limits.iter().map(of).max().unwrap_or(0)
    }

    /// Returns the configuration of a pool with this many memories for leaves, of which `running`
    /// are in use or warm at once, and for this many other calls.
    fn pool(&self, leaves: usize, running: usize, others: usize) -> PoolingAllocationConfig {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX / 64);
        // Each instance has at least one memory, or takes the permit of one.
        let calls = count(leaves + others);
        // Memories that are used again without being given back to the system in between.
        let at_once = count(running / MEMORIES as usize + others);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(calls)
            .max_core_instances_per_component(CORE_INSTANCES)
            .total_core_instances(calls * CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_memories_per_module(MEMORIES)
            .total_memories(count(leaves + others * MEMORIES as usize))
            .max_tables_per_component(TABLES)
            .max_tables_per_module(TABLES)
            .total_tables(calls * TABLES)
            .total_stacks(calls)
            .max_memory_size(size(self.most(|limits| limits.memory)))
            .table_elements(size(self.most(|limits| limits.table_elements)))
            .max_component_instance_size(4 << 20)
            .max_core_instance_size(4 << 20)
            .max_unused_warm_slots(at_once)
            .linear_memory_keep_resident(KEEP_MEMORY)
            .table_keep_resident(KEEP_TABLE)
            .pagemap_scan(Enabled::Auto);
        pool
    }
}
