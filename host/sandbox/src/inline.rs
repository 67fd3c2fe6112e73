//! Calls that are over sooner than another thread would be awake. A merge of a few small partials takes some ten
//! microseconds, and a hand-over to another thread and back takes as long again or longer. Once a component has been that
//! quick some times in a row, it is called where it is wanted, for at most [`AT_MOST`]: a call that would take longer, or
//! that waits, is dropped and made again on a thread of its own. That is safe as a call with nothing granted has no effect
//! but its result. The same goes for a query's only leaf while no other runs (`slots.rs`).
//!
//! The thread is one of the runtime's, and nothing interrupts a single instruction: filling 2 GiB of memory takes seconds.
//! So such a call has at most [`MEMORY`], in which no instruction takes longer than some tens of milliseconds; tables are
//! far smaller. A component that needs more memory is never called so again, and each call that is in such an instruction for
//! [`OVERRUN`] doubles the number of brief ones that must come before the next.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use frond_root::{Failure, FailureKind};

use crate::limits::Limits;

/// Bytes in of a call that may be brief.
pub(crate) const SMALL: usize = 64 << 10;
/// Memory of a call that may be brief: twice what a guest built from Rust begins with.
pub(crate) const MEMORY: u64 = 32 << 20;
/// How long a call may keep a thread that serves others.
pub(crate) const AT_MOST: Duration = Duration::from_millis(1);
/// A call that took no longer is brief.
pub(crate) const BRIEF: Duration = Duration::from_micros(250);
/// A call that was given up so late was in an instruction that nothing interrupts.
pub(crate) const OVERRUN: Duration = Duration::from_millis(10);
/// So many brief calls in a row, and the next is taken for one.
const IN_A_ROW: u32 = 4;
/// The most that are asked for after calls that were given up.
const MOST_IN_A_ROW: u32 = 4096;
/// What a component that needs too much memory is asked for: never reached.
const NEVER: u32 = u32::MAX;

/// The limits of a call on a thread that serves others.
pub(crate) fn bounded(limits: &Limits) -> Limits {
    Limits { memory: limits.memory.min(MEMORY), ..*limits }
}

/// True for the failure of a call that is to be made again on a thread of its own: it was not brief, or needs more memory
/// than a brief call may have. The component's `short_calls` learns of it; the call `took` so long, under `limits` as they are
/// elsewhere.
pub(crate) fn is_given_up(failure: &Failure, took: Duration, limits: &Limits, short_calls: &ShortCalls) -> bool {
    match failure.kind {
        FailureKind::OutOfTime if took >= OVERRUN => short_calls.overran(),
        FailureKind::OutOfTime => {}
        FailureKind::OutOfMemory if limits.memory > MEMORY => short_calls.needs_memory(),
        _ => return false,
    }
    true
}

/// How many small calls of a component were brief, the last ones in a row, and how many must be.
#[derive(Debug)]
pub(crate) struct ShortCalls {
    in_a_row: AtomicU32,
    wanted: AtomicU32,
}

impl Default for ShortCalls {
    fn default() -> Self {
        Self { in_a_row: AtomicU32::new(0), wanted: AtomicU32::new(IN_A_ROW) }
    }
}

impl ShortCalls {
    pub(crate) fn is_likely(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= self.wanted.load(Ordering::Relaxed)
    }

    /// A small call took so long.
    pub(crate) fn learn(&self, took: Duration) {
        // Counts that meet may lose one another: another call tells.
        let before = self.in_a_row.load(Ordering::Relaxed);
        let in_a_row = if took <= BRIEF { before.saturating_add(1).min(NEVER - 1) } else { 0 };
        self.in_a_row.store(in_a_row, Ordering::Relaxed);
    }

    /// A call kept a thread that serves others for too long.
    fn overran(&self) {
        let more = |wanted: u32| (wanted != NEVER).then(|| wanted.saturating_mul(2).min(MOST_IN_A_ROW));
        let _ = self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// A call needed more memory than a brief one may have.
    fn needs_memory(&self) {
        self.wanted.store(NEVER, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(short_calls: &ShortCalls, count: u32) {
        for _ in 0..count {
            assert!(!short_calls.is_likely());
            short_calls.learn(BRIEF);
        }
    }

    #[test]
    fn some_brief_calls_in_a_row_make_the_next_likely_and_a_long_one_makes_it_unlikely() {
        let short_calls = ShortCalls::default();
        brief(&short_calls, IN_A_ROW);
        assert!(short_calls.is_likely());
        short_calls.learn(AT_MOST);
        assert!(!short_calls.is_likely());
    }

    fn give_up(short_calls: &ShortCalls, kind: FailureKind, took: Duration) -> bool {
        is_given_up(&Failure::new(kind, "as the test wants"), took, &Limits::default(), short_calls)
    }

    #[test]
    fn each_call_that_overruns_doubles_what_the_next_takes_and_one_that_is_cut_off_in_time_does_not() {
        let short_calls = ShortCalls::default();
        brief(&short_calls, IN_A_ROW);
        let mut wanted = IN_A_ROW;
        for _ in 0..20 {
            assert!(give_up(&short_calls, FailureKind::OutOfTime, OVERRUN));
            wanted = (wanted * 2).min(MOST_IN_A_ROW);
            brief(&short_calls, wanted);
            assert!(short_calls.is_likely());
            assert!(give_up(&short_calls, FailureKind::OutOfTime, AT_MOST));
            short_calls.learn(AT_MOST);
            brief(&short_calls, wanted);
        }
    }

    #[test]
    fn what_needs_memory_is_never_likely_again() {
        let short_calls = ShortCalls::default();
        assert!(give_up(&short_calls, FailureKind::OutOfMemory, AT_MOST));
        brief(&short_calls, 2 * MOST_IN_A_ROW);
        assert!(give_up(&short_calls, FailureKind::OutOfTime, OVERRUN));
        brief(&short_calls, 2 * MOST_IN_A_ROW);
        assert!(!short_calls.is_likely());
    }

    #[test]
    fn what_met_its_own_limit_is_not_made_again() {
        let (short_calls, own) = (ShortCalls::default(), Limits { memory: MEMORY, ..Limits::default() });
        let failure = Failure::new(FailureKind::OutOfMemory, "as the test wants");
        assert_eq!(bounded(&own), own);
        assert!(!is_given_up(&failure, AT_MOST, &own, &short_calls));
        assert!(!give_up(&short_calls, FailureKind::Trap, OVERRUN));
        assert_eq!(bounded(&Limits { memory: 2 * MEMORY, ..own }), own);
    }
}
