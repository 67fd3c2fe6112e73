//! Copies of slow attempts: when they are offered to idle slots, and which attempt counts.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::{AttemptEnd, GatherLoop};
use crate::failure::{FailureKind, SUPERSEDED};
use crate::gather::Reached;
use crate::hedging::{CopyLook, Standing};
use crate::policy::cutting::MIN_REST;
use crate::share::Part;
use crate::work::{AttemptId, Outcome, StoredAttempt, Work};

impl GatherLoop<'_> {
    /// Offers copies of the attempts that are old enough, once nothing is left to start.
    pub(super) fn offer_copies(&mut self, now: Instant) {
        if self.copies_at.is_some_and(|at| now < at) {
            return;
        }
        let runner = &self.run.services.runner;
        let is_last = !self.scatter.is_claimable() && self.retries.is_empty();
        let look = || self.hedging.look(runner.slots(), self.scatter.running(), is_last, now);
        let look = if self.scatter.is_closed() { CopyLook::default() } else { look() };
        // Attempts are looked at in turn, so not at each wake-up.
        self.copies_at = look.next.map(|at| at.max(now + MIN_REST));
        if self.scatter.offer_copies(look.due) {
            runner.nudge();
        }
    }

    /// Records that a copy of attempt `of` began.
    pub(super) fn copy_started(&mut self, id: AttemptId, of: u32, at: Instant) {
        self.scatter.copy_seen(id);
        self.gather.copied(id.partition);
        if !self.hedging.copied(id, of, at) {
            self.gather.superseded(id.partition);
            self.scatter.supersede(&[id]);
        }
    }

    /// Settles what the end of an attempt means to its rivals: the first success stops them.
    /// Returns the units that a rival still has; `None` for an attempt that counts for nothing,
    /// because a rival was done first.
    pub(super) fn settle_rivals(
        &mut self,
        id: AttemptId,
        at: Instant,
        outcome: &Outcome,
        part: Option<Part>,
    ) -> Option<Option<Range<u64>>> {
        match self.hedging.ended(id, outcome.result.is_ok(), at) {
            Standing::Sole => Some(None),
            Standing::Outlived => Some(Some(part.map_or(0..u64::MAX, |part| part.kept..part.stretch.end))),
            Standing::Won { losers, is_copy } => {
                if is_copy {
                    self.gather.copy_won();
                }
                let begin = part.map_or(0, |part| part.stretch.begin);
                for loser in &losers {
                    if !self.take_lead(*loser, begin) {
                        self.gather.superseded(loser.partition);
                    }
                }
                self.scatter.supersede(&losers);
                Some(None)
            }
            Standing::Beaten => {
                self.gather.beaten(outcome);
                self.journal.forget(id);
                self.scatter.stored(&[StoredAttempt { id, until: None }]);
                None
            }
        }
    }

    /// Ends a loser that has kept units before `begin`, which the winner does not have. It is not
    /// waited for: its worker may hang. False if it has none.
    fn take_lead(&mut self, loser: AttemptId, begin: u64) -> bool {
        let Some(part) = self.scatter.part_of(loser).filter(|part| part.stretch.begin < begin) else { return false };
        let emission = self.scatter.take_emission(loser);
        let outcome = Outcome::failed(FailureKind::Cancelled, Duration::ZERO, SUPERSEDED);
        let reached = Reached { part: Some(part), emission, contested: Some(begin..part.stretch.end) };
        self.store_or_end(AttemptEnd { id: loser, outcome, reached });
        true
    }

    /// Accounts for attempts that were to stop, and have not at the end of the gather.
    pub(super) fn account_for_stopping(&mut self) {
        let now = Instant::now();
        for (_, since) in self.hedging.stopping() {
            self.gather.wasted_beside(now.saturating_duration_since(since));
        }
    }
}
