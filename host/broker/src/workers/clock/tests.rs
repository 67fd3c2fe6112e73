//! Tests of the times of workers: those of an honest one are exact but for the way of its orders,
//! and none is outside of what the root has seen.

use std::time::Duration;

use frond_root::{AttemptId, Limit, Partition, Scope, TimeLimits};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::frames::AttemptOf;

fn us(time: u64) -> Duration {
    Duration::from_micros(time)
}

fn ticket(claimed: Instant) -> Ticket {
    Ticket {
        id: AttemptId { partition: 0, number: 1 },
        slot: 0,
        claimed,
        limits: TimeLimits { until: claimed + us(1), limit: Limit::time(Scope::Query, us(1)), each: None },
        partition: Partition::new("p", bytes::Bytes::new()),
        share: None,
        cut_from: None,
        worker: None,
        began: None,
    }
}

fn started(at: Option<u64>, queued: u64) -> Started {
    Started { of: AttemptOf::default(), slot: 0, at, queued }
}

#[test]
fn an_attempt_whose_begin_and_end_arrive_together_has_its_length() {
    let base = Instant::now();
    let mut clock = WorkerClock::new(base);
    let heard = base + us(90_000);
    // The order arrives 3 ms after the claim, and its leaf begins 2 ms later.
    let began = clock.began(&started(Some(1_000_000), 2000), &ticket(base + us(10_000)), heard);
    assert_eq!(began, base + us(12_000));
    assert_eq!(clock.ended(began, Some(50_000), heard), base + us(62_000));
    // The next one waited for it, and its order came at once: the bound is better.
    let next = clock.began(&started(Some(1_050_000), 53_000), &ticket(base + us(11_500)), heard);
    assert_eq!(next, base + us(64_500));
}

#[test]
fn a_worker_that_tells_no_times_is_taken_at_its_frames() {
    let base = Instant::now();
    let mut clock = WorkerClock::new(base);
    let heard = base + us(90_000);
    assert_eq!(clock.began(&started(None, 7), &ticket(base), heard), heard);
    assert_eq!(clock.ended(heard, None, heard + us(5)), heard + us(5));
}

#[test]
fn a_clock_that_is_too_fast_loses_its_bound() {
    let base = Instant::now();
    let mut clock = WorkerClock::new(base);
    let hear = |clock: &mut WorkerClock, at: u64, claimed: u64, heard: u64| {
        clock.began(&started(Some(at), 0), &ticket(base + us(claimed)), base + us(heard))
    };
    assert_eq!(hear(&mut clock, 1000, 1000, 1100), base + us(1000));
    // A thousandth faster: after a second it shows a millisecond too much.
    assert_eq!(hear(&mut clock, 1_002_000, 1_000_900, 1_001_100), base + us(1_000_900));
    assert_eq!(clock.ended(base + us(1_000_900), Some(300), base + us(1_001_100)), base + us(1_001_100));
    assert_eq!(hear(&mut clock, 1_002_300, 1_001_000, 1_001_200), base + us(1_001_100));
}

/// Attempt on the only slot of an honest worker: the time from the claim to the arrival of the
/// order, the time without work before it begins, its length, and the time until the root hears of
/// it.
type Honest = (u64, u64, u64, u64);

/// Any number, and those at which arithmetic breaks.
fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..100_000_u64, Just(0), Just(u64::MAX), Just(1 << 53), Just(1 << 63)]
}

proptest! {
    /// The lengths are exact, attempts of a slot do not overlap, and none is moved by more than the
    /// way of its order.
    #[test]
    fn times_of_an_honest_worker_fit(
        offset in 0..1_000_000_000_u64,
        attempts in proptest::collection::vec((0..5000_u64, 0..5000_u64, 0..100_000_u64, 0..50_000_u64), 1..40),
        are_heard_together in any::<bool>(),
    ) {
        let base = Instant::now();
        let mut clock = WorkerClock::new(base);
        let mut free = 0;
        let timed: Vec<_> = attempts.iter().map(|&(way, idle, length, back): &Honest| {
            let claimed = free;
            let received = claimed + way;
            let began = received + idle;
            free = began + length;
            (claimed, received, began, free, free + back)
        }).collect();
        let all_heard = timed.iter().map(|times| times.4).max().unwrap_or_default();
        let mut last_end = base;
        for (claimed, received, began, ended, heard) in timed {
            let heard_end = base + us(if are_heard_together { all_heard } else { heard });
            let heard_begin = if are_heard_together { heard_end } else { base + us(began) };
            let begin = started(Some(began + offset), began - received);
            let at = clock.began(&begin, &ticket(base + us(claimed)), heard_begin);
            let end = clock.ended(at, Some(ended - began), heard_end);
            prop_assert_eq!(end - at, us(ended - began));
            prop_assert!(at >= base + us(claimed) && at <= base + us(began) && end <= heard_end);
            prop_assert!(base + us(began) - at <= us(received - claimed));
            prop_assert!(at >= last_end);
            last_end = end;
        }
    }

    #[test]
    fn no_time_is_outside_of_what_the_root_has_seen(
        frames in proptest::collection::vec(
            (option::of(any_number()), any_number(), option::of(any_number()), any_number(), 0..1000_u64, 0..1000_u64),
            1..2000,
        ),
    ) {
        let base = Instant::now() + us(1000);
        let mut clock = WorkerClock::new(base);
        let mut now = base;
        for (at, queued, lasted, ago, later, much_later) in frames {
            now += us(later);
            let claimed = now - us(ago.min(1000));
            let began = clock.began(&started(at, queued), &ticket(claimed), now);
            prop_assert!((claimed..=now).contains(&began));
            now += us(much_later);
            let ended = clock.ended(began, lasted, now);
            prop_assert!((began..=now).contains(&ended));
        }
    }
}
