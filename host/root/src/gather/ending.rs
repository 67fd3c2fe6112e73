//! End of the gather: enough is there, nothing more can come, or time is up.

use tokio::time::Instant;

use super::{Action, Gather, Phase, share_of};
use crate::answer::{Reason, Status};
use crate::event::GatherEnd;
use crate::failure::{CANCELLED, Cause, Failure, FailureKind, WAIT_OVER};
use crate::ledger::PartialRange;
use crate::limit::Limit;
use crate::policy::wait::{MAX_FACTOR, MIN_FACTOR, adaptive_wait};
use crate::request::Floor;
use crate::work::{Done, Emission};

impl Gather {
    /// Checks whether the gather ends. Call it after each batch of events and at [`Gather::timer`].
    pub fn look(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Ended { .. } => {}
            Phase::Draining { why, until } => {
                if self.running == 0 || now >= until || self.open == 0 {
                    self.end(why, actions);
                }
            }
            Phase::Gathering => match self.verdict(now, actions) {
                Some(why) if self.running == 0 || self.open == 0 => self.end(why, actions),
                Some(why) => self.drain(why, now, actions),
                None => {}
            },
        }
    }

    fn verdict(&mut self, now: Instant, actions: &mut Vec<Action>) -> Option<GatherEnd> {
        if self.invalid_query.is_some() {
            return Some(GatherEnd::InvalidQuery);
        }
        if self.open == 0 {
            return Some(GatherEnd::AllSettled);
        }
        // Once leaves are cut off for time, time is what ends the query: their reports are about to
        // say so.
        let late = now >= self.budget.leaf_deadline;
        if !late && (self.required_lost || !self.reaches_floor(self.open_weight)) {
            return Some(GatherEnd::OutOfReach);
        }
        if now >= self.budget.gather_deadline || (late && self.running == 0) {
            return Some(GatherEnd::Deadline);
        }
        if self.is_enough() && !std::mem::replace(&mut self.floor_reached, true) {
            actions.push(Action::FloorReached { fraction: self.fraction() });
        }
        self.wait_until.filter(|until| now >= *until).map(|_| GatherEnd::WaitOver)
    }

    /// Restarts the adaptive wait. Call it when a partial has arrived.
    pub fn arrived(&mut self, now: Instant) {
        if let Floor::AtLeast(least) = self.demand.floor
            && self.is_enough()
            && self.open > 0
        {
            let count = self.plan.len() as u64;
            let allowed = count.saturating_sub(share_of(least, count).ceil() as u64);
            let left = self.budget.gather_deadline.saturating_duration_since(now);
            self.wait_until = Some(now + adaptive_wait(left, self.open, allowed, MIN_FACTOR, MAX_FACTOR));
        }
    }

    /// Cancels the gather.
    pub fn cancel(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.stop(GatherEnd::Cancelled, now, actions);
    }

    /// Stops the gather after a failed merge, as further partials are useless.
    pub fn merge_failed(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.stop(GatherEnd::MergeFailed, now, actions);
    }

    fn stop(&mut self, why: GatherEnd, now: Instant, actions: &mut Vec<Action>) {
        if self.phase == Phase::Gathering {
            self.drain(why, now, actions);
            self.look(now, actions);
        }
    }

    fn drain(&mut self, why: GatherEnd, now: Instant, actions: &mut Vec<Action>) {
        // The time after the gather's deadline belongs to the merge.
        let until = (now + self.budget.grace).min(self.budget.gather_deadline).max(now);
        self.phase = Phase::Draining { why, until };
        actions.push(Action::Close { late: is_late(why) });
    }

    /// Settles all open partitions, and ends.
    fn end(&mut self, why: GatherEnd, actions: &mut Vec<Action>) {
        let late = is_late(why);
        for index in (0_u32..).take(self.cells.len()) {
            let Some(cell) = self.cells.get_mut(index as usize) else {
                break;
            };
            if cell.settled.is_some() {
                continue;
            }
            let running = cell.running > 0;
            let tried = cell.kind.is_some();
            if running {
                self.remember(index, no_report(why, self.budget.limit));
            }
            if self.end_parts(index, actions) || self.degrade_to_spare(index, actions) {
                continue;
            }
            let status = match (running, tried, late) {
                (true, _, true) => Status::TimedOut,
                (false, true, _) => Status::Failed,
                (false, false, true) => Status::NotStarted,
                (_, _, false) => Status::Cancelled,
            };
            self.miss(index, status, actions);
        }
        self.phase = Phase::Ended { why };
        actions.push(Action::Close { late });
    }

    /// Settles a partition that has no partial.
    pub(super) fn miss(&mut self, partition: u32, status: Status, actions: &mut Vec<Action>) {
        self.settle(partition, status, 0.0);
        if status == Status::Failed {
            self.explains(partition, Cause::Own);
        }
        self.note_missing(partition, status, actions);
    }

    /// Tells that a partition has no partial, or only part of one.
    pub(super) fn note_missing(&self, partition: u32, status: Status, actions: &mut Vec<Action>) {
        actions.push(Action::Missing {
            partition,
            status,
            slug: self.cells.get(partition as usize).and_then(|cell| cell.kind),
        });
    }

    /// Takes the emission of a running leaf. Call it before the gather ends by its deadline.
    pub fn cut_off(&mut self, partition: u32, emission: Emission, actions: &mut Vec<Action>) {
        let open = self.cells.get_mut(partition as usize).filter(|cell| cell.settled.is_none() && cell.running > 0);
        let Some(cell) = open else { return };
        match emission.done {
            Done::Units { begin, end, of } => {
                let range = PartialRange { begin, end, until: end, of };
                self.account.units.saved += self.accept(partition, &range, emission.partial, actions);
            }
            Done::Share(_) if self.ledgers.contains_key(&partition) => {}
            Done::Share(share) => {
                cell.kind = Some(FailureKind::OutOfTime);
                self.degrade(partition, emission.partial, share, actions);
            }
        }
    }

    /// Time of the next [`Gather::look`] without an event; `None` once ended.
    #[must_use]
    pub fn timer(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ended { .. } => None,
            Phase::Draining { until, .. } => Some(until),
            Phase::Gathering => {
                // Running leaves report their ends; without any, nothing is awaited beyond the leaf
                // deadline.
                let leaf = (self.running == 0).then_some(self.budget.leaf_deadline);
                [leaf, self.wait_until].into_iter().flatten().chain([self.budget.gather_deadline]).min()
            }
        }
    }

    /// Reason of the end, once ended.
    #[must_use]
    pub fn ended_why(&self) -> Option<GatherEnd> {
        match self.phase {
            Phase::Ended { why } => Some(why),
            _ => None,
        }
    }

    /// True when the next look may settle running partitions: take their emissions now.
    #[must_use]
    pub fn is_ending(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Draining { until, .. } => now >= until,
            Phase::Gathering => now >= self.budget.gather_deadline,
            Phase::Ended { .. } => false,
        }
    }

    /// Reason why the partials, gathered by `at`, make no answer; `None` if they do.
    #[must_use]
    pub fn refusal(&self, at: Instant, merge_failure: Option<Reason>) -> Option<Reason> {
        if let Some(failure) = self.invalid_query() {
            return Some(Reason::InvalidQuery(failure.clone()));
        }
        if merge_failure.is_some() || self.is_enough() {
            return merge_failure;
        }
        // If all leaves were cut off, it was the deadline, however the last ones reported it.
        let late = at >= self.budget.leaf_deadline;
        Some(match self.ended_why() {
            Some(GatherEnd::Cancelled) => Reason::Cancelled,
            _ if late && !self.has_something() => Reason::Deadline,
            _ => Reason::BelowFloor,
        })
    }

    /// True once leaves are stopped only because their time is up.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.phase, Phase::Draining { why, .. } if is_late(why))
    }
}

/// Failure of a leaf that had not stopped: the same one that it gets if it stops just in time.
fn no_report(why: GatherEnd, deadline: Limit) -> Box<Failure> {
    Box::new(match why {
        GatherEnd::Deadline => Failure::time_up(deadline),
        GatherEnd::WaitOver => Failure::new(FailureKind::OutOfTime, WAIT_OVER),
        _ => Failure::new(FailureKind::Cancelled, CANCELLED),
    })
}

fn is_late(why: GatherEnd) -> bool {
    matches!(why, GatherEnd::Deadline | GatherEnd::WaitOver)
}
