//! End of a scatter: nothing more starts, and running leaves are told to stop.

use std::sync::atomic::Ordering;

use super::Scatter;
use crate::sync::lock;
use crate::work::StopReason;

impl Scatter {
    /// Closes the scatter because time is up: stopped leaves count as late, not as cancelled.
    pub fn close_late(&self) {
        self.close_for(StopReason::Late);
    }

    /// Closes the scatter because this process gives the query up: another one may run it.
    pub fn abandon(&self) {
        self.close_for(StopReason::Abandoned);
    }

    /// True when it was closed because time was up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.closed_for.get() == Some(&StopReason::Late)
    }

    /// Closes the scatter: nothing more starts, and all running leaves are told to stop.
    pub fn close(&self) {
        self.close_for(StopReason::Cancelled);
    }

    /// The first reason counts.
    fn close_for(&self, reason: StopReason) {
        self.closed_for.get_or_init(|| reason);
        if !self.closed.swap(true, Ordering::SeqCst) {
            // A hook may use this scatter: release the lock first.
            let hooks = std::mem::take(&mut *lock(&self.on_close));
            for hook in hooks {
                hook();
            }
        }
    }
}
