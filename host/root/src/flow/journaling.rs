//! Path of partials through the journal: a new partial is stored before it counts (write-ahead),
//! and partials of earlier runs are recalled while leaves run.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;

use super::query_run::QueryRun;
use crate::copying::AttemptEnd;
use crate::failure::{Failure, FailureKind};
use crate::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use crate::ledger::{PartialRange, Position};
use crate::plan::Plan;
use crate::work::{AttemptId, StoredAttempt};

/// The most bytes of partials recalled at once.
const BATCH: u64 = 8 << 20;
/// The most partials that are stored at once: a store needs much less than a lease for them.
const AT_ONCE: usize = 500;
/// Number of partials that wait to be stored, from which no leaves start.
const CROWD: usize = 4_000;
/// Part of the memory for partials that one recalled page may take.
const PAGE_SHARE: u64 = 8;

/// Result of a journal operation.
pub(super) enum JournalReport {
    /// Partials are durable.
    Kept {
        /// The attempts that have them.
        stored: Vec<StoredAttempt>,
        /// Attempts that have ended.
        ends: Vec<AttemptEnd>,
    },
    /// Partials of an earlier run, by position; empty if the page had only partials of this run.
    Recalled(Vec<RecalledPartial>),
    /// The journal failed.
    Failed(Failure),
}

/// Partial of an earlier run.
pub(super) struct RecalledPartial {
    pub(super) partition: u32,
    /// Units that it accounts for; `None` for the whole partition.
    pub(super) units: Option<PartialRange>,
    pub(super) partial: Bytes,
}

/// Partial that waits to be stored, or is being stored.
struct Entry {
    kept: KeptPartial,
    /// The attempt, if it has ended.
    end: Option<AttemptEnd>,
}

impl Entry {
    fn id(&self) -> AttemptId {
        AttemptId { partition: self.kept.partition, number: self.kept.attempt }
    }

    /// The attempt, once this is durable.
    fn stored(&self) -> StoredAttempt {
        let reached = self.kept.units.filter(|_| self.end.is_none());
        StoredAttempt { id: self.id(), until: reached.map(|units| units.end) }
    }
}

/// Partial that is stored for a running attempt.
#[derive(Clone, Copy)]
struct StoredKeep {
    units: Option<PartialRange>,
    bytes: u64,
}

/// Journal access of one query, if it has a journal. At most one batch is being written; partials
/// that arrive during the write form the next batches.
pub(super) struct Journaling {
    journal: Option<Arc<dyn Journal>>,
    waiting: Vec<Entry>,
    held: u64,
    keeping: Option<(Vec<Entry>, KeepFuture)>,
    /// Stored partials of running attempts.
    running: HashMap<AttemptId, StoredKeep>,
    recalling: Option<RecallFuture>,
    recall: Recall,
}

/// Cursor over the plan's stored partials. A page of the journal may also have partials that this
/// run has stored; they are ignored.
struct Recall {
    plan: Arc<Plan>,
    page: u64,
    /// Last recalled position.
    after: Option<Position>,
    /// Number of stored partials that are still to be recalled.
    left: usize,
}

impl Recall {
    /// Checks a page and drops partials that the plan does not call stored. The page must have
    /// every stored partial up to its last.
    fn take(&mut self, page: Vec<(Position, Bytes)>) -> Result<Vec<RecalledPartial>, Failure> {
        let lost = || Failure::new(FailureKind::Lost, "the journal has lost partials that it kept");
        let Some(last) = page.last().map(|(at, _)| *at).filter(|last| self.after.is_none_or(|after| *last > after))
        else {
            return Err(lost());
        };
        let stored = self.plan.stored();
        let wanted = stored.within(self.after, last);
        let recalled: Vec<_> =
            page.into_iter().filter_map(|(at, partial)| Some((at, stored.get(at)?, partial))).collect();
        if !recalled.iter().map(|(at, ..)| *at).eq(wanted) {
            return Err(lost());
        }
        self.after = Some(last);
        self.left = self.left.saturating_sub(recalled.len());
        let partial =
            |((partition, _), units, partial): (Position, _, _)| RecalledPartial { partition, units, partial };
        Ok(recalled.into_iter().map(partial).collect())
    }
}

