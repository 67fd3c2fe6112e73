//! State of a query, updated by its events.

use std::time::Duration;

use bytes::Bytes;
use frond_root::answer::millis;
use frond_root::progress::EndedAttempt;
use frond_root::{Coverage, Event, EventKind, Failure, PartitionKey, Progress, WorkerTimes};

use super::views::Counts;

/// State of a recorded query: its events, counts and running leaves.
#[derive(Default)]
pub(super) struct State {
    pub(super) events: Vec<Event>,
    pub(super) missed: u64,
    pub(super) progress: Progress,
    pub(super) slowest: Option<Slowest>,
    pub(super) preview: Option<SoFar>,
    pub(super) end: Option<End>,
}

/// A preview of the answer at some moment.
#[derive(Clone)]
pub(crate) struct SoFar {
    pub(crate) at: Duration,
    pub(crate) body: Bytes,
    pub(crate) fraction: f64,
}

/// The attempt that took longest.
#[derive(Clone, Debug)]
pub(crate) struct Slowest {
    pub(crate) key: PartitionKey,
    pub(crate) ms: f64,
}

/// The end of a query.
pub(super) struct End {
    pub(super) took: Duration,
    pub(super) outcome: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) coverage: Option<Box<Coverage>>,
    pub(super) answer: Option<(Bytes, usize)>,
}

impl State {
    pub(super) fn count(&mut self, event: &Event) {
        let Some(EndedAttempt { key, took }) = self.progress.add(event) else { return };
        let ms = millis(took);
        if self.slowest.as_ref().is_none_or(|slowest| ms > slowest.ms) {
            self.slowest = Some(Slowest { key, ms });
        }
    }

    /// Counts of the partitions; nothing runs after the end.
    pub(super) fn counts(&self) -> Counts {
        let Progress { partitions, settled, running, .. } = &self.progress;
        Counts {
            planned: *partitions,
            settled: settled.planned,
            running: if self.end.is_some() { 0 } else { *running },
            missing: settled.planned - settled.succeeded,
        }
    }
}

/// The size of an event's texts and of its boxed times, in bytes.
pub(super) fn texts(event: &Event) -> usize {
    let times = match &event.kind {
        EventKind::AttemptEnded { on_worker: Some(_), .. } => size_of::<WorkerTimes>(),
        _ => 0,
    };
    let texts = match &event.kind {
        EventKind::AttemptStarted { key, .. } | EventKind::PartitionMissing { key, .. } => key.as_str().len(),
        EventKind::AttemptEnded { failure: Some(failure), .. }
        | EventKind::FoldEnded { failure: Some(failure), .. } => {
            let lines = failure.log.iter().chain(&failure.backtrace).map(|line| line.len() + size_of::<String>());
            failure.message.len() + lines.sum::<usize>()
        }
        EventKind::AttemptEnded { log, .. } => log.iter().map(|line| line.len() + size_of::<String>()).sum(),
        EventKind::QueryEnded { coverage, .. } => account_bytes(coverage),
        _ => 0,
    };
    times + texts
}

/// The approximate size of an account, in bytes.
pub(super) fn account_bytes(coverage: &Coverage) -> usize {
    let texts = |failure: &Failure| failure.log.iter().map(String::len).sum::<usize>() + failure.message.len();
    let each = coverage.missing.iter().map(|one| one.failure.as_ref().map_or(0, texts) + 256);
    size_of::<Coverage>() + each.sum::<usize>()
}
