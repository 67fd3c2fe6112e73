//! Views of a query for its followers and for traces.

use frond_root::EventKind;

use super::QueryRecord;

impl QueryRecord {
    /// True if it has ended, and has no events from number `from`.
    pub(crate) fn is_over_before(&self, from: usize) -> bool {
        let state = self.state.lock();
        state.end.is_some() && from >= state.events.len()
    }

    /// Estimated number of spans of its trace: the root, plan, attempts, merges and finish.
    pub(crate) fn spans(&self) -> u64 {
        let has_span = |kind: &EventKind| {
            matches!(
                kind,
                EventKind::Planned { .. }
                    | EventKind::AttemptEnded { .. }
                    | EventKind::FoldEnded { .. }
                    | EventKind::FinishStarted {}
            )
        };
        let state = self.state.lock();
        1 + state.missed / 2 + state.events.iter().filter(|event| has_span(&event.kind)).count() as u64
    }
}
