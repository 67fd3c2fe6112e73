//! Limits of one call, and the meter that enforces those on memory and tables.

use frond_root::{Bound, Limit, Scope};
use wasmtime::ResourceLimiter;

use crate::classify::{Stop, refused_by_machine};

/// Limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel, about one unit an instruction; 0 runs on an engine without metering.
    pub fuel: u64,
    /// Linear memory in bytes, summed over all memories of the call.
    pub memory: u64,
    /// Table elements, summed over all tables of the call.
    pub table_elements: u64,
    /// Bytes of a result, and of each emitted partial.
    pub output: u64,
    /// Most bytes of stdout and stderr together in the log; the last ones are kept.
    pub log: u64,
    /// Most bytes of a partition that is passed as a list. A guest that imports `source` is exempt.
    pub partition: u64,
    /// Number of calls from the guest to the host.
    pub host_calls: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            memory: 64 << 20,
            table_elements: 20_000,
            output: 4 << 20,
            log: 16 << 10,
            partition: 16 << 20,
            host_calls: 1_000_000,
        }
    }
}

impl Limits {
    /// Returns the limit of `bound` for calls of `scope`; `None` for time, which is not among these
    /// limits.
    pub(crate) fn limit(&self, scope: Scope, bound: Bound) -> Option<Limit> {
        let value = match bound {
            Bound::Fuel => self.fuel,
            Bound::Memory => self.memory,
            Bound::TableElements => self.table_elements,
            Bound::Output => self.output,
            Bound::HostCalls => self.host_calls,
            Bound::Partition => self.partition,
            Bound::Time => return None,
        };
        Some(Limit::new(scope, bound, value))
    }
}

/// Meter of a store's memories and tables. Refuses growth beyond the limits with a typed stop: a
/// guest that saw only −1 would end in an `unreachable` that looks like a panic.
#[derive(Debug)]
pub(crate) struct Meter {
    memory: u64,
    tables: u64,
    max_memory: u64,
    max_tables: u64,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: 0, tables: 0, max_memory: limits.memory, max_tables: limits.table_elements }
    }

    /// Returns the linear memory in bytes. It never shrinks within a call, so this is also the
    /// peak.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current) as u64);
        if wanted > self.max_memory {
            return Err(Stop::Memory { wanted }.into());
        }
        // A guest expects a refusal beyond its own declared maximum.
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.memory = wanted;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(grow("memory", &error))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.tables.saturating_add(desired.saturating_sub(current) as u64);
        if wanted > self.max_tables {
            return Err(Stop::Tables { wanted }.into());
        }
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.tables = wanted;
        }
        Ok(fits)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(grow("a table", &error))
    }
}

fn grow(what: &'static str, error: &wasmtime::Error) -> wasmtime::Error {
    match refused_by_machine(error) {
        Some(why) => Stop::Machine { what, why }.into(),
        None => Stop::Growth { what, why: error.to_string() }.into(),
    }
}
