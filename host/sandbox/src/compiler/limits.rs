//! Limits of compilations.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Limits of one compilation, and of concurrent compilations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of private memory that one compilation may take.
    pub memory: u64,
    /// Processor time of one compilation, over all its threads.
    pub cpu: Duration,
    /// Wall time of one compilation.
    pub time: Duration,
    /// Most concurrent compilations.
    pub at_once: NonZeroUsize,
    /// Nice value that compilations add to their own, so that the server's other work goes first.
    pub nice: u8,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory: 2 << 30,
            cpu: Duration::from_secs(300),
            time: Duration::from_secs(240),
            at_once: NonZeroUsize::MIN.saturating_add(1),
            nice: 0,
        }
    }
}
