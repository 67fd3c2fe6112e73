//! Slots for leaves: those of this process, and those of its workers.

use std::sync::Arc;

use frond_run::{Crew, Slots};

/// Slots for leaves, wherever they run.
#[derive(Clone)]
pub(crate) struct LeafSlots {
    threads: Slots,
    /// The number of slots of this process that leaves of queries and jobs use.
    local: usize,
    /// Number of them that jobs use.
    local_behind: usize,
    /// Workers that run leaves, if there may be any.
    pub(crate) crew: Option<Arc<Crew>>,
}

impl LeafSlots {
    /// The slots of this process, `count` in number, and of the workers. `is_local` is false if
    /// leaves run on workers only.
    pub(crate) fn new(threads: Slots, count: usize, is_local: bool, crew: Option<Arc<Crew>>) -> Self {
        let (local, local_behind) = if is_local { (count, threads.behind()) } else { (0, 0) };
        Self { threads, local, local_behind, crew }
    }

    fn of_workers(&self) -> usize {
        self.crew.as_ref().map_or(0, |crew| crew.workers().slots())
    }

    /// The number of leaves that can run at once now.
    pub(crate) fn count(&self) -> usize {
        self.local + self.of_workers()
    }

    /// The number of leaves of jobs that can run at once now.
    pub(crate) fn behind(&self) -> usize {
        self.local_behind + self.of_workers()
    }

    /// The number of leaves of this process that run.
    pub(crate) fn running(&self) -> usize {
        self.threads.running()
    }

    /// The number of leaves of this process that wait without a slot.
    pub(crate) fn waiting(&self) -> usize {
        self.threads.waiting()
    }
}
