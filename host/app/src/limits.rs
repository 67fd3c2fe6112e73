//! What each kind of guest call may take, with the defaults.

use std::time::Duration;

#[cfg(test)]
mod tests;

const MIB: u64 = 1 << 20;

/// The most memory that a guest can address: its pointers have 32 bits.
pub const MAX_MEMORY: u64 = 4 << 30;

/// What one guest call may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// Fuel, about one unit an instruction; `None` is unmetered.
    pub fuel: Option<u64>,
    /// Bytes of linear memory, summed over all of the call's memories.
    pub memory: u64,
    /// Elements, summed over all of the call's tables.
    pub table_elements: u64,
    /// Bytes that the call may return.
    pub output: u64,
    /// Bytes of what the guest writes to stdout and stderr that are kept.
    pub log: u64,
    /// Calls that the guest may make to the host.
    pub host_calls: u64,
    /// The call's own time limit; `None` leaves it to the query's deadline. Always `None` for a merge.
    pub time: Option<Duration>,
}

/// What an app's guests may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Whether clocks and randomness are seeded by the query and the partition instead of being real.
    pub deterministic: bool,
    /// One call of the leaf.
    pub leaf: CallLimits,
    /// One call of the merge, to fold or to finish.
    pub merge: CallLimits,
    /// The call of the split.
    pub split: CallLimits,
    /// The bytes that one partition may have.
    pub partition: u64,
    /// The bytes of memory that partials held for merging may take.
    pub partials: u64,
}

impl Default for CallLimits {
    /// A leaf's.
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
