//! Switches of the mechanisms for tiny leaves, for benchmarks and tests. All are on; there is no
//! setting for them.

/// Mechanisms for tiny leaves: each has one entry, which asks its switch here when it is made.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct FastPaths {
    /// Short calls run on the thread that needs them (`inline.rs`).
    pub inline: bool,
    /// A component with many short calls gets an engine for each slot (`slot_engines.rs`).
    pub slot_engines: bool,
    /// Slot threads wake on separate cores (`placement.rs`).
    pub placement: bool,
}

impl Default for FastPaths {
    fn default() -> Self {
        Self { inline: true, slot_engines: true, placement: true }
    }
}
