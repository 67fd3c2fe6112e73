//! Services that a query uses.

use std::sync::Arc;

use crate::event::Events;
use crate::journal::Journal;
use crate::memory::Memory;
use crate::runner::Merger;
use crate::work::LeafRunner;

/// Services that a query uses.
#[derive(Clone)]
pub struct Services {
    /// Runs the leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Folds the partials.
    pub merger: Arc<dyn Merger>,
    /// Receives the events.
    pub events: Events,
    /// Makes the partials durable; `None` for a query that need not survive its process.
    pub journal: Option<Arc<dyn Journal>>,
    /// Memory that all queries of the process share; `None` for no bound beside the query's own.
    pub memory: Option<Memory>,
}
