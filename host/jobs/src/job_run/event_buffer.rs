//! Buffer of a job's events before they are stored, with its failed partitions and the account of
//! its lives.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use frond_root::answer::millis;
use frond_root::failure::{MAX_EVENT_TEXTS, TextBudget};
use frond_root::{Event, EventKind, Failure, Listener, Status};
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
    /// Attempts since the last batch.
    attempts: u64,
    /// Partitions that failed, without another attempt to come.
    failing: u64,
    /// Budget for the texts of failures, over all lives of the job.
    texts: TextBudget,
    /// Account of the earlier lives.
    earlier: Account,
    /// Account of this life.
    life: Account,
    began: Instant,
    reported: Instant,
    /// Start times of running attempts, in microseconds.
    running: BTreeMap<(u32, u32), u64>,
}

impl EventBuffer {
    /// Creates the buffer of one life of a job; `earlier` is the account of the earlier lives.
    pub(super) fn new(earlier: Account) -> Self {
        let now = Instant::now();
        Self(Mutex::new(Pages {
            lines: Vec::new(),
            failures: BTreeMap::new(),
            failed: Vec::new(),
            attempts: 0,
            failing: 0,
            texts: TextBudget::new(MAX_EVENT_TEXTS, earlier.texts),
            earlier,
            life: Account::default(),
            began: now,
            reported: now,
            running: BTreeMap::new(),
        }))
    }

    /// Takes the events since the last batch; `None` if there is nothing to report.
    pub(super) fn take(&self) -> Option<EventBatch> {
        self.with(|pages| {
            let quiet = pages.lines.is_empty() && pages.attempts == 0;
            if quiet && pages.reported.elapsed() < QUIET {
                return None;
            }
            pages.reported = Instant::now();
            Some(EventBatch {
                lines: std::mem::take(&mut pages.lines),
                attempts: std::mem::take(&mut pages.attempts),
                failing: pages.failing,
                account: Some(pages.account()),
            })
        })
    }

    /// Counts the attempts of a batch that could not be stored, for the next batch.
    pub(super) fn count_unreported(&self, attempts: u64) {
        self.with(|pages| pages.attempts += attempts);
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
        let mut life = self.life.clone();
        life.texts = self.texts.used().saturating_sub(self.earlier.texts);
        life.timings.total = millis(self.began.elapsed());
        life.timings.gather = (life.timings.total - life.timings.plan).max(0.0);
        let mut all = self.earlier.clone();
        all.add(&life);
        all
    }

    fn count(&mut self, event: &Event) {
        let life = &mut self.life;
        match &event.kind {
            EventKind::Planned { .. } => life.timings.plan = event.at as f64 / 1e3,
            EventKind::AttemptStarted { partition, attempt, .. } => {
                self.attempts += 1;
                life.attempts.started += 1;
                self.running.insert((*partition, *attempt), event.at);
            }
            EventKind::AttemptEnded { partition, attempt, failure, .. } => {
                let began = self.running.remove(&(*partition, *attempt));
                let ran = began.map_or(0.0, |began| event.at.saturating_sub(began) as f64 / 1e3);
                match failure {
                    None => life.timings.leaf_used += ran,
                    Some(failure) => {
                        life.timings.leaf_wasted += ran;
                        *life.failures.entry(failure.kind).or_default() += 1;
                    }
                }
            }
            EventKind::RetryScheduled { .. } => life.attempts.retries += 1,
            _ => {}
        }
    }
}

impl Pages {
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
            pages.count(event);
            let event = &pages.within_budget(event);
            match &event.kind {
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
                && let Ok(line) = serde_json::to_string(&**event)
            {
                pages.lines.push(line);
            }
        });
    }
}

#[cfg(test)]
mod tests;
