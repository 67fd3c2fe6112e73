//! Partials on their way through a journal: what leaves return is kept before it counts, and what was kept before this run
//! is recalled while leaves run.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;

use super::QueryRun;
use crate::failure::{Failure, FailureKind};
use crate::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use crate::plan::Plan;

/// The most bytes of partials recalled at once.
const BATCH: u64 = 8 << 20;
/// The part of the memory for partials that one recalled page may take.
const PAGE_SHARE: u64 = 8;

/// What came of the journal.
pub(super) enum JournalReport {
    /// These are durable now.
    Kept(Vec<KeptPartial>),
    /// Partials of an earlier run, by index; empty for a page that had only partials of this run.
    Recalled(Vec<(u32, Bytes)>),
    /// It fails.
    Failed(Failure),
}

/// The way through the journal, if there is one. At most one batch is being kept; what comes meanwhile is the next.
pub(super) struct Journaling {
    journal: Option<Arc<dyn Journal>>,
    waiting: Vec<KeptPartial>,
    held: u64,
    keeping: Option<(Vec<KeptPartial>, KeepFuture)>,
    recalling: Option<RecallFuture>,
    recall: Recall,
}

/// What of the plan's kept partials is still to be recalled. A journal also holds what this run has kept since: a page may
/// have such partials, which count as nothing here.
struct Recall {
    plan: Arc<Plan>,
    page: u64,
    /// The last index that was recalled.
    after: Option<u32>,
    /// Kept partials that have not been recalled.
    left: usize,
}

impl Recall {
    /// Checks a page, and takes out what the plan does not call kept. Every kept index up to the page's last must be in it.
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
    pub(super) fn new(course: &QueryRun, plan: &Arc<Plan>) -> Self {
        let journal = course.root.journal.clone();
        let left = journal.as_ref().map_or(0, |_| plan.kept());
        let page = (course.request.partials_memory / PAGE_SHARE).clamp(1, BATCH);
        let recall = Recall { plan: plan.clone(), page, after: None, left };
        Self { journal, waiting: Vec::new(), held: 0, keeping: None, recalling: None, recall }
    }

    /// Takes a partial on its way; gives it back when there is no journal to go through.
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

    /// Begins what can be begun. Nothing is recalled while there is no `room` for it.
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

    /// The next news; never, when nothing is under way.
    pub(super) async fn next(&mut self) -> JournalReport {
        let Self { keeping, recalling, .. } = self;
        let kept = async {
            match keeping {
                Some((_, keeping)) => keeping.await,
                None => pending().await,
            }
        };
        let recalled = async {
            match recalling {
                Some(recalling) => recalling.await,
                None => pending().await,
            }
        };
        tokio::select! {
            kept = kept => self.kept(kept),
            recalled = recalled => self.recalled(recalled),
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
