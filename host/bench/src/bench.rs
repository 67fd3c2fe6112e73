//! Context of a run.

use std::time::Duration;

use crate::guests::Guests;
use crate::report::Report;

/// Context of a section: the report, the components, and whether this is a quick run.
pub(crate) struct Bench {
    pub(crate) report: Report,
    pub(crate) guests: Guests,
    pub(crate) quick: bool,
}

impl Bench {
    /// Returns `count` rounds, or at most 3 in a quick run.
    pub(crate) fn rounds(&self, count: usize) -> usize {
        if self.quick { count.min(3) } else { count }
    }

    /// Returns the length of a measurement: half a second in a quick run.
    pub(crate) fn seconds(&self, seconds: u64) -> Duration {
        if self.quick { Duration::from_millis(500) } else { Duration::from_secs(seconds) }
    }
}
