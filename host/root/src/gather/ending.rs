//! When the gather ends: enough is there, nothing more can come, or time is up.

use tokio::time::Instant;

use super::{Action, Gather, Phase, share_of};
use crate::answer::Status;
use crate::attempt::Emission;
use crate::event::GatherEnd;
use crate::failure::{CANCELLED, Failure, FailureKind, TIME_UP, WAIT_OVER};
use crate::limit::Limit;
use crate::policy::wait::{MAX_FACTOR, MIN_FACTOR, adaptive_wait};
use crate::request::Floor;

impl Gather {
    /// Looks at where things stand. To be called after each batch of news and at [`Gather::timer`].
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
        // Once leaves are cut off for the time, it is the time that ends the query, and they are about to say so.
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

    /// Arms the adaptive wait anew; to be called when a partial has arrived.
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

    /// The user wants no more.
    pub fn cancel(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.stop(GatherEnd::Cancelled, now, actions);
    }

    /// A merge failed: whatever else arrives is of no use.
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
        // What is left after the gather's deadline belongs to the merge.
        let until = (now + self.budget.grace).min(self.budget.gather_deadline).max(now);
        self.phase = Phase::Draining { why, until };
        actions.push(Action::Close { late: is_late(why) });
    }

    /// Settles all that is open, and ends.
    fn end(&mut self, why: GatherEnd, actions: &mut Vec<Action>) {
        let late = is_late(why);
        for index in (0_u32..).take(self.cells.len()) {
            let Some(cell) = self.cells.get_mut(index as usize) else {
                break;
            };
            if cell.settled.is_some() {
                continue;
            }
            let (running, tried) = (cell.running > 0, cell.kind.is_some());
            if running {
                self.remember(index, no_report(why, self.budget.limit));
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

    /// Settles a partition that is still running as `degraded`; to be called before the gather ends by its deadline.
    pub fn cut_off(&mut self, partition: u32, emission: Emission, actions: &mut Vec<Action>) {
        let open = self.cells.get_mut(partition as usize).filter(|cell| cell.settled.is_none() && cell.running > 0);
        if let Some(cell) = open {
            cell.kind = Some(FailureKind::OutOfTime);
            self.degrade(partition, emission, actions);
        }
    }

    /// The partitions that run now.
    pub fn running(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..)
            .zip(&self.cells)
            .filter(|(_, cell)| cell.running > 0 && cell.settled.is_none())
            .map(|(index, _)| index)
    }

    /// When to look again though nothing has happened; `None` once ended.
    #[must_use]
    pub fn timer(&self) -> Option<Instant> {
        match self.phase {
            Phase::Ended { .. } => None,
            Phase::Draining { until, .. } => Some(until),
            Phase::Gathering => {
                // Leaves that run tell when they end; with none, there is nothing to wait for beyond their deadline.
                let leaf = (self.running == 0).then_some(self.budget.leaf_deadline);
                [leaf, self.wait_until].into_iter().flatten().chain([self.budget.gather_deadline]).min()
            }
        }
    }

    /// Why the gather ended, once it has.
    #[must_use]
    pub fn ended_why(&self) -> Option<GatherEnd> {
        match self.phase {
            Phase::Ended { why } => Some(why),
            _ => None,
        }
    }

    /// True when the next look may settle what runs: the time to ask for emissions.
    #[must_use]
    pub fn is_ending(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Draining { until, .. } => now >= until,
            Phase::Gathering => now >= self.budget.gather_deadline,
            Phase::Ended { .. } => false,
        }
    }

    /// True once leaves are only told to stop because the time for them is over.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.phase, Phase::Draining { why, .. } if is_late(why))
    }
}

/// The failure of a leaf that had not stopped: the one that it has if it stops just in time.
fn no_report(why: GatherEnd, deadline: Limit) -> Box<Failure> {
    Box::new(match why {
        GatherEnd::Deadline => Failure::new(FailureKind::OutOfTime, TIME_UP).ended_by(deadline),
        GatherEnd::WaitOver => Failure::new(FailureKind::OutOfTime, WAIT_OVER),
        _ => Failure::new(FailureKind::Cancelled, CANCELLED),
    })
}

fn is_late(why: GatherEnd) -> bool {
    matches!(why, GatherEnd::Deadline | GatherEnd::WaitOver)
}
