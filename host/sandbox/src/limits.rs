//! Meter that enforces the limits of a call on memory and tables.

use frond_root::call::Limits;
use wasmtime::ResourceLimiter;

use crate::classify::{Stop, refused_by_machine};

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
