//! Copies of slow attempts: offers of the query's task to idle slots, and attempts that must stop
//! because a rival has won.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Again, Scatter};
use crate::share::{Part, Stretch};
use crate::sync::lock;
use crate::work::{AttemptId, Done, MIN_TIME, Ticket, Work};

impl Scatter {
    /// Offers copies of these attempts, in place of earlier offers. True if there are any.
    pub(crate) fn offer_copies(&self, of: Vec<AttemptId>) -> bool {
        if of.is_empty() && self.offered.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut copies = lock(&self.copies);
        // The number of offers is what the budget allows: claimed copies are a part of it.
        let room = of.len().saturating_sub(copies.claimed.len());
        let is_claimed = |id: &AttemptId| copies.claimed.iter().any(|copy| copy.partition == id.partition);
        let offers: VecDeque<_> = of.into_iter().filter(|id| !is_claimed(id)).take(room).collect();
        copies.offers = offers;
        self.offered.store(copies.offers.len(), Ordering::SeqCst);
        !copies.offers.is_empty()
    }

    /// Records that the query's task has heard of the start of a copy.
    pub(crate) fn copy_seen(&self, id: AttemptId) {
        lock(&self.copies).claimed.retain(|copy| *copy != id);
    }

    /// Has attempts stop, because a rival of each has won.
    pub(crate) fn supersede(&self, attempts: &[AttemptId]) {
        if attempts.is_empty() {
            return;
        }
        let mut copies = lock(&self.copies);
        copies.superseded.extend(attempts);
        self.superseded.store(copies.superseded.len(), Ordering::SeqCst);
        drop(copies);
        // A hook may use this scatter: release the lock first.
        let hooks = lock(&self.on_superseded).clone();
        for hook in hooks {
            attempts.iter().for_each(|id| hook(*id));
        }
    }

    /// True if a rival of a running attempt has won.
    pub(super) fn is_superseded(&self, id: AttemptId) -> bool {
        self.superseded.load(Ordering::SeqCst) > 0 && lock(&self.copies).superseded.contains(&id)
    }

    /// Forgets an attempt that has ended.
    pub(crate) fn forget_copies_of(&self, id: AttemptId) {
        if self.offered.load(Ordering::SeqCst) + self.superseded.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut copies = lock(&self.copies);
        copies.offers.retain(|of| *of != id);
        copies.superseded.remove(&id);
        self.offered.store(copies.offers.len(), Ordering::SeqCst);
        self.superseded.store(copies.superseded.len(), Ordering::SeqCst);
    }

    /// Takes back a claimed copy that was not started.
    pub(super) fn give_copy_back(&self, id: AttemptId) {
        self.copy_seen(id);
        // The query's task offers it again, if it is still of use.
        self.wake.notify_one();
    }

    /// True if copies may start: nothing is left to claim.
    fn may_copy(&self, now: Instant) -> bool {
        let has_offers = self.offered.load(Ordering::SeqCst) > 0;
        has_offers && self.is_open() && !self.is_claimable() && now + MIN_TIME < self.window.leaf_deadline
    }

    /// True if an attempt may be copied, and the window has room.
    pub(super) fn has_copyable(&self, now: Instant) -> bool {
        self.may_copy(now) && self.has_room()
    }

    /// Claims a copy of the first offered attempt at a partition that `may` be copied.
    pub(super) fn copy_running(&self, slot: u32, now: Instant, may: &dyn Fn(u32) -> bool) -> Option<Ticket> {
        if !self.may_copy(now) {
            return None;
        }
        self.enter()?;
        let Some((of, stretch)) = self.next_offer(may) else {
            self.leave();
            return None;
        };
        let id = AttemptId { number: self.number(of.partition), ..of };
        lock(&self.copies).claimed.push(id);
        let ticket = self.ticket(Again { id, stretch, cut_from: None, copy_of: Some(of.number) }, slot, now)?;
        if let Some(share) = &ticket.share {
            share.copy(share.stretch().begin);
        }
        Some(ticket)
    }

    /// Units of a copy; `None` if the attempt can be cut, or has ended.
    fn stretch_of_copy(&self, of: AttemptId) -> Option<Stretch> {
        // Held until the share knows that it is copied: nothing may be kept in between.
        let emitted = lock(&self.emitted);
        let share = lock(&self.shares).get(of)?;
        let kept = match emitted.get(&of).map(|emission| emission.done) {
            Some(Done::Units { end, .. }) => end,
            Some(Done::Share(_)) | None => share.stretch().begin,
        };
        share.copy(kept)
    }

    /// Part that a running attempt has; `None` if its leaf takes no pieces.
    pub(crate) fn part_of(&self, id: AttemptId) -> Option<Part> {
        Some(lock(&self.shares).get(id)?.part())
    }

    /// Takes the first offer of an attempt that cannot be cut, with the units of a copy.
    fn next_offer(&self, may: &dyn Fn(u32) -> bool) -> Option<(AttemptId, Option<Stretch>)> {
        let mut copies = lock(&self.copies);
        loop {
            let at = copies.offers.iter().position(|of| may(of.partition))?;
            let of = copies.offers.remove(at)?;
            self.offered.store(copies.offers.len(), Ordering::SeqCst);
            if self.window.pieces.is_none() {
                return Some((of, None));
            }
            if let Some(stretch) = self.stretch_of_copy(of) {
                return Some((of, Some(stretch)));
            }
        }
    }
}
