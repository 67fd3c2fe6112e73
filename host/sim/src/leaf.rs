//! One attempt on a slot: how far its leaf is, and what it does next.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::share::PieceSizes;
use frond_root::{AttemptId, FailureKind, Outcome, Share, Ticket, Usage, Work};
use tokio::time::Instant;

use crate::agenda::nanos;
use crate::setup::{Asker, Setup};
use crate::sight::Fault;
use crate::world::FaultsTable;

/// Action of a leaf at the end of its present step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It begins, or asks for its next piece.
    Next,
    /// It returns.
    Done,
    /// It meets its fault.
    Fault,
    /// It is cut off at its deadline.
    CutOff,
    /// It is stopped, as its query needs it no more.
    Stop,
}

/// Fault that a leaf meets once it has worked for some time.
#[derive(Clone, Copy, Debug)]
struct Planned {
    fault: Fault,
    /// Nanoseconds of work at speed 1.
    after: f64,
}

/// One attempt on a slot, or on its way to one.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Number of the attempt among all of the simulation.
    pub(crate) serial: u64,
    pub(crate) asker: Arc<Asker>,
    pub(crate) ticket: Ticket,
    /// Worker that has it; `None` for the root's process.
    pub(crate) worker: Option<usize>,
    /// Slot among those of its worker.
    pub(crate) slot: u32,
    /// Time at which it began on its slot.
    pub(crate) began: Option<u64>,
    /// True once the root knows that it began.
    pub(crate) is_known: bool,
    /// Time by which it must have ended, by the clock of its process.
    pub(crate) deadline: u64,
    /// The worker's part of its share, with the units that are leased to it.
    pub(crate) own: Option<Share>,
    /// True while it waits for the next lease.
    pub(crate) awaits_lease: bool,
    pub(crate) next: Step,
    /// Number of the planned step: others are stale.
    pub(crate) step: u64,
    /// Outcome on its way to the root.
    pub(crate) outcome: Option<Outcome>,
    /// Nanoseconds of all its work at speed 1, or of one unit.
    whole: f64,
    is_in_pieces: bool,
    fault: Option<Planned>,
    worked: f64,
    /// Work of the present step.
    doing: f64,
    /// Pieces since it last kept a partial.
    pieces: u32,
    pub(crate) met: Option<Fault>,
}

/// Fault of an attempt by a number from 0 to 1.
fn fault_of(faults: &FaultsTable, at: f64) -> Option<Fault> {
    let mut end = 0.0;
    let kinds = [
        (Fault::Loss, faults.loss),
        (Fault::Hang, faults.hang),
        (Fault::Trap, faults.trap),
        (Fault::Unavailable, faults.unavailable),
    ];
    kinds.into_iter().find_map(|(fault, share)| {
        end += share;
        (at < end).then_some(fault)
    })
}

impl Leaf {
    /// A claimed attempt.
    pub(crate) fn new(
        setup: &Setup<'_>,
        serial: u64,
        asker: Arc<Asker>,
        ticket: Ticket,
        worker: Option<usize>,
    ) -> Self {
        let AttemptId { partition, number } = ticket.id;
        let mut random = setup.attempt_random(asker.query, partition, number);
        let slow = setup.world.query.slow;
        let factor = if random.chance(slow.share) { slow.times } else { 1.0 };
        let fault = fault_of(&setup.world.faults, random.unit());
        let part = random.unit();
        let work = setup.leaf(asker.query, partition) * factor;
        let units = ticket.partition.content.units().count as f64;
        let is_in_pieces = ticket.share.is_some();
        let mine = ticket.share.as_ref().map_or(units, |share| {
            let range = share.stretch().range();
            (range.end - range.start) as f64
        });
        let after = work * part * mine / units;
        Self {
            serial,
            slot: ticket.slot,
            asker,
            ticket,
            worker,
            began: None,
            is_known: false,
            deadline: u64::MAX,
            own: None,
            awaits_lease: false,
            next: Step::Next,
            step: 0,
            outcome: None,
            whole: if is_in_pieces { work / units } else { work },
            is_in_pieces,
            fault: fault.map(|fault| Planned { fault, after }),
            worked: 0.0,
            doing: 0.0,
            pieces: 0,
            met: None,
        }
    }

