//! Retries of one gather, granted by the rules, the deadline and the retry budget.

use std::time::Duration;

use tokio::time::Instant;

use super::{Action, Gather, Phase};
use crate::policy::retry::Retry;
use crate::share::{Part, Stretch};
use crate::work::MIN_TIME;

/// Attempts at the same units that may be lost with their workers in a row at no cost. A leaf that
/// brings its worker down each time must not go on for ever. Counted by units, not by partition:
/// one fault may take all workers at once, and with them the attempts at many parts of one.
const MAX_FORGIVEN: u32 = 5;

impl Gather {
    /// Sets the rules, which default to those for queries.
    #[must_use]
    pub fn retrying(mut self, rules: Retry) -> Self {
        self.retry = rules;
        self
    }

    /// Schedules another attempt at a partition, or at the `rest` of one, that has just failed.
    /// `asks` is the wait that its failure asks for. True when an attempt is scheduled.
    pub(super) fn retry(
        &mut self,
        partition: u32,
        rest: Option<Stretch>,
        asks: Option<Duration>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(cell) = self.cells.get(partition as usize) else {
            return false;
        };
        // A copy is no retry: the attempts beside it are one try.
        let tries = cell.attempts.saturating_sub(cell.copies).max(1);
        let attempt = rest.map_or(u32::from(tries), |rest| rest.tries.max(1)) + 1;
        let since = *self.failing.entry(partition).or_insert(now);
        let Some(next) = self.retry.next(&self.query, (partition, attempt), (since, now), asks) else {
            return false;
        };
        let granted = next.at + MIN_TIME < self.budget.leaf_deadline && (next.calm || self.retries.spend(now));
        if granted {
            self.account.attempts.retries += 1;
            actions.push(Action::Retry { partition, rest, at: next.at });
        }
        granted
    }

    /// Records that an attempt, at a part or at the whole, was lost with its worker, and returns
    /// true if that costs the partition nothing.
    pub(super) fn is_forgiven(&mut self, partition: u32, part: Option<&Part>) -> bool {
        let Some(cell) = self.cells.get_mut(partition as usize) else { return false };
        let before = part.map_or(u32::from(cell.lost), |part| part.stretch.lost);
        cell.lost = cell.lost.saturating_add(u8::from(part.is_none()));
        let forgiven = before < MAX_FORGIVEN;
        cell.attempts = cell.attempts.saturating_sub(u16::from(forgiven));
        forgiven
    }

    /// Has a partition, or the `rest` of one, run again at once. True unless too little time is
    /// left.
    pub(super) fn rerun(
        &mut self,
        partition: u32,
        rest: Option<Stretch>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let granted = self.phase == Phase::Gathering && now + MIN_TIME < self.budget.leaf_deadline;
        if granted {
            self.account.attempts.retries += 1;
            actions.push(Action::Retry { partition, rest, at: now });
        }
        granted
    }
}
