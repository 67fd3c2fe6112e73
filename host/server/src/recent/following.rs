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
        let state = self.state.lock();
        1 + state.missed / 2 + state.events.iter().map(|event| spans_of(&event.kind)).sum::<u64>()
    }
}

/// Number of the spans that an event ends.
fn spans_of(kind: &EventKind) -> u64 {
    match kind {
        EventKind::AttemptEnded { on_worker: Some(times), .. } => {
            let steps = [times.received.is_some(), times.code.is_some(), times.pulls.is_some()];
            2 + steps.map(u64::from).iter().sum::<u64>()
        }
        EventKind::Planned { .. }
        | EventKind::AttemptEnded { .. }
        | EventKind::FoldEnded { .. }
        | EventKind::FinishStarted {} => 1,
        _ => 0,
    }
}
