//! Calls that are over sooner than another thread would be awake. A merge of a few small partials takes some ten
//! microseconds, and a hand-over to another thread and back takes as long again or longer. Once a component has been that
//! quick some times in a row, it is called where it is wanted, for at most [`AT_MOST`]: a call that would take longer, or
//! that waits, is dropped and made again on a thread of its own. That is safe as a call with nothing granted has no effect
//! but its result. The same goes for a query's only leaf while no other runs (`slots.rs`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Bytes in of a call that may be brief.
pub(crate) const SMALL: usize = 64 << 10;
/// How long a call may keep a thread that serves others.
pub(crate) const AT_MOST: Duration = Duration::from_millis(1);
/// A call that took no longer is brief.
pub(crate) const BRIEF: Duration = Duration::from_micros(250);
/// So many of them in a row, and the next is taken for one.
const IN_A_ROW: u32 = 4;

/// How many small calls of a component were brief, the last ones in a row.
#[derive(Debug, Default)]
pub(crate) struct Brevity(AtomicU32);

impl Brevity {
    pub(crate) fn is_likely(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= IN_A_ROW
    }

    /// A small call took so long.
    pub(crate) fn learn(&self, took: Duration) {
        // Counts that meet may lose one another: another call tells.
        let in_a_row = if took <= BRIEF { self.0.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.0.store(in_a_row, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_brief_calls_in_a_row_make_the_next_likely_and_a_long_one_makes_it_unlikely() {
        let brevity = Brevity::default();
        for _ in 0..IN_A_ROW {
            assert!(!brevity.is_likely());
            brevity.learn(BRIEF);
        }
        assert!(brevity.is_likely());
        brevity.learn(AT_MOST);
        assert!(!brevity.is_likely());
    }
}
