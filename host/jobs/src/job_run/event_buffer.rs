//! Buffer of a job's events before they are stored, with its failed partitions and the account of
//! its lives.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use frond_root::answer::{Timings, millis};
use frond_root::failure::{MAX_EVENT_TEXTS, TextBudget};
use frond_root::{Event, EventKind, Failure, Listener, Progress, Status};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::account::Account;
use crate::store::EventBatch;

/// Most events that wait to be written. If the store is unavailable for longer, later events are
/// dropped.
const WAITING: usize = 10_000;
/// Most failures kept until the end. Further failed partitions count as pending, and run again all
/// the same.
const FAILURES: usize = 10_000;
/// Longest time between two reports of the account, even without events.
const QUIET: Duration = Duration::from_secs(5);

/// Buffer of one job's events.
pub(super) struct EventBuffer(Mutex<Pages>);

/// Events and failures since the last write to the store.
struct Pages {
    lines: Vec<String>,
    /// Last failure of each partition that has not succeeded, with its attempt.
    failures: BTreeMap<u32, (u32, Failure)>,
    failed: Vec<u32>,
    /// Counts of this life.
    progress: Progress,
    /// Attempts in earlier batches.
    reported_attempts: u64,
    /// Budget for the texts of failures, over all lives of the job.
    texts: TextBudget,
    /// Account of the earlier lives.
    earlier: Account,
    began: Instant,
    reported: Instant,
}

impl EventBuffer {
    /// Creates the buffer of one life of a job; `earlier` is the account of the earlier lives.
    pub(super) fn new(earlier: Account) -> Self {
        let now = Instant::now();
        Self(Mutex::new(Pages {
            lines: Vec::new(),
            failures: BTreeMap::new(),
            failed: Vec::new(),
            progress: Progress::default(),
            reported_attempts: 0,
            texts: TextBudget::new(MAX_EVENT_TEXTS, earlier.texts),
            earlier,
            began: now,
            reported: now,
        }))
    }

    /// Takes the events since the last batch; `None` if there is nothing to report.
    pub(super) fn take(&self) -> Option<EventBatch> {
        self.with(|pages| {
            let started = pages.progress.attempts.started;
            let quiet = pages.lines.is_empty() && pages.reported_attempts == started;
            if quiet && pages.reported.elapsed() < QUIET {
                return None;
            }
            pages.reported = Instant::now();
            Some(EventBatch {
                lines: std::mem::take(&mut pages.lines),
                attempts: started - std::mem::replace(&mut pages.reported_attempts, started),
                failing: pages.progress.settled.failed,
                account: Some(pages.account()),
            })
        })
    }

    /// Counts the attempts of a batch that could not be stored, for the next batch.
    pub(super) fn count_unreported(&self, attempts: u64) {
        self.with(|pages| pages.reported_attempts -= attempts);
    }

    /// Account of the lives before this one.
    pub(super) fn earlier(&self) -> Account {
        self.with(|pages| pages.earlier.clone())
    }

    /// Takes the failed partitions, each with its last attempt.
    pub(super) fn failed(&self) -> Vec<(u32, u32, Failure)> {
        self.with(|pages| {
            let failed = std::mem::take(&mut pages.failed);
            let known = failed.into_iter().filter_map(|index| pages.failures.remove_entry(&index));
            known.map(|(index, (attempt, failure))| (index, attempt, failure)).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Pages) -> T) -> T {
        act(&mut self.0.lock())
    }
}

impl Pages {
    /// Account of all lives, including the current one so far.
    fn account(&self) -> Account {
        let progress = &self.progress;
        let plan = millis(progress.planning);
        let total = millis(self.began.elapsed());
        let mut all = self.earlier.clone();
        all.add(&Account {
            attempts: progress.attempts,
            failures: progress.failures.clone(),
            texts: self.texts.used().saturating_sub(self.earlier.texts),
            timings: Timings {
                plan,
                gather: (total - plan).max(0.0),
                total,
                leaf_used: millis(progress.used),
                leaf_wasted: millis(progress.wasted),
                leaf_waited: millis(progress.waited),
                ..Timings::default()
            },
        });
        all
    }

    /// Limits the texts of a failure to the rest of the job's budget.
    fn within_budget<'a>(&mut self, event: &'a Event) -> Cow<'a, Event> {
        let EventKind::AttemptEnded { failure: Some(failure), .. } = &event.kind else { return Cow::Borrowed(event) };
        let taken = self.texts.take(failure);
        if taken == *failure {
            return Cow::Borrowed(event);
        }
        let mut event = event.clone();
        if let EventKind::AttemptEnded { failure: Some(failure), .. } = &mut event.kind {
            *failure = taken;
        }
        Cow::Owned(event)
    }
}

impl Listener for EventBuffer {
    fn event(&self, event: &Event) {
        self.with(|pages| {
            pages.progress.add(event);
            let event = &pages.within_budget(event);
            match &event.kind {
                // Another attempt at the partition was done first.
                EventKind::AttemptEnded { beaten: true, .. } => {}
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
                }
                _ => {}
            }
            if pages.lines.len() < WAITING
                && let Ok(line) = serde_json::to_string(&**event)
            {
                pages.lines.push(line);
            }
        });
    }
}

#[cfg(test)]
mod tests;
