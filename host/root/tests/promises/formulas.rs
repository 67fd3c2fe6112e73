//! Property tests of the division of a deadline and of the retry budget.

use std::time::Duration;

use frond_root::policy::budget::{Budget, MAX_DEADLINE, MIN_RESERVE, merge_reserve};
use frond_root::policy::retry::{MIN_RETRIES, Retry, RetryBudget, SHARE, WINDOW};
use frond_testkit::ms;
use proptest::prelude::*;
use tokio::time::Instant;

fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0_u64..5_000).prop_map(Duration::from_micros),
        (0_u64..100_000).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_secs),
        Just(Duration::MAX),
        Just(Duration::ZERO),
    ]
}

proptest! {
    #[test]
    fn the_instants_of_a_query_are_in_order(deadline in any_time(), p99 in proptest::option::of(any_time())) {
        let start = Instant::now();
        let budget = Budget::new(start, deadline, p99);
        let kept = deadline.min(MAX_DEADLINE);
        prop_assert_eq!(budget.deadline, start + kept);
        prop_assert!(start <= budget.leaf_deadline);
        prop_assert!(budget.leaf_deadline <= budget.gather_deadline);
        prop_assert!(budget.gather_deadline <= budget.merge_deadline);
        prop_assert!(budget.merge_deadline <= budget.deadline);
        prop_assert_eq!(budget.merge_deadline - budget.gather_deadline, budget.reserve);
        prop_assert_eq!(budget.gather_deadline - budget.leaf_deadline, budget.grace);
        // Leaves get the larger share of any deadline; the reply gets at least one tick of the
        // clock, if it fits.
        prop_assert!(budget.leaf_deadline - start >= kept * 2 / 5);
        prop_assert!(kept < ms(4) || budget.deadline - budget.merge_deadline >= ms(1));
    }

    #[test]
    fn the_reserve_is_within_its_bounds(deadline in any_time(), p99 in proptest::option::of(any_time())) {
        let reserve = merge_reserve(deadline, p99);
        prop_assert!(reserve <= deadline.saturating_mul(3) / 10);
        prop_assert!(reserve >= MIN_RESERVE.min(deadline.saturating_mul(3) / 10));
    }

    #[test]
    fn pauses_double_and_are_never_shorter_than_half(query: u64, partition: u32, attempt in 2_u32..12) {
        let rules = Retry::QUERY;
        let most = Retry::QUERY.most;
        let whole = (rules.first * (1 << (attempt - 2))).min(most);
        let pause = rules.pause(&query, partition, attempt);
        prop_assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
    }

    #[test]
    fn retries_stay_within_their_share(steps in proptest::collection::vec((0_u64..400, 0_u32..30, any::<bool>()), 1..300)) {
        let mut budget = RetryBudget::default();
        let mut now = Instant::now();
        let mut attempts = Vec::new();
        let mut granted = Vec::new();
        for (pause, begun, retry) in steps {
            now += ms(pause);
            for _ in 0..begun {
                budget.attempt(now);
                attempts.push(now);
            }
            if retry {
                let within = |times: &[Instant], window| times.iter().filter(|at| now - **at <= window).count() as u64;
                let before = within(&granted, WINDOW);
                // Buckets have a second: an attempt is forgotten up to a second late.
                let allowed = |window| MIN_RETRIES.max((within(&attempts, window) as f64 * SHARE) as u64);
                let given = budget.spend(now);
                if given {
                    prop_assert!(before < allowed(WINDOW + ms(1000)));
                    granted.push(now);
                } else {
                    prop_assert!(within(&granted, WINDOW + ms(1000)) >= allowed(WINDOW));
                }
            }
        }
    }
}

#[test]
fn the_division_in_numbers() {
    let start = Instant::now();
    let of = |deadline, p99: Option<u64>| {
        let budget = Budget::new(start, ms(deadline), p99.map(ms));
        [budget.leaf_deadline, budget.gather_deadline, budget.merge_deadline, budget.deadline]
            .map(|at| (at - start).as_micros())
    };
    assert_eq!(of(1000, None), [885_000, 895_000, 995_000, 1_000_000]);
    assert_eq!(of(1000, Some(20)), [955_000, 965_000, 995_000, 1_000_000]);
    assert_eq!(of(1000, Some(1)), [980_000, 990_000, 995_000, 1_000_000]);
    assert_eq!(of(1000, Some(900)), [685_000, 695_000, 995_000, 1_000_000]);
    assert_eq!(of(10, None), [5_800, 6_000, 9_000, 10_000]);
    assert_eq!(of(1, None), [430, 450, 750, 1_000]);
    // Without a measurement, the reserve of an hour is at most five seconds.
    assert_eq!(merge_reserve(Duration::from_secs(3600), None), Duration::from_secs(5));
}

#[test]
fn spent_retries_come_back_when_the_window_has_passed() {
    let mut budget = RetryBudget::default();
    let start = Instant::now();
    assert_eq!((0..50).filter(|_| budget.spend(start)).count() as u64, MIN_RETRIES);
    assert!(!budget.spend(start + WINDOW));
    assert_eq!((0..50).filter(|_| budget.spend(start + WINDOW + ms(1001))).count() as u64, MIN_RETRIES);
}
