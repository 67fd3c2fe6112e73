//! What the leaves of a query used, summed up for `--stats`.

use std::sync::{Mutex, PoisonError};

use frond_root::{Event, EventKind, Listener, Usage};

use super::model::add_usage;
use super::written::WrittenLines;

/// Adds up what attempts and merges used.
#[derive(Debug, Default)]
pub struct Totals {
    sums: Mutex<Sums>,
    written: Mutex<WrittenLines>,
}

/// The sums so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// What all attempts used together; of memory, the most that one of them did.
    pub leaves: Usage,
    /// How many merges ended.
    pub folds: u64,
    /// The bytes that went into merges.
    pub folded: u64,
}

impl Totals {
    /// The sums so far.
    #[must_use]
    pub fn sums(&self) -> Sums {
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    /// What leaves wrote so far.
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