impl Journaling {
    pub(super) fn new(run: &QueryRun, plan: &Arc<Plan>) -> Self {
        let journal = run.services.journal.clone();
        let left = journal.as_ref().map_or(0, |_| plan.stored().len());
        let page = (run.request.partials_memory / PAGE_SHARE).clamp(1, BATCH);
        let recall = Recall { plan: plan.clone(), page, after: None, left };
        Self { journal, waiting: Vec::new(), held: 0, keeping: None, running: HashMap::new(), recalling: None, recall }
    }

    /// True if partials are stored.
    pub(super) fn is_on(&self) -> bool {
        self.journal.is_some()
    }

    /// True if the journal has exactly these units of a running attempt, or of one that has just
    /// ended.
    pub(super) fn has(&self, id: AttemptId, units: &PartialRange) -> bool {
        self.running.get(&id).is_some_and(|stored| stored.units.as_ref() == Some(units))
    }

    /// Forgets what is stored of an attempt that has ended.
    pub(super) fn forget(&mut self, id: AttemptId) {
        self.running.remove(&id);
    }

    /// Queues a partial, with the end of its attempt if it has ended. It takes the place of a
    /// waiting one of the same attempt, which reaches less far.
    pub(super) fn add(&mut self, kept: KeptPartial, end: Option<AttemptEnd>) {
        let entry = Entry { kept, end };
        self.held += entry.kept.partial.len() as u64;
        // A whole partition replaces none: its leaf has kept nothing.
        let replaced = entry.kept.units.and_then(|_| self.waiting.iter_mut().find(|one| one.id() == entry.id()));
        match replaced {
            Some(waiting) => {
                self.held -= waiting.kept.partial.len() as u64;
                *waiting = entry;
            }
            None => self.waiting.push(entry),
        }
    }

    /// Bytes of partials that are not durable yet.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// True while so many partials wait to be stored that no more should come.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting.len() > CROWD
    }

    /// True while partials of earlier runs are still to be recalled.
    pub(super) fn is_recalling(&self) -> bool {
        self.recall.left > 0
    }

    /// Starts the next write and the next read. Nothing is read while there is no `room`.
    pub(super) fn start(&mut self, room: bool) {
        let Some(journal) = &self.journal else { return };
        if self.keeping.is_none() && !self.waiting.is_empty() {
            let later = self.waiting.split_off(self.waiting.len().min(AT_ONCE));
            let mut batch = std::mem::replace(&mut self.waiting, later);
            for entry in &mut batch {
                entry.kept.replaces = self.running.get(&entry.id()).map_or(0, |stored| stored.bytes);
            }
            let keeping = journal.keep(batch.iter().map(|entry| entry.kept.clone()).collect());
            self.keeping = Some((batch, keeping));
        }
        if self.recalling.is_none() && self.recall.left > 0 && room {
            self.recalling = Some(journal.recall(self.recall.after, self.recall.page));
        }
    }

    /// Waits for the next result; for ever when no operation runs.
    pub(super) async fn next(&mut self) -> JournalReport {
        tokio::select! {
            kept = done(self.keeping.as_mut().map(|(_, keeping)| keeping)) => self.kept(kept),
            recalled = done(self.recalling.as_mut()) => self.recalled(recalled),
        }
    }

    fn kept(&mut self, kept: Result<(), Failure>) -> JournalReport {
        let batch = self.keeping.take().map(|(batch, _)| batch).unwrap_or_default();
        self.held = self.held.saturating_sub(batch.iter().map(|one| one.kept.partial.len() as u64).sum());
        if let Err(failure) = kept {
            return JournalReport::Failed(failure);
        }
        for entry in &batch {
            let stored = StoredKeep { units: entry.kept.units, bytes: entry.kept.partial.len() as u64 };
            if entry.end.is_none() {
                self.running.insert(entry.id(), stored);
            }
        }
        let stored = batch.iter().map(Entry::stored).collect();
        JournalReport::Kept { stored, ends: batch.into_iter().filter_map(|entry| entry.end).collect() }
    }

    fn recalled(&mut self, recalled: Result<Vec<(Position, Bytes)>, Failure>) -> JournalReport {
        self.recalling = None;
        recalled.and_then(|page| self.recall.take(page)).map_or_else(
            |failure| {
                self.recall.left = 0;
                JournalReport::Failed(failure)
            },
            JournalReport::Recalled,
        )
    }
}

/// Waits for a running operation; for ever when none runs.
async fn done<T>(running: Option<&mut (impl Future<Output = T> + Unpin)>) -> T {
    match running {
        Some(running) => running.await,
        None => pending().await,
    }
}
