//! Path of partials through the journal: a new partial is stored before it counts (write-ahead),
//! and partials of earlier runs are recalled while leaves run.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;

use super::query_run::QueryRun;
use crate::failure::{Failure, FailureKind};
use crate::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use crate::plan::Plan;

/// The most bytes of partials recalled at once.
const BATCH: u64 = 8 << 20;
/// Part of the memory for partials that one recalled page may take.
const PAGE_SHARE: u64 = 8;

/// Result of a journal operation.
pub(super) enum JournalReport {
    /// These partials are durable.
    Kept(Vec<KeptPartial>),
    /// Partials of an earlier run, by index; empty if the page had only partials of this run.
    Recalled(Vec<(u32, Bytes)>),
    /// The journal failed.
    Failed(Failure),
}

/// Journal access of one query, if it has a journal. At most one batch is being written; partials
/// that arrive during the write form the next batch.
pub(super) struct Journaling {
    journal: Option<Arc<dyn Journal>>,
    waiting: Vec<KeptPartial>,
    held: u64,
    keeping: Option<(Vec<KeptPartial>, KeepFuture)>,
    recalling: Option<RecallFuture>,
    recall: Recall,
}

/// Cursor over the plan's kept partials. A page of the journal may also have partials that this run
/// has stored; they are ignored.
struct Recall {
    plan: Arc<Plan>,
    page: u64,
    /// Last recalled index.
    after: Option<u32>,
    /// Number of kept partials that are still to be recalled.
    left: usize,
}

impl Recall {
    /// Checks a page and drops partials that the plan does not call kept. The page must have every
    /// kept index up to its last.
    fn take(&mut self, page: Vec<(u32, Bytes)>) -> Result<Vec<(u32, Bytes)>, Failure> {
        let lost = || Failure::new(FailureKind::Lost, "the journal has lost partials that it kept");
        let Some(last) =
            page.last().map(|(index, _)| *index).filter(|last| self.after.is_none_or(|after| *last > after))
        else {
            return Err(lost());
        };
        let wanted = self.plan.kept_within(self.after, last);
        let kept: Vec<_> = page.into_iter().filter(|(index, _)| self.plan.is_kept(*index)).collect();
        if !kept.iter().map(|(index, _)| *index).eq(wanted) {
            return Err(lost());
        }
        self.after = Some(last);
        self.left = self.left.saturating_sub(kept.len());
        Ok(kept)
    }
}

impl Journaling {
    pub(super) fn new(run: &QueryRun, plan: &Arc<Plan>) -> Self {
        let journal = run.services.journal.clone();
        let left = journal.as_ref().map_or(0, |_| plan.kept());
        let page = (run.request.partials_memory / PAGE_SHARE).clamp(1, BATCH);
        let recall = Recall { plan: plan.clone(), page, after: None, left };
        Self { journal, waiting: Vec::new(), held: 0, keeping: None, recalling: None, recall }
    }

    /// Queues a partial for the journal; returns it when there is no journal.
    pub(super) fn take(&mut self, kept: KeptPartial) -> Option<KeptPartial> {
        if self.journal.is_none() {
            return Some(kept);
        }
        self.held += kept.partial.len() as u64;
        self.waiting.push(kept);
        None
    }

    /// Bytes of partials that are not durable yet.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Starts the next write and the next read. Nothing is read while there is no `room`.
    pub(super) fn start(&mut self, room: bool) {
        let Some(journal) = &self.journal else { return };
        if self.keeping.is_none() && !self.waiting.is_empty() {
            let batch = std::mem::take(&mut self.waiting);
            self.keeping = Some((batch.clone(), journal.keep(batch)));
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
        self.held = self.held.saturating_sub(batch.iter().map(|one| one.partial.len() as u64).sum());
        kept.map_or_else(JournalReport::Failed, |()| JournalReport::Kept(batch))
    }

    fn recalled(&mut self, recalled: Result<Vec<(u32, Bytes)>, Failure>) -> JournalReport {
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
