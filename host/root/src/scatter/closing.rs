//! End of a scatter: nothing more starts, and running leaves are told to stop.

use std::sync::atomic::Ordering;

use super::Scatter;
use crate::sync::lock;
use crate::work::Work;

impl Scatter {
    /// Closes the scatter because time is up: stopped leaves count as late, not as cancelled.
    pub fn close_late(&self) {
        self.late.store(!self.is_closed(), Ordering::SeqCst);
        self.close();
    }

    /// True when it was closed because time was up.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late.load(Ordering::SeqCst)
    }

    /// Closes the scatter: nothing more starts, and all running leaves are told to stop.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::SeqCst) {
            // A hook may use this scatter: release the lock first.
            let hooks = std::mem::take(&mut *lock(&self.on_close));
            for hook in hooks {
                hook();
            }
        }
    }
}
