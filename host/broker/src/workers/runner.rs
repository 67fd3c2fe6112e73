//! Runner of one app's leaves on workers, and on the slots of this process.

use std::sync::Arc;

use frond_root::{LeafRunner, PieceSizes, Work};

use super::queries::Query;
use super::shared::Shared;
use super::source::LeafSource;
use crate::frames::MOST_AHEAD;

/// Claimed attempts for workers that may join while a query runs.
const FOR_JOINERS: usize = 1024;

/// Runner of one app's leaves.
pub(super) struct WorkersRunner {
    shared: Arc<Shared>,
    source: Arc<LeafSource>,
    local: Option<Arc<dyn LeafRunner>>,
}

impl WorkersRunner {
    pub(super) fn new(shared: Arc<Shared>, source: LeafSource, local: Option<Arc<dyn LeafRunner>>) -> Self {
        Self { shared, source: Arc::new(source), local }
    }

    fn local_slots(&self) -> usize {
        self.local.as_ref().map_or(0, |local| local.slots())
    }
}

impl LeafRunner for WorkersRunner {
    fn attach(&self, work: Arc<dyn Work>) {
        if let Some(local) = &self.local {
            local.attach(work.clone());
        }
        let source = self.source.clone();
        let local = self.local.clone();
        self.shared.attach(|number| Query::new(number, work, source, local));
    }

    fn nudge(&self) {
        if let Some(local) = &self.local {
            local.nudge();
        }
        self.shared.nudged.notify_one();
    }

    fn slots(&self) -> usize {
        (self.local_slots() + self.shared.slots()).max(1)
    }

    fn own_slots(&self) -> usize {
        self.local_slots()
    }

    fn most_claimed(&self) -> usize {
        self.local_slots() + self.shared.slots() * (1 + MOST_AHEAD) + FOR_JOINERS
    }

    fn pieces(&self) -> Option<PieceSizes> {
        self.source.pieces
    }
}
