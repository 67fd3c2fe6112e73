//! Counters of a running gather: attempts, failures and leaf times.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::answer::Attempts;
use crate::failure::FailureKind;

/// Counters of a running gather.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) attempts: Attempts,
    pub(super) failures: BTreeMap<FailureKind, u64>,
    pub(super) used: Duration,
    pub(super) wasted: Duration,
    pub(super) took: Vec<(u32, f32)>,
}

impl Account {
    pub(super) fn used(&mut self, partition: u32, ran: Duration) {
        self.used += ran;
        self.took.push((partition, ran.as_secs_f32()));
    }

    pub(super) fn used_in_part(&mut self, ran: Duration) {
        self.used += ran;
    }

    pub(super) fn wasted(&mut self, ran: Duration) {
        self.wasted += ran;
    }

    pub(super) fn failed(&mut self, kind: FailureKind) {
        *self.failures.entry(kind).or_default() += 1;
    }

    pub(super) fn discarded(&mut self, ran: Duration, succeeded: bool) {
        self.wasted += ran;
        self.attempts.discarded += u64::from(succeeded);
    }
}
