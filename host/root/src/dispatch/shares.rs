//! Fair shares of the slot threads, by weight: the entry with the least leaf time per weight is
//! next. An idle entry restarts at the current virtual time, so it cannot catch up on the past
//! (start-time fair queueing: Goyal, Vin and Cheng 1996).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Virtual time of one entry: its leaf time in nanoseconds, divided by its weight.
#[derive(Debug, Default)]
pub struct Share(AtomicU64);

impl Share {
    /// Adds a run of this duration at this weight.
    pub fn ran(&self, took: Duration, weight: u32) {
        let virtual_time = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / u64::from(weight.max(1));
        self.0.fetch_add(virtual_time, Ordering::Relaxed);
    }
}

/// Virtual time of the system: the start of the last turn, in the unit of [`Share`].
#[derive(Debug, Default)]
pub struct Shares(u64);

impl Shares {
    /// Returns the sort key of a share: the least is next.
    pub fn place(&self, share: &Share) -> u64 {
        share.0.load(Ordering::Relaxed).max(self.0)
    }

    /// Begins a turn.
    pub fn begin(&mut self, share: &Share) {
        self.0 = share.0.fetch_max(self.0, Ordering::Relaxed).max(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `turns` of a millisecond each and counts the turns of each entry.
    fn run(shares: &mut Shares, all: &[(&Share, u32)], turns: usize) -> Vec<usize> {
        let mut counts = vec![0; all.len()];
        for _ in 0..turns {
            let next = (0..all.len()).min_by_key(|at| shares.place(all[*at].0)).unwrap();
            shares.begin(all[next].0);
            all[next].0.ran(Duration::from_millis(1), all[next].1);
            counts[next] += 1;
        }
        counts
    }

    #[test]
    fn turns_go_by_weight() {
        let one = Share::default();
        let three = Share::default();
        assert_eq!(run(&mut Shares::default(), &[(&one, 1), (&three, 3)], 400), [100, 300]);
    }

    #[test]
    fn an_entry_that_ran_for_longer_waits_for_longer() {
        let one = Share::default();
        let other = Share::default();
        let mut shares = Shares::default();
        shares.begin(&one);
        one.ran(Duration::from_millis(11), 1);
        assert_eq!(run(&mut shares, &[(&one, 1), (&other, 1)], 21), [5, 16]);
    }

    #[test]
    fn a_late_entry_does_not_catch_up_on_the_past() {
        let one = Share::default();
        let late = Share::default();
        let mut shares = Shares::default();
        run(&mut shares, &[(&one, 1)], 1000);
        assert_eq!(run(&mut shares, &[(&one, 1), (&late, 1)], 100), [50, 50]);
    }
}
