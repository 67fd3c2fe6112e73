//! Last failures in full, of the partitions that the account names.

use super::Gather;
use crate::answer::MAX_MISSING;
use crate::failure::{Cause, Failure};

impl Gather {
    /// Files the last failure of a partition by its cause.
    pub(super) fn remember(&mut self, partition: u32, failure: Box<Failure>) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        let cause = Cause::from(failure.kind);
        cell.kind = Some(failure.kind);
        if let Some(before) = cell.cause.replace(cause) {
            self.details.remove(&(before, partition));
        }
        self.details.insert((cause, partition), failure);
        if self.details.len() > MAX_MISSING {
            self.details.pop_last();
        }
    }

    /// Files the last failure of a partition under another cause, once the partition is settled.
    pub(super) fn explains(&mut self, partition: u32, cause: Cause) {
        let before = self.cells.get_mut(partition as usize).and_then(|cell| cell.cause.replace(cause));
        if let Some(failure) = before.and_then(|before| self.details.remove(&(before, partition))) {
            self.details.insert((cause, partition), failure);
        }
    }
}
