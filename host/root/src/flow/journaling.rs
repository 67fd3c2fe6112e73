//! Partials on their way through a journal: what leaves return is kept before it counts, and what was kept before this run
//! is recalled while leaves run.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;

use super::Course;
use crate::failure::Failure;
use crate::journal::{Journal, Keeping, Kept, Recalling};
use crate::plan::Plan;

/// Recalled at once, and kept at once: bytes of partials.
const BATCH: u64 = 8 << 20;

/// What came of the journal.
pub(super) enum News {
    /// These are durable now.
    Kept(Vec<Kept>),
    /// These were before.
    Recalled(Vec<(u32, Bytes)>),
    /// It fails.
    Failed(Failure),
}

/// The way through the journal, if there is one. At most one batch is being kept; what comes meanwhile is the next.
pub(super) struct Journaling {
    journal: Option<Arc<dyn Journal>>,
    waiting: Vec<Kept>,
    held: u64,
    keeping: Option<(Vec<Kept>, Keeping)>,
    recalling: Option<Recalling>,
    recalled: Option<u32>,
    /// Partials that are still to be recalled.
    left: usize,
}

impl Journaling {
    pub(super) fn new(course: &Course, plan: &Plan) -> Self {
        let journal = course.root.journal.clone();
        let left = journal.as_ref().map_or(0, |_| plan.kept());
        Self { journal, waiting: Vec::new(), held: 0, keeping: None, recalling: None, recalled: None, left }
    }

    /// Takes a partial on its way; gives it back when there is no journal to go through.
    pub(super) fn take(&mut self, kept: Kept) -> Option<Kept> {
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
        if self.recalling.is_none() && self.left > 0 && room {
            self.recalling = Some(journal.recall(self.recalled, BATCH));
        }
    }

    /// The next news; never, when nothing is under way.
    pub(super) async fn next(&mut self) -> News {
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

    fn kept(&mut self, kept: Result<(), Failure>) -> News {
        let batch = self.keeping.take().map(|(batch, _)| batch).unwrap_or_default();
        self.held = self.held.saturating_sub(batch.iter().map(|one| one.partial.len() as u64).sum());
        kept.map_or_else(News::Failed, |()| News::Kept(batch))
    }

    fn recalled(&mut self, recalled: Result<Vec<(u32, Bytes)>, Failure>) -> News {
        self.recalling = None;
        match recalled {
            Ok(partials) if partials.is_empty() => {
                self.left = 0;
                News::Failed(Failure::new(
                    crate::failure::FailureKind::Lost,
                    "the journal has lost partials that it kept",
                ))
            }
            Ok(partials) => {
                self.left = self.left.saturating_sub(partials.len());
                self.recalled = partials.last().map(|(partition, _)| *partition);
                News::Recalled(partials)
            }
            Err(failure) => {
                self.left = 0;
                News::Failed(failure)
            }
        }
    }
}
