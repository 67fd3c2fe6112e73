//! Published and derived figures, each with its source beside it in `tests/oracles`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

use std::path::Path;

use frond_plan::availability::{all_of, at_least, most_leaves, with_attempts};
use frond_plan::list_scheduling::{fluid, heaviest_first, heaviest_first_bound, lower_bound, makespan, pulled};
use frond_plan::order_statistics::mean_until;
use frond_plan::redundancy::mean_response;
use frond_plan::special::harmonic;
use frond_plan::split_merge::slot_use;
use frond_plan::tail::{Hedged, slow_probability, tail_quantile};
use frond_plan::{Distribution, Throughput, Usl};
use serde_json::Value;

/// Tolerance of closed forms.
const CLOSED: f64 = 0.005;

fn oracle(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

#[track_caller]
fn is_near(value: f64, wanted: f64, tolerance: f64) {
    assert!((value - wanted).abs() <= tolerance * wanted.abs(), "{value} is not {wanted}");
}

#[test]
fn slow_leaves_of_a_fan_out() {
    let tail = oracle("tail.json");
    for case in tail["fan_out_slow_probability"]["cases"].as_array().unwrap() {
        is_near(slow_probability(number(&case["leaf_slow"]), whole(&case["n"])), number(&case["p"]), CLOSED);
    }
}

#[test]
fn expected_maximum_of_exponential_leaves() {
    let cases = &oracle("tail.json")["expected_max_exponential"];
    for (n, e) in numbers(&cases["n"]).into_iter().zip(numbers(&cases["e"])) {
        let leaf = Distribution::Exponential { mean: 1.0 };
        is_near(mean_until(&leaf, n as u64, n as u64), e, 1e-4);
        is_near(harmonic(n as u64), e, 1e-4);
    }
}

#[test]
fn hedges_of_lognormal_leaves() {
    let tail = oracle("tail.json");
    let leaf = Distribution::lognormal(20.0, 200.0).unwrap();
    assert!(matches!(leaf, Distribution::LogNormal { sigma, .. } if (sigma - 0.98979).abs() < 5e-6));
    let hedged = Hedged::new(&leaf, leaf.quantile(0.95));
    is_near(hedged.extra(), 0.05, 1e-9);
    for (n, key) in [(1, "n1"), (100, "n100")] {
        let cases = &tail["lognormal_hedge"][key];
        for (q, place) in [0.5, 0.95, 0.99, 0.999].into_iter().zip(0..) {
            let wanted = |kind: &str| number(&cases[kind][place as usize]);
            // Figures of whole milliseconds.
            let tolerance = |wanted: f64| CLOSED.max(0.5 / wanted);
            is_near(tail_quantile(&leaf, n, q), wanted("none"), tolerance(wanted("none")));
            is_near(tail_quantile(&hedged, n, q), wanted("hedge_p95"), tolerance(wanted("hedge_p95")));
        }
    }
}

/// The published measurement has no distribution; a power law of 2 % slow leaves has its shape.
#[test]
fn hedges_have_the_shape_of_the_published_ones() {
    let case = &oracle("tail.json")["hedge_bigtable"];
    let extra = number(&case["extra_requests"]);
    let leaf = Distribution::Pareto { min: 10.0 * extra.powf(1.0 / 1.5), alpha: 1.5 };
    let hedged = Hedged::new(&leaf, 10.0);
    is_near(hedged.extra(), extra, 1e-9);
    let times_less = tail_quantile(&leaf, 100, 0.999) / tail_quantile(&hedged, 100, 0.999);
    assert!(times_less > 10.0, "{times_less}");
}

#[test]
fn small_partitions_on_one_slow_slot() {
    let case = &oracle("tail.json")["micro_partitions"];
    let mut speeds = vec![1.0; 9];
    speeds.push(0.2);
    let figures = [("static_ms", 10), ("two_per_leaf_ms", 20), ("four_per_leaf_ms", 40), ("twenty_per_leaf_ms", 200)];
    for (key, pieces) in figures {
        is_near(pulled(1_000.0, pieces, &speeds), number(&case[key]), 1e-9);
    }
    is_near(fluid(1_000.0, &speeds), number(&case["fluid_bound_ms"]), CLOSED);
}

#[test]
fn availability_of_all_and_of_enough() {
    let figures = oracle("availability.json");
    let p = number(&figures["p"]);
    for (n, wanted) in figures["all_of_n"].as_object().unwrap() {
        is_near(all_of(n.parse().unwrap(), p), number(wanted), CLOSED);
    }
    assert!((all_of(3, p) - 0.970299).abs() < 1e-12);
    for (n, wanted) in figures["one_retry"].as_object().unwrap() {
        is_near(all_of(n.parse().unwrap(), with_attempts(p, 2)), number(wanted), 1e-4);
    }
    is_near(at_least(95, 100, p), number(&figures["coverage_95_of_100"]), 1e-5);
    for (sla, n) in figures["max_n"].as_object().unwrap() {
        assert_eq!(most_leaves(p, sla.parse().unwrap()), Some(whole(n)), "{sla}");
    }
}

#[test]
fn redundant_copies_on_busy_servers() {
    for case in oracle("redundancy.json")["cases"].as_array().unwrap() {
        let mean = mean_response(whole(&case["k"]), whole(&case["d"]), number(&case["rho"])).unwrap();
        is_near(mean, number(&case["mean"]), 2e-4);
    }
}

#[test]
fn mean_time_until_enough_leaves_have_answered() {
    let figures = oracle("order-statistics.json");
    for case in figures["exponential"].as_array().unwrap() {
        let leaf = Distribution::Exponential { mean: 1.0 };
        is_near(mean_until(&leaf, whole(&case["k"]), whole(&case["n"])), number(&case["mean"]), 1e-4);
    }
    for case in figures["pareto"].as_array().unwrap() {
        let leaf = Distribution::Pareto { min: 1.0, alpha: number(&case["alpha"]) };
        is_near(mean_until(&leaf, whole(&case["k"]), whole(&case["n"])), number(&case["mean"]), 1e-4);
    }
}

#[test]
fn use_of_slots_that_pull_pieces() {
    for case in oracle("split-merge.json")["use"].as_array().unwrap() {
        is_near(slot_use(whole(&case["slots"]), whole(&case["pieces_per_slot"])), number(&case["use"]), 2e-4);
    }
}

/// Least makespan of all assignments of pieces to slots.
fn optimum(loads: &mut [f64], pieces: &[f64], best: f64) -> f64 {
    let Some((piece, rest)) = pieces.split_first() else { return loads.iter().copied().fold(0.0, f64::max) };
    let mut best = best;
    for slot in 0..loads.len() {
        // An empty slot is like any other empty one.
        let is_new = loads[..slot].iter().all(|load| *load != loads[slot]);
        if is_new && loads[slot] + piece < best {
            loads[slot] += piece;
            best = best.min(optimum(loads, rest, best));
            loads[slot] -= piece;
        }
    }
    best
}

#[test]
fn heaviest_first_at_its_worst() {
    for case in oracle("list-scheduling.json")["heaviest_first"].as_array().unwrap() {
        let slots = whole(&case["slots"]);
        let pieces = numbers(&case["partitions"]);
        let found = heaviest_first(slots, &pieces);
        let best = optimum(&mut vec![0.0; slots as usize], &pieces, f64::INFINITY);
        is_near(found, number(&case["makespan"]), 1e-12);
        is_near(best, number(&case["optimum"]), 1e-12);
        is_near(found / best, heaviest_first_bound(slots), 1e-12);
        assert!(lower_bound(slots, &pieces) <= best);
        assert!(makespan(slots, &pieces) <= 2.0 * best);
    }
}

#[test]
fn scalability_of_the_published_benchmark() {
    let figures = oracle("usl.json");
    let measured: Vec<Throughput> =
        (1..).zip(numbers(&figures["x"])).map(|(n, rate)| Throughput { leaves: f64::from(n), rate }).collect();
    let fit = Usl::fit(&measured).unwrap();
    let wanted = &figures["fit"];
    let tolerance = number(&wanted["tolerance"]);
    is_near(fit.sigma, number(&wanted["sigma"]), tolerance);
    is_near(fit.kappa, number(&wanted["kappa"]), tolerance);
    is_near(fit.lambda, number(&wanted["lambda"]), tolerance);
    assert_eq!(fit.peak(), Some(whole(&wanted["n_max"])));
    is_near(fit.throughput(35.0).unwrap(), number(&wanted["x_max"]), tolerance);
    assert!(fit.explained > 0.99 && fit.errors.kappa < fit.kappa / 5.0);
    assert!(fit.throughput(64.0).is_some() && fit.throughput(65.0).is_none());
}