    /// Fault that it will meet, unless it ends before.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.map(|planned| planned.fault)
    }

    /// The sizes of its pieces, for a worker's part of its share.
    pub(crate) fn own_share(&self) -> Option<Share> {
        let share = self.ticket.share.as_ref()?;
        Some(Share::new(self.ticket.partition.content.units(), share.stretch(), PieceSizes::Timed))
    }

    /// The next step of a leaf without pieces, or with this piece. Returns its work.
    pub(crate) fn plan(&mut self, piece: Option<&Range<u64>>) -> f64 {
        let work = piece.map_or(self.whole, |piece| (piece.end - piece.start) as f64 * self.whole);
        let fault = self.fault.filter(|fault| self.met.is_none() && self.worked + work >= fault.after);
        self.doing = fault.map_or(work, |fault| (fault.after - self.worked).max(0.0));
        self.next = match (fault, piece) {
            (Some(_), _) => Step::Fault,
            (None, Some(_)) => Step::Next,
            (None, None) => Step::Done,
        };
        self.doing
    }

    /// Ends the present step.
    pub(crate) fn done(&mut self) {
        self.worked += std::mem::take(&mut self.doing);
    }

    /// True if it takes pieces.
    pub(crate) fn takes_pieces(&self) -> bool {
        self.is_in_pieces
    }

    /// Counts a piece. True if the leaf keeps a partial of those before it.
    pub(crate) fn keeps(&mut self, every: u32) -> bool {
        let keeps = every > 0 && self.pieces >= every;
        self.pieces = if keeps { 1 } else { self.pieces + 1 };
        keeps
    }

    /// Time since it began.
    pub(crate) fn ran(&self, now: u64) -> Duration {
        Duration::from_nanos(self.began.map_or(0, |began| now.saturating_sub(began)))
    }

    /// Outcome of a success.
    pub(crate) fn success(&self, now: u64) -> Outcome {
        Outcome::succeeded(Bytes::from_static(b"partial"), self.ran(now), Usage::default())
    }

    /// Outcome of its fault; `None` for a hang, which has none.
    pub(crate) fn fail(&mut self, now: u64) -> Option<Outcome> {
        let fault = self.fault()?;
        self.met = Some(fault);
        let ran = self.ran(now);
        match fault {
            Fault::Loss => Some(Outcome::failed(FailureKind::Lost, ran, "the attempt was lost")),
            Fault::Trap => Some(Outcome::failed(FailureKind::Trap, ran, "the leaf trapped")),
            Fault::Unavailable => Some(Outcome::failed(FailureKind::Unavailable, ran, "the leaf was unavailable")),
            Fault::Hang => None,
        }
    }

    /// Outcome of an attempt that is cut off, or stopped.
    pub(crate) fn cut_off(&self, is_stopped: bool, now: u64, instant: Instant) -> Outcome {
        let stop = is_stopped.then(|| self.asker.work.stop(self.ticket.id)).flatten();
        Outcome::cut_off(&self.ticket, stop, self.ran(now), instant)
    }
}

/// Speed of a slot, and the times at which it stands still.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) speed: f64,
    /// Begin and end of each stop, in order.
    pub(crate) stops: Vec<(u64, u64)>,
}

impl Pace {
    /// Time at which work that begins at `from` is done, at this speed.
    pub(crate) fn end_of(&self, from: u64, work: f64) -> u64 {
        self.end_after(from, work / self.speed)
    }

    /// Time at which so many nanoseconds of moving time have passed.
    pub(crate) fn end_after(&self, from: u64, time: f64) -> u64 {
        // Rounded up: a step that has work takes time.
        let mut end = from.saturating_add(nanos(Duration::from_nanos(libm::ceil(time) as u64)));
        for (begin, until) in self.stops.iter().filter(|(_, until)| *until > from) {
            if *begin >= end {
                break;
            }
            end = end.saturating_add(until - (*begin).max(from));
        }
        end
    }

    /// The end of the stop in which `at` lies; `at` if it lies in none.
    pub(crate) fn awake(&self, at: u64) -> u64 {
        let stop = self.stops.iter().find(|(begin, until)| (*begin..*until).contains(&at));
        stop.map_or(at, |(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_on_after_each_stop() {
        let pace = Pace { speed: 2.0, stops: vec![(100, 200), (210, 300)] };
        assert_eq!(pace.end_of(0, 100.0), 50);
        assert_eq!(pace.end_of(0, 200.0), 100);
        assert_eq!(pace.end_of(0, 210.0), 205);
        assert_eq!(pace.end_of(150, 0.0), 200);
        assert_eq!(pace.end_of(150, 40.0), 310);
        assert_eq!((pace.awake(99), pace.awake(100), pace.awake(299), pace.awake(300)), (99, 200, 300, 300));
    }
}
