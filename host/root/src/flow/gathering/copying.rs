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
    /// Returns its outcome, with the units that a rival still has; `None` for an attempt that
    /// counts for nothing, because a rival was done first.
    pub(super) fn settle_rivals(
        &mut self,
        id: AttemptId,
        at: Instant,
        outcome: Outcome,
        part: Option<Part>,
    ) -> Option<(Outcome, Option<Range<u64>>)> {
        match self.hedging.ended(id, outcome.result.is_ok(), at) {
            Standing::Sole => Some((outcome, None)),
            Standing::Outlived => Some((outcome, Some(part.map_or(0..u64::MAX, |part| part.kept..part.stretch.end)))),
            Standing::Won { losers, is_copy } => {
                if is_copy {
                    self.gather.copy_won();
                }
                let begin = part.map_or(0, |part| part.stretch.begin);
                losers.iter().for_each(|loser| self.stop_loser(*loser, begin));
                self.scatter.supersede(&losers);
                Some((outcome, None))
            }
            Standing::Beaten => {
                self.scatter.forget_copies_of(id);
                let lead = self.leads.remove(&id);
                let begin = lead.filter(|begin| part.is_some_and(|part| part.stretch.begin < *begin));
                if let Some((begin, part)) = begin.zip(part) {
                    return Some((superseded(outcome.ran), Some(begin..part.stretch.end)));
                }
                if lead.is_some() {
                    self.gather.superseded(id.partition);
                }
                self.gather.beaten(&outcome);
                self.scatter.stored(&[StoredAttempt { id, until: None }]);
                None
            }
        }
    }

    /// Ends a rival of an attempt that was done first. What the rival has kept of the units before
    /// `begin`, which the winner does not have, counts at once: its worker may hang.
    fn stop_loser(&mut self, loser: AttemptId, begin: u64) {
        let part = self.scatter.part_of(loser);
        if let Some(part) = part.filter(|part| part.stretch.begin < begin) {
            let emission = self.scatter.take_emission(loser);
            let reached = Reached { part: Some(part), emission, contested: Some(begin..part.stretch.end) };
            self.store_or_end(AttemptEnd { id: loser, outcome: superseded(Duration::ZERO), reached });
        } else if part.is_none() && begin > 0 {
            // It has just ended: its report is on its way.
            self.leads.insert(loser, begin);
        } else {
            self.gather.superseded(loser.partition);
        }
    }

    /// Accounts for attempts that were to stop, and have not at the end of the gather.
    pub(super) fn account_for_stopping(&mut self) {
        let now = Instant::now();
        for (_, since) in self.hedging.stopping() {
            self.gather.wasted_beside(now.saturating_duration_since(since));
        }
    }
}

/// Outcome of an attempt of which only what it kept counts.
fn superseded(ran: Duration) -> Outcome {
    Outcome::failed(FailureKind::Cancelled, ran, SUPERSEDED)
}
