//! Resources that guest calls use.

use serde::{Deserialize, Serialize};

/// Resources that one guest call used.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Usage {
    /// Fuel consumed; 0 when unmetered.
    pub fuel: u64,
    /// Peak of linear memory in bytes, summed over the store.
    pub memory: u64,
    /// Bytes of the result.
    pub output: u64,
    /// Bytes written to stdout and stderr, including those above the cap.
    pub log: u64,
}
