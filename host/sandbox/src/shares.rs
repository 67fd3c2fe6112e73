//! Fair shares of the threads, by weight: whoever has had the least for its weight is next. What had nothing to do for a while
//! has no claim to what it would have had (start-time fair queueing: Goyal, Vin and Cheng 1996).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time that one piece of work has had, in nanoseconds, divided by its weight.
#[derive(Debug, Default)]
pub(crate) struct Share(AtomicU64);

impl Share {
    /// Adds a run of this length, of work of this weight.
    pub(crate) fn ran(&self, took: Duration, weight: u32) {
        let had = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / u64::from(weight.max(1));
        self.0.fetch_add(had, Ordering::Relaxed);
    }
}

/// Account of all shares: the start of the last turn, as [`Share`] counts.
#[derive(Debug, Default)]
pub(crate) struct Shares(u64);

impl Shares {
    /// Place of a share in the queue: the least is next.
    pub(crate) fn place(&self, share: &Share) -> u64 {
        share.0.load(Ordering::Relaxed).max(self.0)
    }

    /// Begins a turn.
    pub(crate) fn begin(&mut self, share: &Share) {
        self.0 = share.0.fetch_max(self.0, Ordering::Relaxed).max(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `turns` of a millisecond to those that want one, and counts who had them.
    fn run(shares: &mut Shares, all: &[(&Share, u32)], turns: usize) -> Vec<usize> {
        let mut had = vec![0; all.len()];
        for _ in 0..turns {
            let next = (0..all.len()).min_by_key(|at| shares.place(all[*at].0)).unwrap();
            shares.begin(all[next].0);
            all[next].0.ran(Duration::from_millis(1), all[next].1);
            had[next] += 1;
        }
        had
    }

    #[test]
    fn turns_go_by_weight() {
        let (one, three) = (Share::default(), Share::default());
        assert_eq!(run(&mut Shares::default(), &[(&one, 1), (&three, 3)], 400), [100, 300]);
    }

    #[test]
    fn who_ran_for_longer_waits_for_longer() {
        let (one, other) = (Share::default(), Share::default());
        let mut shares = Shares::default();
        shares.begin(&one);
        one.ran(Duration::from_millis(11), 1);
        assert_eq!(run(&mut shares, &[(&one, 1), (&other, 1)], 21), [5, 16]);
    }

    #[test]
    fn who_comes_late_has_no_claim_to_what_it_missed() {
        let (one, late) = (Share::default(), Share::default());
        let mut shares = Shares::default();
        run(&mut shares, &[(&one, 1)], 1000);
        assert_eq!(run(&mut shares, &[(&one, 1), (&late, 1)], 100), [50, 50]);
    }
}
