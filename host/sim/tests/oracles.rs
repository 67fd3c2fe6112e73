//! The simulator against published and derived figures.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a mistake in a test stops it where it is"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use frond_sim::{
    ArrivalsTable, ClusterTable, Distribution, Observer, PiecesTable, QueryTable, Sight, SimReport, SlowTable, Weight,
    World, observe, simulate,
};
use serde_json::Value;

fn oracle(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A world without limits, of so many queries one after another.
fn world(queries: u64, partitions: u32, slots: u32, leaf: Distribution) -> World {
    let query = QueryTable { partitions, leaf, deadline_ms: 80_000_000.0, ..QueryTable::default() };
    let cluster = ClusterTable { slots, ..ClusterTable::default() };
    let arrivals = ArrivalsTable { queries, ..ArrivalsTable::default() };
    World { seed: 1, query, cluster, arrivals, ..World::default() }
}

fn run(world: &World) -> SimReport {
    let report = simulate(world).unwrap();
    assert_eq!(report.outcomes.complete, report.queries);
    report
}

fn near(found: f64, expected: f64, part: f64, what: &str) {
    assert!((found - expected).abs() <= part * expected, "{what}: {found} instead of {expected}");
}

/// Times of events in a simulation: of each accepted partial, counted within its query.
#[derive(Default)]
struct Arrivals {
    began: BTreeMap<u64, Duration>,
    accepted: BTreeMap<u64, usize>,
    /// Sum of the times from the start of a query to its k-th partial, by k from 1.
    sums: BTreeMap<usize, f64>,
    queries: f64,
    /// Number of queries that took longer than `slow`.
    slow: Duration,
    late: f64,
}

impl Observer for Arrivals {
    fn see(&mut self, at: Duration, sight: &Sight<'_>) {
        match sight {
            Sight::Arrived { query, .. } => drop(self.began.insert(*query, at)),
            Sight::Accepted { query, .. } => {
                let count = self.accepted.entry(*query).or_default();
                *count += 1;
                let took = at - self.began[query];
                *self.sums.entry(*count).or_default() += took.as_secs_f64();
            }
            Sight::Gathered { took, .. } => {
                self.queries += 1.0;
                self.late += f64::from(u8::from(*took > self.slow));
            }
            _ => {}
        }
    }
}

#[test]
fn one_slow_slot_delays_a_query_by_little_once_it_is_cut() {
    let cuts = oracle(include_str!("oracles/cuts.json"));
    let one = &cuts["one_slow"];
    let mut base = world(1, 10, 10, Distribution::Constant(100.0));
    base.cluster.speeds = [1.0; 9].into_iter().chain([0.2]).collect();
    near(run(&base).ms.most, number(&one["static_10_ms"]), 0.001, "static");
    near(run(&base).over_bound.unwrap().most, 500.0 / number(&one["fluid_bound_ms"]), 0.001, "bound");
    for (partitions, key) in [(20, "two"), (40, "micro_40_ms"), (200, "micro_200_ms")] {
        let mut micro = World { query: QueryTable { partitions, ..base.query.clone() }, ..base.clone() };
        micro.query.leaf = Distribution::Constant(1000.0 / f64::from(partitions));
        let expected = if key == "two" { 250.0 } else { number(&one[key]) };
        near(run(&micro).ms.most, expected, 0.001, key);
    }
    for case in one["cut_from_10"].as_array().unwrap() {
        let w = number(&case["w_ms"]);
        let mut cut = base.clone();
        cut.query.pieces = Some(PiecesTable { units: 1_000_000, keep: 16 });
        cut.query.overhead_ms = w;
        let found = run(&cut).ms.most;
        // The oracle's leaves can be cut anywhere. These are cut between pieces, which take 3 ms.
        let most = number(&case["at_most_ms"]) + 0.5;
        assert!(found <= most, "w {w}: {found} ms, at most {most}");
    }
}

#[test]
fn cuts_bring_heavy_tails_to_their_bound() {
    let cuts = oracle(include_str!("oracles/cuts.json"));
    for case in cuts["pareto_makespan_over_bound"].as_array().unwrap() {
        let count = |key: &str| number(&case[key]) as u32;
        let leaf = Distribution::Pareto { least: 100.0, alpha: number(&case["alpha"]) };
        let mut pareto = world(2000, count("partitions"), count("slots"), leaf);
        let none = run(&pareto).over_bound.unwrap().mean;
        let (least, most) = case["none_mean"].as_str().unwrap().split_once('-').unwrap();
        let range = least.parse::<f64>().unwrap() - 0.5..=most.parse::<f64>().unwrap() + 0.5;
        assert!(range.contains(&none), "{case}: {none} without cuts");
        pareto.query.pieces = Some(PiecesTable { units: 1_000_000_000, keep: 0 });
        pareto.arrivals.queries = 20;
        let cut = run(&pareto).over_bound.unwrap().mean;
        // A partition is cut 64 times at most, which 50 slots may use up. The oracle has no such bound.
        let most = number(&case["cut_mean_at_most"]) + if count("slots") == 50 { 0.01 } else { 0.0 };
        assert!(cut <= most, "{case}: {cut} with cuts");
    }
}

#[test]
fn slots_that_pull_pieces_are_used_as_split_merge_says() {
    let oracle = oracle(include_str!("oracles/split-merge.json"));
    for case in oracle["use"].as_array().unwrap() {
        let count = |key: &str| number(&case[key]) as u32;
        let partitions = count("slots") * count("pieces_per_slot");
        let queries = (60_000 / partitions).clamp(60, 30_000);
        let report = run(&world(queries.into(), partitions, count("slots"), Distribution::Exponential(10.0)));
        near(report.utilisation, number(&case["use"]), 0.025, &case.to_string());
    }
}

#[test]
fn the_kth_of_n_partials_comes_when_order_statistics_say() {
    let oracle = oracle(include_str!("oracles/order-statistics.json"));
    let cases = |name: &str| oracle[name].as_array().unwrap().clone();
    let alpha = |case: &Value| case.get("alpha").map(number);
    let mut worlds: BTreeMap<(u32, u64), Arrivals> = BTreeMap::new();
    for case in cases("exponential").iter().chain(&cases("pareto")) {
        let partitions = number(&case["n"]) as u32;
        let queries = 200_000 / u64::from(partitions);
        let leaf = match alpha(case) {
            None => Distribution::Exponential(10_000.0),
            Some(alpha) => Distribution::Pareto { least: 10_000.0, alpha },
        };
        let key = (partitions, alpha(case).unwrap_or_default().to_bits());
        let arrivals = worlds.entry(key).or_insert_with(|| {
            let mut arrivals = Arrivals::default();
            observe(&world(queries, partitions, partitions, leaf), &mut arrivals).unwrap();
            arrivals
        });
        let k = number(&case["k"]) as usize;
        let found = arrivals.sums[&k] / queries as f64 / 10.0;
        // The variance of the last of a heavy tail is infinite.
        let is_wild = alpha(case).is_some_and(|alpha| alpha <= 2.0) && k as u32 == partitions;
        near(found, number(&case["mean"]), if is_wild { 0.35 } else { 0.03 }, &case.to_string());
    }
}

#[test]
fn the_slowest_of_many_leaves_is_as_slow_as_known() {
    let tail = oracle(include_str!("oracles/tail.json"));
    let maximum = &tail["expected_max_exponential"];
    for (n, mean) in maximum["n"].as_array().unwrap().iter().zip(maximum["e"].as_array().unwrap()) {
        let n = number(n) as u32;
        let report = run(&world(u64::from(200_000 / n), n, n, Distribution::Exponential(10_000.0)));
        near(report.ms.mean / 10_000.0, number(mean), 0.02, &format!("{n} leaves"));
    }
    for case in tail["fan_out_slow_probability"]["cases"].as_array().unwrap() {
        let n = number(&case["n"]) as u32;
        let p = number(&case["p"]);
        let mut slow = world(u64::from(600_000 / n).min(20_000), n, n, Distribution::Constant(10.0));
        slow.query.slow = SlowTable { share: number(&case["leaf_slow"]), times: 100.0 };
        let mut arrivals = Arrivals { slow: Duration::from_millis(100), ..Arrivals::default() };
        observe(&slow, &mut arrivals).unwrap();
        let error = 4.0 * (p * (1.0 - p) / arrivals.queries).sqrt();
        let found = arrivals.late / arrivals.queries;
        assert!((found - p).abs() <= error, "{case}: {found}");
    }
}

#[test]
fn lognormal_leaves_have_their_quantiles() {
    let tail = oracle(include_str!("oracles/tail.json"));
    for (key, n) in [("n1", 1), ("n100", 100)] {
        let leaf = Distribution::Lognormal { median: 2000.0, sigma: 0.98979 };
        let report = run(&world(if n == 1 { 100_000 } else { 10_000 }, n, n, leaf));
        let none = &tail["lognormal_hedge"][key]["none"];
        near(report.ms.p50 / 100.0, number(&none[0]), 0.02, "the median");
        near(report.ms.p99 / 100.0, number(&none[2]), 0.1, "p99");
        near(report.ms.p999 / 100.0, number(&none[3]), 0.25, "p99.9");
    }
}

#[test]
fn heaviest_first_is_as_far_from_the_optimum_as_graham_says() {
    let oracle = oracle(include_str!("oracles/list-scheduling.json"));
    for case in oracle["heaviest_first"].as_array().unwrap() {
        let times: Vec<f64> = case["partitions"].as_array().unwrap().iter().map(|time| number(time) * 1000.0).collect();
        let partitions = times.len() as u32;
        let mut graham = world(1, partitions, number(&case["slots"]) as u32, Distribution::List(times));
        graham.query.weight = Weight::Time;
        near(run(&graham).ms.most / 1000.0, number(&case["makespan"]), 1e-6, &case.to_string());
        graham.query.pieces = Some(PiecesTable { units: 1_000_000, keep: 0 });
        let cut = run(&graham).over_bound.unwrap().most;
        assert!(cut <= 1.001, "{case}: {cut} with cuts");
    }
}
