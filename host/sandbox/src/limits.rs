//! What one call may use, and the meter that holds it to that.

use frond_root::{Bound, Limit, Scope};
use wasmtime::ResourceLimiter;

use crate::classify::{Stop, refused_by_machine};

/// The limits of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel, about one unit an instruction; 0 runs on an engine without metering.
    pub fuel: u64,
    /// Linear memory in bytes, summed over all memories of the call.
    pub memory: u64,
    /// Table elements, summed over all tables of the call.
    pub table_elements: u64,
    /// Bytes of result, and of each emitted partial.
    pub output: u64,
    /// Bytes of stdout and stderr together that are kept; the last ones.
    pub log: u64,
    /// Bytes of a partition that may be handed over as a list. A guest that imports `source` is not bound by it.
    pub partition: u64,
    /// Calls from the guest to the host.
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
    /// The limit of `bound`, as set for calls of `scope`. Time is no limit of these.
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

/// Counts what a store holds, and refuses growth beyond the limits with a typed stop: a guest that only saw −1 would
/// end in an `unreachable` that looks like a panic.
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

    /// Linear memory held, in bytes. It never shrinks within a call, so this is also the peak.
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
        // Beyond what the guest itself declares, it expects to be refused.
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
