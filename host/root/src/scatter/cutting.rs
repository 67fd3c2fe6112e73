//! Tickets of attempts with their shares: pieces of them, and cuts when nothing is left to claim.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shares::Shares;
use super::{Again, Scatter};
use crate::limit::{Limit, Scope};
use crate::plan::Plan;
use crate::share::{Share, Stretch};
use crate::sync::lock;
use crate::work::{AttemptId, MIN_TIME, Ticket, Work};

impl Scatter {
    /// Attempts at the rests of the partitions of which the journal has parts.
    pub(super) fn rests(plan: &Plan, shares: &mut Shares) -> VecDeque<Again> {
        let mut again = VecDeque::new();
        for (partition, ledger) in plan.stored().begun() {
            let gaps = ledger.gaps(&(0..ledger.units()));
            for (at, gap) in gaps.into_iter().enumerate() {
                let number = if at == 0 { 1 } else { shares.number(partition) };
                let stretch = Some(Stretch { begin: gap.start, end: gap.end, ..Stretch::whole(0) });
                again.push_back(Again { id: AttemptId { partition, number }, stretch, cut_from: None, copy_of: None });
            }
        }
        again
    }

    /// Makes the ticket of an attempt that has a place in the window.
    pub(super) fn ticket(&self, attempt: Again, slot: u32, now: Instant) -> Option<Ticket> {
        let Again { id, stretch, cut_from, copy_of } = attempt;
        let Some(partition) = self.plan.get(id.partition).cloned() else {
            self.leave();
            return None;
        };
        let share = self.window.pieces.map(|sizes| {
            let units = partition.content.units();
            Arc::new(Share::new(units, stretch.unwrap_or_else(|| Stretch::whole(units.count)), sizes))
        });
        if let Some(share) = &share {
            lock(&self.shares).insert(id, share.clone());
        }
        let deadline = self.deadline_of(now);
        let limit = self.limit_of(now);
        let worker = None;
        let began = None;
        Some(Ticket { id, slot, claimed: now, deadline, limit, partition, share, cut_from, copy_of, worker, began })
    }

    /// Time by which an attempt that began at `started` must have ended.
    fn deadline_of(&self, started: Instant) -> Instant {
        match self.window.leaf_time {
            Some(time) => {
                started.checked_add(time).map_or(self.window.leaf_deadline, |at| at.min(self.window.leaf_deadline))
            }
            None => self.window.leaf_deadline,
        }
    }

    /// Limit that ends an attempt that began at `started`: the leaf's own, or the query's deadline.
    fn limit_of(&self, started: Instant) -> Limit {
        match self.window.leaf_time {
            Some(time) if self.deadline_of(started) < self.window.leaf_deadline => Limit::time(Scope::Leaf, time),
            _ => self.window.limit,
        }
    }

    /// Number of the next attempt at a partition that has had one.
    #[must_use]
    pub fn number(&self, partition: u32) -> u32 {
        lock(&self.shares).number(partition)
    }

    /// Records the time of a merge, which is a part of what a cut costs.
    pub fn merged(&self, took: Duration) {
        lock(&self.shares).merged(took);
    }

    /// Records the time from a claim until the attempt had its first units.
    pub(super) fn learn_start(&self, ticket: &Ticket, now: Instant) {
        lock(&self.shares).started(now.saturating_duration_since(ticket.claimed));
    }

    /// True if attempts may start, and none is left to claim.
    fn may_cut(&self, now: Instant) -> bool {
        self.window.pieces.is_some()
            && self.is_open()
            && !self.is_claimable()
            && now + MIN_TIME < self.window.leaf_deadline
    }

    /// Cuts a running share, and makes the ticket of an attempt at what is cut off.
    pub(super) fn cut_running(&self, slot: u32, now: Instant) -> Option<Ticket> {
        if !self.may_cut(now) {
            return None;
        }
        self.enter()?;
        let cut = {
            let mut shares = lock(&self.shares);
            shares.cut(now).map(|(from, stretch)| (from, stretch, shares.number(from.partition)))
        };
        let Some((from, stretch, number)) = cut else {
            self.leave();
            return None;
        };
        let id = AttemptId { number, ..from };
        self.ticket(Again { id, stretch: Some(stretch), cut_from: Some(from.number), copy_of: None }, slot, now)
    }

    /// True if a running share is worth a cut.
    pub(super) fn has_cuttable(&self, now: Instant) -> bool {
        let room = self.has_room();
        room && self.may_cut(now) && lock(&self.shares).to_cut(now).is_some()
    }

    /// Hands out the next units of an attempt's share, and tells the runner if a share is worth a
    /// cut.
    pub(super) fn hand_out(
        &self,
        ticket: &Ticket,
        now: Instant,
        next: impl FnOnce(&Share) -> Option<Range<u64>>,
    ) -> Option<Range<u64>> {
        let share = ticket.share.as_deref()?;
        // After its last piece an attempt ends, and its slot looks for a cut itself.
        let piece = next(share)?;
        if self.has_cuttable(now) {
            // A hook may use this scatter: release the lock first.
            let hooks = lock(&self.on_cuttable).clone();
            hooks.iter().for_each(|hook| hook());
        }
        Some(piece)
    }
}
