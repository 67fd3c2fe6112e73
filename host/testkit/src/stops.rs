//! Signals that stop the attempts of one query: all of them, or one by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use frond_root::{AttemptId, CancellationToken, Work};

/// Signals of one query's attempts.
#[derive(Clone, Default)]
pub(crate) struct Stops {
    all: CancellationToken,
    each: Arc<Mutex<HashMap<AttemptId, CancellationToken>>>,
}

impl Stops {
    /// The signals of a query that is attached.
    pub(crate) fn of(work: &dyn Work) -> Self {
        let stops = Self::default();
        let close = stops.all.clone();
        work.on_stop(Box::new(move || close.cancel()));
        let each = stops.each.clone();
        work.on_superseded(Arc::new(move |id| {
            if let Some(stop) = each.lock().unwrap().remove(&id) {
                stop.cancel();
            }
        }));
        stops
    }

    /// Signal of an attempt that begins.
    pub(crate) fn begin(&self, id: AttemptId) -> CancellationToken {
        let stop = self.all.child_token();
        self.each.lock().unwrap().insert(id, stop.clone());
        stop
    }
}
