//! The simulator against published and derived figures.

use frond_sim::{ArrivalsTable, ClusterTable, Distribution, PiecesTable, QueryTable, SimReport, World, simulate};
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

#[test]
fn one_slow_slot_delays_a_query_by_little_once_it_is_cut() {
    let cuts = oracle(include_str!("oracles/cuts.json"));
    let one = &cuts["one_slow"];
    let mut base = world(1, 10, 10, Distribution::Constant(100.0));
    base.cluster.speeds = [1.0; 9].into_iter().chain([0.2]).collect();
    near(run(&base).ms.most, number(&one["static_10_ms"]), 0.001, "static");
    for (partitions, key) in [(40, "micro_40_ms"), (200, "micro_200_ms")] {
        let mut micro = World { query: QueryTable { partitions, ..base.query.clone() }, ..base.clone() };
        micro.query.leaf = Distribution::Constant(1000.0 / f64::from(partitions));
        let found = run(&micro).ms.most;
        println!("{partitions} {found}");
        near(found, number(&one[key]), 0.001, key);
    }
    for case in one["cut_from_10"].as_array().unwrap() {
        let w = number(&case["w_ms"]);
        let mut cut = base.clone();
        cut.query.pieces = Some(PiecesTable { units: 1_000_000, keep: 16 });
        cut.query.overhead_ms = w;
        let report = run(&cut);
        println!("w {w}: {} ms, {} cuts, at most {}", report.ms.most, report.attempts.cuts, case["at_most_ms"]);
    }
}

#[test]
fn cuts_bring_heavy_tails_to_the_bound() {
    let cuts = oracle(include_str!("oracles/cuts.json"));
    for case in cuts["pareto_makespan_over_bound"].as_array().unwrap() {
        let count = |key: &str| number(&case[key]) as u32;
        let alpha = number(&case["alpha"]);
        let leaf = Distribution::Pareto { least: 1000.0, alpha };
        let mut pareto = world(300, count("partitions"), count("slots"), leaf);
        let none = run(&pareto).over_bound.unwrap();
        pareto.query.pieces = Some(PiecesTable { units: 1_000_000_000, keep: 0 });
        pareto.arrivals.queries = 5;
        let cut = run(&pareto);
        println!("{case}: none {none:?}, cut {:?} events {}", cut.over_bound, cut.events);
    }
}

#[test]
fn split_merge() {
    let oracle = oracle(include_str!("oracles/split-merge.json"));
    for case in oracle["use"].as_array().unwrap() {
        let slots = number(&case["slots"]) as u32;
        let pieces = number(&case["pieces_per_slot"]) as u32;
        let queries = (2_000_000 / (slots * pieces)).clamp(2000, 30_000);
        let report = run(&world(u64::from(queries), slots * pieces, slots, Distribution::Exponential(10.0)));
        println!("{case}: {}", report.utilisation);
    }
}
