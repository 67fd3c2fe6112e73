//! Leaves on slots of the root's process.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use frond_root::dispatch::most_background;
use frond_root::{Done, Emission, Outcome, Work};

use super::{Happening, Simulation};
use crate::leaf::Step;
use crate::places::Places;
use crate::setup::Asker;
use crate::sight::{Observer, Sight};

impl<O: Observer> Simulation<'_, O> {
    /// Has idle slots claim, as slot threads do.
    pub(super) fn claim_here(&mut self) {
        let now = self.agenda.instant();
        loop {
            let Places::Here(slots) = &mut self.places else { return };
            let Some(slot) = slots.idle.last().copied() else { return };
            let may_run_background = slots.background < most_background(slots.paces.len());
            let claimed = self.order.claim(
                now,
                may_run_background,
                |asker: &Arc<Asker>| Some((asker.clone(), asker.work.claim(slot, now)?)),
                |asker: &Arc<Asker>| Some((asker.clone(), asker.work.cut(slot, now)?)),
                |asker: &Arc<Asker>| Some((asker.clone(), asker.work.copy(slot, now, &|_| true)?)),
            );
            let Some((asker, ticket)) = claimed else {
                let idle = slots.idle.len();
                let at = std::time::Duration::from_nanos(self.agenda.now());
                self.observer.see(at, &Sight::Rested { now, idle, may_run_background, order: &self.order });
                return;
            };
            slots.idle.pop();
            slots.background += usize::from(asker.work.background().is_some());
            asker.work.start(&ticket, now);
            let deadline = self.agenda.nanos_of(ticket.deadline);
            let number = self.add_leaf(&asker, ticket, None);
            if let Some(leaf) = self.leaves.get_mut(number) {
                leaf.deadline = deadline;
                leaf.is_known = true;
            }
            self.begin(number);
        }
    }

    /// The next piece of a leaf, which may keep a partial of those before.
    pub(super) fn piece_here(&mut self, number: u32) -> Option<Range<u64>> {
        let now = self.agenda.instant();
        let every = self.setup.world.query.pieces.map_or(0, |pieces| pieces.keep);
        let leaf = self.leaves.get_mut(number)?;
        if leaf.keeps(every)
            && let Some(share) = &leaf.ticket.share
        {
            let (Range { start: begin, end }, of) = share.keep();
            let partial = Bytes::from_static(b"kept");
            leaf.asker.work.emit(leaf.ticket.id, Emission { partial, done: Done::Units { begin, end, of } });
        }
        match leaf.asker.work.poll_piece(&leaf.ticket, now, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(piece) => piece,
            // The share is this process's own: its pieces are there at once.
            Poll::Pending => None,
        }
    }

    /// Ends an attempt, and frees its slot.
    pub(super) fn leave_here(&mut self, number: u32, outcome: Outcome) -> Option<u64> {
        let now = self.agenda.instant();
        let leaf = self.leaves.remove(number)?;
        let query = leaf.asker.query;
        if let Places::Here(slots) = &mut self.places {
            slots.idle.push(leaf.slot);
            slots.background -= usize::from(leaf.asker.work.background().is_some());
        }
        self.see(&Sight::Freed { asker: &leaf.asker });
        self.order.ended(&leaf.asker, outcome.ran, outcome.ran, now);
        leaf.asker.work.end(leaf.ticket, outcome, now);
        if let Some(run) = self.runs.get_mut(&query) {
            run.leaves.remove(&number);
        }
        self.must_claim = true;
        Some(query)
    }

    /// Has the leaves of a query stop at once.
    pub(super) fn stop_here(&mut self, query: u64) {
        let leaves = self.runs.get(&query).map(|run| run.leaves.clone()).unwrap_or_default();
        leaves.into_iter().for_each(|number| self.stop_leaf_here(number));
    }

    /// Has a leaf stop at once.
    pub(super) fn stop_leaf_here(&mut self, number: u32) {
        let Some(leaf) = self.leaves.get_mut(number) else { return };
        self.steps += 1;
        leaf.next = Step::Stop;
        leaf.step = self.steps;
        self.agenda.plan(self.agenda.now(), Happening::Step { leaf: number, step: self.steps });
    }
}
