//! Simulation of cutting on idle, with the share and the rule that queries use: idealised leaves
//! whose work is perfectly divisible, against bounds that two other programs simulated.

use std::time::Duration;

use frond_root::plan::{Grain, Units};
use frond_root::policy::cutting::{MIN_REST, choose, expected_rest};
use frond_root::share::{Pace, Stretch};
use frond_root::{PieceSizes, Share};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tokio::time::Instant;

/// Bounds of a makespan in milliseconds, or of its ratio to the best possible.
const CUTS: &str = include_str!("../data/cuts.json");

/// Units of work in a millisecond of a slot of speed 1.
const UNITS: f64 = 1000.0;

/// A running share on a slot.
struct Running {
    share: Share,
    /// Time at which its current piece ends.
    until: f64,
}

/// Runs the work of `parts` milliseconds each on slots of these speeds, where each attempt needs
/// `w` milliseconds before its first piece. Returns the time of the last end, in milliseconds.
fn makespan(parts: &[f64], speeds: &[f64], w: f64, cuts: bool) -> f64 {
    let zero = Instant::now();
    let at = |ms: f64| zero + Duration::from_secs_f64(ms / 1e3);
    let mut waiting: Vec<u64> = parts.iter().map(|ms| (ms * UNITS).round() as u64).collect();
    waiting.sort_unstable();
    let mut slots: Vec<Option<Running>> = speeds.iter().map(|_| None).collect();
    let mut now = 0.0;
    let begin = |stretch: Stretch, now: f64| {
        let share = Share::new(Units { count: stretch.end, grain: Grain::Integer }, stretch, PieceSizes::Timed);
        Running { share, until: now + w }
    };
    loop {
        for slot in 0..slots.len() {
            if slots[slot].is_some() {
                continue;
            }
            slots[slot] = match waiting.pop() {
                Some(units) => Some(begin(Stretch::whole(units), now)),
                None if cuts => {
                    let paces = slots.iter().flatten().filter_map(|one| Some((&one.share, one.share.pace(at(now))?)));
                    let cut = choose(paces, Duration::from_secs_f64(w / 1e3)).and_then(Share::cut);
                    cut.map(|stretch| begin(stretch, now))
                }
                None => None,
            };
        }
        let next = slots.iter().enumerate().filter_map(|(slot, one)| Some((slot, one.as_ref()?.until)));
        let Some((slot, until)) = next.min_by(|one, other| one.1.total_cmp(&other.1)) else { return now };
        now = until;
        let piece = slots[slot].as_ref().and_then(|one| one.share.next(at(now)));
        match (piece, &mut slots[slot]) {
            (Some(piece), Some(running)) => {
                running.until = now + (piece.end - piece.start) as f64 / UNITS / speeds[slot];
            }
            (_, slot) => *slot = None,
        }
    }
}

fn bounds() -> serde_json::Value {
    serde_json::from_str(CUTS).unwrap()
}

#[test]
fn one_slow_slot_costs_what_it_must() {
    let bounds = &bounds()["one_slow"];
    let parts = [100.0; 10];
    let mut speeds = [1.0; 10];
    speeds[9] = 0.2;
    let fluid = bounds["fluid_bound_ms"].as_f64().unwrap();
    let without = makespan(&parts, &speeds, 0.0, false);
    assert!((without - bounds["static_10_ms"].as_f64().unwrap()).abs() < 0.01, "{without}");
    let cases = bounds["cut_from_10"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let number = |name: &str| case[name].as_f64().unwrap();
        let took = makespan(&parts, &speeds, number("w_ms"), true);
        assert!(took >= fluid, "{took} ms is better than possible");
        assert!(took <= number("at_most_ms"), "{took} ms: {case}");
        // The rule leaves rests of 2 ms or four times w uncut, and a piece in progress.
        let left = MIN_REST.as_secs_f64() * 1e3;
        assert!(took <= fluid * 1.02 + 2.0 * number("w_ms") + left, "{took} ms: {case}");
    }
}

#[test]
fn skewed_partitions_take_the_time_of_their_work() {
    for case in bounds()["pareto_makespan_over_bound"].as_array().unwrap() {
        let slots = case["slots"].as_u64().unwrap() as usize;
        let partitions = case["partitions"].as_u64().unwrap() as usize;
        let alpha = case["alpha"].as_f64().unwrap();
        let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(7), ..Config::default() });
        let works = prop::collection::vec(0.0001..1.0_f64, partitions).prop_map(move |uniform| {
            uniform.iter().map(|share| 100.0 * share.powf(-1.0 / alpha)).collect::<Vec<f64>>()
        });
        let mut ratios = (0.0, 0.0);
        const ROUNDS: u32 = 20;
        for _ in 0..ROUNDS {
            let parts = works.new_tree(&mut runner).unwrap().current();
            let bound = parts.iter().sum::<f64>() / slots as f64;
            ratios.0 += makespan(&parts, &vec![1.0; slots], 0.01, false) / bound;
            ratios.1 += makespan(&parts, &vec![1.0; slots], 0.01, true) / bound;
        }
        let without = ratios.0 / f64::from(ROUNDS);
        let with = ratios.1 / f64::from(ROUNDS);
        assert!(with <= case["cut_mean_at_most"].as_f64().unwrap(), "{with}: {case}");
        assert!(without > with, "{without}: {case}");
    }
}

#[test]
fn a_short_rest_is_left_alone() {
    let pace = |left, rate: f64| Pace { left, rate: Some(rate), age: Duration::ZERO };
    assert_eq!(choose([(0, pace(1, 1000.0))], Duration::ZERO), None);
    assert_eq!(choose([(0, pace(2, 1000.0)), (1, pace(3, 1000.0))], Duration::ZERO), Some(1));
    let dear = Duration::from_millis(1);
    assert_eq!(choose([(0, pace(3, 1000.0))], dear), None);
    assert_eq!(choose([(0, pace(4, 1000.0))], dear), Some(0));
}

#[test]
fn without_a_rate_the_age_is_the_expected_rest() {
    let pace = Pace { left: 100, rate: None, age: Duration::from_millis(5) };
    assert_eq!(expected_rest(&pace), Duration::from_millis(5));
}

proptest! {
    #[test]
    fn pieces_of_fixed_sizes_depend_on_no_clock(
        count in 0_u64..50_000_000,
        grain in prop_oneof![Just(Grain::Byte), Just(Grain::Integer)],
        waits in prop::collection::vec(0_u64..50_000, 1..20),
    ) {
        let start = Instant::now();
        let pieces = |waits: &[u64]| -> Vec<_> {
            let share = Share::new(Units { count, grain }, Stretch::whole(count), PieceSizes::Fixed);
            let mut now = start;
            waits.iter().cycle().map_while(|wait| {
                now += Duration::from_micros(*wait);
                share.next(now)
            }).collect()
        };
        let found = pieces(&waits);
        prop_assert_eq!(&found, &pieces(&[0]));
        prop_assert!(found.len() < 128, "a sixty-fourth is rounded down");
        prop_assert_eq!(found.iter().map(|piece| piece.end - piece.start).sum::<u64>(), count);
    }
}
