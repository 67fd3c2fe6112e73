//! Slots for leaves: those of this process, and those of its workers.

use std::sync::Arc;

use frond_run::{Crew, Machine, Slots, WorkerView};

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
    /// The machine, which has the processes of isolated leaves.
    machine: Arc<Machine>,
}

impl LeafSlots {
    /// The slots of this process, of which leaves of queries and jobs use `local`, and those of the
    /// workers.
    pub(crate) fn new(threads: Slots, local: usize, crew: Option<Arc<Crew>>, machine: Arc<Machine>) -> Self {
        let local_behind = if local > 0 { threads.behind() } else { 0 };
        Self { threads, local, local_behind, crew, machine }
    }

    /// The number of slots of this process that leaves of queries and jobs use.
    pub(crate) fn local(&self) -> usize {
        self.local
    }

    /// The processes of isolated leaves.
    pub(crate) fn isolated(&self) -> Vec<WorkerView> {
        self.machine.isolated()
    }

    /// Tells the workers of the broker that the server leaves.
    pub(crate) async fn leave(&self) {
        if let Some(crew) = &self.crew {
            crew.leave().await;
        }
    }

    /// The reason why no leaf can run now, if none can.
    pub(crate) fn absence(&self) -> Option<String> {
        self.crew.as_ref().filter(|_| self.local == 0)?.absence()
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
