//! Tests of the adaptive wait once the floor is reached.
//!
//! The numbers are those of Vespa's `InterleavedSearchInvokerTest` (vespa-engine/vespa,
//! `container-search`), as is the formula: a timeout of 5000 ms, and each answer takes 100 ms.

use std::time::Duration;

use frond_root::policy::wait::{MAX_FACTOR, MIN_FACTOR, adaptive_wait};
use frond_root::{Answer, EventKind, Floor};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, request};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{parts, words};

/// The wait before each answer in milliseconds: all remaining time below the floor, then the
/// formula.
fn waits(nodes: u64, least: f64, min: f64, max: f64) -> Vec<u128> {
    let needed = (nodes as f64 * least).ceil() as u64;
    (0..nodes)
        .map(|answered| {
            let left = ms(5000 - 100 * answered);
            if answered < needed {
                left.as_millis()
            } else {
                adaptive_wait(left, nodes - answered, nodes - needed, min, max).as_millis()
            }
        })
        .collect()
}

#[test]
fn vespas_case_of_half_the_nodes() {
    assert_eq!(waits(4, 0.5, 0.0, 0.5), [5000, 4900, 2400, 0]);
}

#[test]
fn vespas_case_of_all_the_nodes() {
    assert_eq!(waits(3, 1.0, 0.0, 0.5), [5000, 4900, 4800]);
}

#[test]
fn vespas_case_of_ten_nodes() {
    assert_eq!(adaptive_wait(ms(400), 1, 1, 0.2, 0.3), ms(80));
}

#[test]
fn vespas_case_of_a_hundred_nodes() {
    let wait = |pending| adaptive_wait(ms(400), pending, 10, 0.2, 0.3).as_secs_f64() * 1e3;
    assert_eq!([10, 5, 2, 1].map(|pending| wait(pending).round()), [120.0, 98.0, 84.0, 80.0]);
}

proptest! {
    #[test]
    fn the_wait_is_between_its_factors_and_grows_with_what_is_pending(
        left in 0_u64..10_000_000,
        pending in 1_u64..1000,
        allowed in 0_u64..1000,
    ) {
        let left = Duration::from_micros(left);
        let wait = adaptive_wait(left, pending, allowed, MIN_FACTOR, MAX_FACTOR);
        let slack = Duration::from_nanos(10);
        prop_assert!(wait + slack >= left.mul_f64(MIN_FACTOR) && wait <= left.mul_f64(MAX_FACTOR) + slack);
        let more = adaptive_wait(left, pending + 1, allowed, MIN_FACTOR, MAX_FACTOR);
        prop_assert!(more >= wait);
    }
}

/// A script in which partition `i` takes `100·(i + 1)` ms, and partitions from `from` on never end.
fn one_each_100_ms(from: u32) -> Script {
    let turn = move |index: u32, _: u32| {
        if index < from { Turn::succeed().after(ms(100 * u64::from(index + 1))) } else { Turn::never() }
    };
    Script::by(turn)
}

#[tokio::test(start_paused = true)]
async fn the_whole_flow_waits_as_the_formula_says() {
    let stage = Stage::new(one_each_100_ms(3));
    let mut request = request();
    request.deadline = ms(5000);
    request.floor = Floor::AtLeast(0.5);
    let start = Instant::now();
    let answer = stage.ask(request, plan(4)).await;
    // Of 5 s the gather has 4.495 s: 5 ms are for the reply, 500 ms for the merge. One more may be
    // missing after the third partial at 300 ms: the wait is a tenth of the remaining 4.195 s, then
    // at most 10 ms for the leaf to stop.
    let elapsed = start.elapsed();
    assert!((ms(719)..ms(735)).contains(&elapsed), "{elapsed:?}");
    assert_eq!(words(&answer), [0, 1, 2]);
    assert_eq!(parts(answer.coverage()), [3, 0, 0, 1, 0, 0]);
    let coverage = answer.coverage();
    assert_eq!(coverage.missing[0].slug, coverage.failures.keys().next().copied());
    let reached = stage.record.all(|event| match event.kind {
        EventKind::FloorReached { fraction } => Some((event.at / 1000, fraction)),
        _ => None,
    });
    assert_eq!(reached.len(), 1);
    assert!((200..=202).contains(&reached[0].0) && reached[0].1 == 0.5, "{reached:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_armed_anew_by_each_arrival() {
    let stage = Stage::new(one_each_100_ms(8));
    let mut request = request();
    request.deadline = ms(2000);
    let stage = stage.on_slots(10);
    request.floor = Floor::AtLeast(0.2);
    // Without restarts, the first wait would end long before the eighth partial arrives.
    let answer = stage.ask(request, plan(10)).await;
    assert_eq!(words(&answer), Vec::from_iter(0..8));
}

#[tokio::test(start_paused = true)]
async fn with_a_floor_of_all_there_is_no_adaptive_wait() {
    let stage = Stage::new(one_each_100_ms(2).at(2, Turn::succeed().after(ms(4000))));
    let mut request = request();
    request.deadline = ms(5000);
    request.floor = Floor::AtLeast(1.0);
    let answer = stage.ask(request, plan(3)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_ends_well_while_it_is_told_to_stop_counts() {
    // The wait ends at about 719 ms; the leaf ends within the grace.
    let stage = Stage::new(one_each_100_ms(3).at(3, Turn::succeed().after(ms(725)).deaf()));
    let mut request = request();
    request.deadline = ms(5000);
    request.floor = Floor::AtLeast(0.5);
    let answer = stage.ask(request, plan(4)).await;
    assert!(matches!(answer, Answer::Complete { .. }), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_at_the_last_moment_leaves_the_merge_its_reserve() {
    // A short reserve, a long grace and a leaf that does not stop: the grace must not use up the
    // reserve.
    for arrival in 960..989 {
        let script = Script::all(Turn::never().deaf()).at(0, Turn::succeed().after(ms(arrival)).deaf());
        let stage = Stage::with(script, Merges::sorted().finishing_after(ms(3)));
        let mut request = request();
        request.merge_p99 = Some(ms(1));
        request.floor = Floor::AtLeast(0.5);
        let start = Instant::now();
        let answer = stage.ask(request, plan(2)).await;
        assert!(matches!(answer, Answer::Partial { .. }), "{arrival}: {answer:?}");
        assert!(start.elapsed() < ms(1000));
    }
}
