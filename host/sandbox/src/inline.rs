//! Inline calls: calls on the thread that needs them, if they probably end sooner than another
//! thread would wake up. A merge of a few small partials takes some ten microseconds, and a
//! hand-over to another thread and back takes as long again or longer. After some short calls in a
//! row, a component is called inline, for at most [`AT_MOST`]. A call that takes longer, or that
//! waits, is dropped and repeated on a separate thread. That is safe, as a call without grants has
//! no effect but its result. A query's only leaf may also run inline while no other leaf runs
//! (`slots.rs`).
//!
//! The thread is one of the runtime's, and a single instruction cannot be interrupted: to fill 2
//! GiB of memory takes seconds. So an inline call has at most [`MEMORY`], in which no instruction
//! takes longer than some tens of milliseconds; tables are far smaller. A component that needs more
//! memory is never called inline again. Each call that spends [`OVERRUN`] in such an instruction
//! doubles the number of short calls that must come before the next inline call.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use frond_root::call::Limits;
use frond_root::{Failure, FailureKind};

/// Most bytes of input of an inline call.
pub(crate) const SMALL: usize = 64 << 10;
/// Most bytes of memory of an inline call: twice the initial memory of a guest built from Rust.
pub(crate) const MEMORY: u64 = 32 << 20;
/// Most time that an inline call may take from its thread.
pub(crate) const AT_MOST: Duration = Duration::from_millis(1);
/// Most time of a call that counts as short.
pub(crate) const BRIEF: Duration = Duration::from_micros(250);
/// Time from which an inline call that was given up must have been in an uninterruptible
/// instruction.
pub(crate) const OVERRUN: Duration = Duration::from_millis(10);
/// Number of short calls in a row that make the next one inline.
const IN_A_ROW: u32 = 4;
/// Most short calls in a row that are required after overruns.
const MOST_IN_A_ROW: u32 = 4096;
/// Required number for a component that needs too much memory: never reached.
const NEVER: u32 = u32::MAX;

/// Returns the limits of an inline call.
pub(crate) fn bounded(limits: &Limits) -> Limits {
    Limits { memory: limits.memory.min(MEMORY), ..*limits }
}

/// Returns true if an inline call with this failure must be repeated on a separate thread: it was
/// not short, or it needs more memory than an inline call may have. Records the reason in the
/// component's `short_calls`. `took` is the duration of the call, and `limits` are those of a call
/// that is not inline.
pub(crate) fn is_given_up(failure: &Failure, took: Duration, limits: &Limits, short_calls: &ShortCalls) -> bool {
    match failure.kind {
        FailureKind::OutOfTime if took >= OVERRUN => short_calls.overran(),
        FailureKind::OutOfTime => {}
        FailureKind::OutOfMemory if limits.memory > MEMORY => short_calls.needs_memory(),
        _ => return false,
    }
    true
}

/// Number of small calls of a component that were short, in a row, and the number required before
/// an inline call.
#[derive(Debug)]
pub(crate) struct ShortCalls {
    in_a_row: AtomicU32,
    wanted: AtomicU32,
}

impl ShortCalls {
    /// Makes an empty record; without `inline`, no call is ever likely to be short.
    pub(crate) fn new(inline: bool) -> Self {
        Self { in_a_row: AtomicU32::new(0), wanted: AtomicU32::new(if inline { IN_A_ROW } else { NEVER }) }
    }

    /// Returns true if the next call is probably short: the one entry to inline calls.
    pub(crate) fn is_likely(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= self.wanted.load(Ordering::Relaxed)
    }

    /// Records the duration of a small call.
    pub(crate) fn learn(&self, took: Duration) {
        // A concurrent update may be lost: later calls make up for it.
        let before = self.in_a_row.load(Ordering::Relaxed);
        let in_a_row = if took <= BRIEF { before.saturating_add(1).min(NEVER - 1) } else { 0 };
        self.in_a_row.store(in_a_row, Ordering::Relaxed);
    }

    /// Records an inline call that blocked its thread for too long.
    fn overran(&self) {
        let more = |wanted: u32| (wanted != NEVER).then(|| wanted.saturating_mul(2).min(MOST_IN_A_ROW));
        let _ = self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Records an inline call that needed more memory than it may have.
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
        let short_calls = ShortCalls::new(true);
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
        let short_calls = ShortCalls::new(true);
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
        let short_calls = ShortCalls::new(true);
        assert!(give_up(&short_calls, FailureKind::OutOfMemory, AT_MOST));
        brief(&short_calls, 2 * MOST_IN_A_ROW);
        assert!(give_up(&short_calls, FailureKind::OutOfTime, OVERRUN));
        brief(&short_calls, 2 * MOST_IN_A_ROW);
        assert!(!short_calls.is_likely());
    }

    #[test]
    fn what_met_its_own_limit_is_not_made_again() {
        let short_calls = ShortCalls::new(true);
        let own = Limits { memory: MEMORY, ..Limits::default() };
        let failure = Failure::new(FailureKind::OutOfMemory, "as the test wants");
        assert_eq!(bounded(&own), own);
        assert!(!is_given_up(&failure, AT_MOST, &own, &short_calls));
        assert!(!give_up(&short_calls, FailureKind::Trap, OVERRUN));
        assert_eq!(bounded(&Limits { memory: 2 * MEMORY, ..own }), own);
    }
}
