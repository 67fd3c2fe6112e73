//! The kinds of events, as metrics name them.

use frond_root::EventKind;

/// The names of the kinds.
pub(super) const KINDS: [&str; 13] = [
    "query-started",
    "planned",
    "attempt-started",
    "attempt-ended",
    "retry-scheduled",
    "partition-missing",
    "fold-started",
    "fold-ended",
    "floor-reached",
    "held",
    "gather-ended",
    "finish-started",
    "query-ended",
];

/// The index of an event's kind in [`KINDS`].
pub(super) fn kind(kind: &EventKind) -> usize {
    match kind {
        EventKind::QueryStarted { .. } => 0,
        EventKind::Planned { .. } => 1,
        EventKind::AttemptStarted { .. } => 2,
        EventKind::AttemptEnded { .. } => 3,
        EventKind::RetryScheduled { .. } => 4,
        EventKind::PartitionMissing { .. } => 5,
        EventKind::FoldStarted { .. } => 6,
        EventKind::FoldEnded { .. } => 7,
        EventKind::FloorReached { .. } => 8,
        EventKind::Held { .. } => 9,
        EventKind::GatherEnded { .. } => 10,
        EventKind::FinishStarted {} => 11,
        EventKind::QueryEnded { .. } => 12,
    }
}
