//! What happens to a job, on its way to the store; and which partitions failed, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use frond_root::{Event, EventKind, Failure, Listener, Status};

use crate::store::News;

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
    /// Attempts since the last call.
    attempts: u64,
    /// Partitions that failed, and have no other attempt before them.
    failing: u64,
}

impl Diary {
    /// What came since the last call; nothing when that is nothing new.
    pub(super) fn take(&self) -> Option<News> {
        self.with(|pages| {
            let news = News {
                lines: std::mem::take(&mut pages.lines),
                attempts: std::mem::take(&mut pages.attempts),
                failing: pages.failing,
            };
            (!news.lines.is_empty() || news.attempts > 0).then_some(news)
        })
    }

    /// So many attempts could not be told.
    pub(super) fn untold(&self, attempts: u64) {
        self.with(|pages| pages.attempts += attempts);
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
                EventKind::AttemptStarted { .. } => pages.attempts += 1,
                EventKind::AttemptEnded { partition, failure: None, .. } => {
                    pages.failures.remove(partition);
                }
                EventKind::AttemptEnded { partition, attempt, failure: Some(failure), .. }
                    if pages.failures.len() < FAILURES =>
                {
                    pages.failures.insert(*partition, (*attempt, failure.clone()));
                }
                EventKind::PartitionMissing { partition, status: Status::Failed, .. } => {
                    pages.failed.push(*partition);
                    pages.failing += 1;
                }
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
