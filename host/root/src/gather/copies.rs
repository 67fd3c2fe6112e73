//! Copies in the account, and what is left of attempts beside which rivals run.

use std::time::Duration;

use super::{Action, Gather};
use crate::failure::FailureKind;
use crate::work::{Done, Emission, Outcome};

impl Gather {
    /// Records that a copy of a running attempt began.
    pub fn copied(&mut self, partition: u32) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.attempts += 1;
        cell.copies += 1;
        cell.running += 1;
        self.running += 1;
        self.account.attempts.started += 1;
        self.account.attempts.hedges += 1;
    }

    /// Records that a copy was done first.
    pub fn copy_won(&mut self) {
        self.account.attempts.hedge_wins += 1;
    }

    /// Records that an attempt must stop, because a rival was done first. Nobody waits for it.
    pub fn superseded(&mut self, partition: u32) {
        if let Some(cell) = self.cells.get_mut(partition as usize) {
            cell.running = cell.running.saturating_sub(1);
            self.running = self.running.saturating_sub(1);
        }
    }

    /// Records the end of an attempt that had to stop.
    pub fn beaten(&mut self, outcome: &Outcome) {
        self.account.attempts.discarded += u64::from(outcome.result.is_ok());
        self.wasted_beside(outcome.ran);
    }

    /// Adds the time of an attempt that had to stop.
    pub fn wasted_beside(&mut self, ran: Duration) {
        self.account.wasted += ran;
        self.account.beaten += ran;
    }

    /// Keeps the emission of an attempt that was cut off, if it is the best one of its partition.
    pub(super) fn spare_emission(&mut self, partition: u32, kind: FailureKind, emission: Option<Emission>) {
        let Some(Emission { partial, done: Done::Share(share) }) = emission.filter(|_| kind.is_cut_off()) else {
            return;
        };
        if self.spare.get(&partition).is_none_or(|(best, _)| share > *best || best.is_nan()) {
            self.spare.insert(partition, (share, partial));
        }
    }

    /// Settles a partition with the best emission of its attempts. False if there is none.
    pub(super) fn degrade_to_spare(&mut self, partition: u32, actions: &mut Vec<Action>) -> bool {
        let Some((share, partial)) = self.spare.remove(&partition) else { return false };
        self.degrade(partition, partial, share, actions);
        true
    }
}
