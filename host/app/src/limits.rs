//! Resource limits of an app's guests, by kind of call, with their defaults.

use std::time::Duration;

use frond_root::call::Limits;

#[cfg(test)]
mod tests;

const MIB: u64 = 1 << 20;

/// Largest memory of a guest, in bytes: its pointers have 32 bits.
pub const MAX_MEMORY: u64 = 4 << 30;

/// Resource limits of an app's guests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppLimits {
    /// True if clocks and randomness are seeded by the query and the partition instead of being
    /// real.
    pub deterministic: bool,
    /// Limits of one call of the leaf.
    pub leaf: Limits,
    /// Time limit of one call of the leaf; `None` leaves it to the query's deadline.
    pub leaf_time: Option<Duration>,
    /// Limits of one call of the merge, to merge or to finish.
    pub merge: Limits,
    /// Limits of the call of the split.
    pub split: Limits,
    /// Time limit of the call of the split; `None` leaves it to the query's deadline.
    pub split_time: Option<Duration>,
    /// Memory that partials waiting for a merge may take, in bytes.
    pub partials: u64,
}

impl Default for AppLimits {
    fn default() -> Self {
        let leaf = Limits::default();
        Self {
            deterministic: false,
            leaf,
            leaf_time: None,
            merge: Limits { fuel: 10_000_000_000, memory: 256 * MIB, output: 64 * MIB, ..leaf },
            split: Limits { output: 16 * MIB, ..leaf },
            split_time: None,
            partials: 256 * MIB,
        }
    }
}
