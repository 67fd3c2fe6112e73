//! Resource limits of guest calls, by kind of call, with their defaults.

use std::time::Duration;

#[cfg(test)]
mod tests;

const MIB: u64 = 1 << 20;

/// Largest memory of a guest, in bytes: its pointers have 32 bits.
pub const MAX_MEMORY: u64 = 4 << 30;

/// Resource limits of one guest call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// Fuel, about one unit per instruction; `None` is unmetered.
    pub fuel: Option<u64>,
    /// Bytes of linear memory, summed over all memories of the call.
    pub memory: u64,
    /// Table elements, summed over all tables of the call.
    pub table_elements: u64,
    /// Largest result of the call, in bytes.
    pub output: u64,
    /// Bytes kept of the guest's output to stdout and stderr.
    pub log: u64,
    /// Most calls that the guest may make to the host.
    pub host_calls: u64,
    /// Time limit of the call; `None` leaves it to the query's deadline. Always `None` for a merge.
    pub time: Option<Duration>,
}

/// Resource limits of an app's guests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// True if clocks and randomness are seeded by the query and the partition instead of being
    /// real.
    pub deterministic: bool,
    /// Limits of one call of the leaf.
    pub leaf: CallLimits,
    /// Limits of one call of the merge, to merge or to finish.
    pub merge: CallLimits,
    /// Limits of the call of the split.
    pub split: CallLimits,
    /// Largest partition, in bytes.
    pub partition: u64,
    /// Memory that partials waiting for a merge may take, in bytes.
    pub partials: u64,
}

impl Default for CallLimits {
    /// Returns the limits of a leaf.
    fn default() -> Self {
        Self {
            fuel: Some(1_000_000_000),
            memory: 64 * MIB,
            table_elements: 20_000,
            output: 4 * MIB,
            log: 16 << 10,
            host_calls: 1_000_000,
            time: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let leaf = CallLimits::default();
        Self {
            deterministic: false,
            leaf,
            merge: CallLimits { fuel: Some(10_000_000_000), memory: 256 * MIB, output: 64 * MIB, ..leaf },
            split: CallLimits { output: 16 * MIB, ..leaf },
            partition: 16 * MIB,
            partials: 256 * MIB,
        }
    }
}
