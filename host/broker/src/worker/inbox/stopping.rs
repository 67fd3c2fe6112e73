//! End of a query, and of single attempts, by the root.

use std::sync::atomic::Ordering;
use std::task::Waker;

use frond_root::AttemptId;

use super::Inbox;
use crate::frames::AttemptOf;
use crate::worker::partial_cache::CachedRun;

impl Inbox {
    /// Stops a running attempt: another one was done first.
    pub(in crate::worker) fn supersede(&self, of: &AttemptOf) {
        let id = AttemptId { partition: of.partition, number: of.number };
        let waker = {
            let mut running = self.running.lock();
            let Some(running) = running.get_mut(&id).filter(|running| !running.is_superseded) else { return };
            running.is_superseded = true;
            self.superseded.fetch_add(1, Ordering::SeqCst);
            running.waker.take()
        };
        // A hook may use this inbox: release the lock first.
        let hooks = self.on_superseded.lock().clone();
        hooks.iter().for_each(|hook| hook(id));
        waker.into_iter().for_each(Waker::wake);
    }

    /// True if another attempt was done before a running one.
    pub(super) fn is_superseded(&self, id: AttemptId) -> bool {
        let has_some = self.superseded.load(Ordering::SeqCst) > 0;
        has_some && self.running.lock().get(&id).is_some_and(|running| running.is_superseded)
    }

    /// Ends the query: the root has stopped it.
    pub(in crate::worker) fn stop(&self, is_late: bool) {
        self.cached.iter().for_each(CachedRun::stop);
        self.close(is_late);
    }

    /// Ends the query: the root is lost. What it has not stored is kept.
    pub(in crate::worker) fn lose(&self) {
        self.cached.iter().for_each(CachedRun::lose);
        self.close(false);
    }

    /// Running leaves are stopped, and what no slot has claimed is given back.
    fn close(&self, is_late: bool) {
        self.late.store(is_late, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
        self.give_waiting_back();
        // A hook may use this inbox: release the lock first.
        let hooks = std::mem::take(&mut *self.hooks.lock());
        hooks.iter().for_each(|hook| hook());
        let wakers: Vec<_> = self.running.lock().values_mut().filter_map(|running| running.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}
