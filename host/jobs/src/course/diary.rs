//! What happens to a job, on its way to the store; and which partitions failed, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use frond_root::{Event, EventKind, Failure, Listener, Status};

/// Events that wait to be written. A store that is away for longer loses the later ones.
const WAITING: usize = 10_000;
/// Failures that are kept until the end; partitions beyond count as pending, and run again all the same.
const FAILURES: usize = 10_000;

/// A job's diary.
#[derive(Default)]
pub(super) struct Diary(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    lines: Vec<String>,
    /// The last failure of partitions that have not succeeded.
    failures: BTreeMap<u32, (u32, Failure)>,
    failed: Vec<u32>,
}

impl Diary {
    /// The lines since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        self.with(|pages| std::mem::take(&mut pages.lines))
    }

    /// The partitions that failed, with the attempt that was the last.
    pub(super) fn failed(&self) -> Vec<(u32, u32, Failure)> {
        self.with(|pages| {
            let failed = std::mem::take(&mut pages.failed);
            let known = failed.into_iter().filter_map(|index| pages.failures.remove_entry(&index));
            known.map(|(index, (attempt, failure))| (index, attempt, failure)).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pages) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener for Diary {
    fn event(&self, event: &Event) {
        self.with(|pages| {
            match &event.kind {
                EventKind::AttemptEnded { partition, failure: None, .. } => {
                    pages.failures.remove(partition);
                }
                EventKind::AttemptEnded { partition, attempt, failure: Some(failure), .. }
                    if pages.failures.len() < FAILURES =>
                {
                    pages.failures.insert(*partition, (*attempt, failure.clone()));
                }
                EventKind::PartitionMissing { partition, status: Status::Failed, .. } => pages.failed.push(*partition),
                _ => {}
            }
            if pages.lines.len() < WAITING
                && let Ok(line) = serde_json::to_string(event)
            {
                pages.lines.push(line);
            }
        });
    }
}
