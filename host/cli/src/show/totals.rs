//! Totals of a query's leaves and merges, for `--stats`.

use std::sync::{Mutex, PoisonError};

use frond_root::{Event, EventKind, Listener, Usage};

use super::model::add_usage;
use super::written::WrittenLines;

/// Listener that adds up the use of attempts and merges.
#[derive(Debug, Default)]
pub struct Totals {
    sums: Mutex<Sums>,
    written: Mutex<WrittenLines>,
}

/// Totals of attempts and merges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The use of all attempts: the sum, and the maximum of memory.
    pub leaves: Usage,
    /// Number of merge calls that ended.
    pub folds: u64,
    /// Bytes of input of merge calls.
    pub folded: u64,
}

impl Totals {
    /// Returns the totals so far.
    #[must_use]
    pub fn sums(&self) -> Sums {
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    /// Returns the log lines of leaves so far.
    #[must_use]
    pub fn written(&self) -> WrittenLines {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Listener for Totals {
    fn event(&self, event: &Event) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).take(event);
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.kind {
            EventKind::AttemptEnded { usage, .. } => add_usage(&mut sums.leaves, *usage),
            EventKind::FoldStarted { bytes, .. } => sums.folded = sums.folded.saturating_add(*bytes),
            EventKind::FoldEnded { .. } => sums.folds += 1,
            _ => {}
        }
    }
}
