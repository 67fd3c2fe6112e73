//! Folds and previews while leaves run.

use tokio::time::Instant;

use super::GatherLoop;
use crate::failure::Failure;
use crate::folding::FoldResult;
use crate::merge::fold::Urgency;
use crate::runner::Covered;
use crate::work::Work;

impl GatherLoop<'_> {
    pub(super) fn start_folds(&mut self, now: Instant) {
        // Cleared after one use, as there may be nothing to fold: in order, neighbours may still be
        // missing.
        if self.idle_at.take_if(|at| *at <= now).is_some() {
            self.idle = true;
        }
        // Folds that overlap with the last leaves need not run after them.
        let last_wave = self.partials.is_weighty() && !self.scatter.is_claimable();
        let urgency = if self.held || self.partials.is_full() {
            Urgency::Any
        } else if self.idle || last_wave {
            Urgency::Idle
        } else {
            Urgency::Full
        };
        if self.merge_failure.is_none() && self.gather.ended_why().is_none() && !self.preview(now) {
            self.folds.start(&mut self.partials, urgency);
        }
    }

    /// Makes a preview if one is due. True while folds must wait for it.
    fn preview(&mut self, now: Instant) -> bool {
        let covered = self.gather.covered();
        if self.held || !self.previews.is_due(now, covered) {
            return false;
        }
        let free = self.partials.folding() == 0;
        if free {
            let covered = Covered { planned: self.gather.planned(), covered, complete: false };
            self.previews.start(self.run, &self.partials, covered);
        }
        !free
    }

    pub(super) fn folded(&mut self, folded: Result<FoldResult, Failure>) {
        if let Ok(folded) = &folded {
            self.scatter.merged(folded.took);
        }
        if let Err(failure) = self.folds.take(&mut self.partials, folded) {
            self.merge_failure.get_or_insert(failure);
            self.gather.merge_failed(Instant::now(), &mut self.actions);
        }
    }
}
