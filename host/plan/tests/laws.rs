//! Laws of the formulas: bounds, limits, and the directions in which they change.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

use frond_plan::availability::{
    all_of, at_least, attempts_for, highest_floor, meets, most_leaves, needed, with_attempts,
};
use frond_plan::cost::{Cost, Layout, flat_optimum, levels};
use frond_plan::list_scheduling::{any_order_bound, heaviest_first, heaviest_first_bound, lower_bound, makespan};
use frond_plan::order_statistics::{mean_until, quantile_until};
use frond_plan::prediction::{Effort, Method, leaves_cut, leaves_until};
use frond_plan::redundancy::mean_response;
use frond_plan::special::harmonic;
use frond_plan::split_merge::{pieces_per_slot, slot_use, stretch};
use frond_plan::tail::{Hedged, slow_probability, tail_quantile};
use frond_plan::{Distribution, LeafTime, Sample, Throughput, Usl, UslError, probability};
use proptest::prelude::*;

fn leaf() -> impl Strategy<Value = Distribution> {
    prop_oneof![
        (0.01..100.0).prop_map(|mean| Distribution::Exponential { mean }),
        (0.01..100.0, 0.0..2.0).prop_map(|(median, sigma)| Distribution::LogNormal { median, sigma }),
        (0.01..100.0, 1.1..6.0).prop_map(|(min, alpha)| Distribution::Pareto { min, alpha }),
        prop::collection::vec(0.0..100.0, 1..60).prop_map(|times| Distribution::Empirical(Sample::new(times).unwrap())),
    ]
}

fn close(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance * one.abs().max(other.abs()).max(1e-12)
}

proptest! {
    #[test]
    fn availability_falls_with_the_leaves_and_rises_with_the_floor(n in 1_u64..100_000, p in 0.0..=1.0_f64, k in 0_u64..100_000) {
        let k = k.min(n);
        let some = at_least(k, n, p);
        prop_assert!((0.0..=1.0).contains(&some));
        prop_assert!(at_least(k + 1, n, p) <= some + 1e-12);
        prop_assert!(at_least(k, n + 1, p) >= some - 1e-9);
        prop_assert!(all_of(n + 1, p) <= all_of(n, p));
        prop_assert!(close(all_of(n, p), p.powf(n as f64), 1e-6) || p.powf(n as f64) < 1e-200);
        prop_assert_eq!(at_least(0, n, p), 1.0);
        prop_assert_eq!(at_least(n + 1, n, p), 0.0);
        // Success and failure of a leaf are two words for the same trial.
        prop_assert!((some + at_least(n - k + 1, n, 1.0 - p) - 1.0).abs() < 1e-9 || k == 0);
    }

    #[test]
    fn the_most_leaves_are_the_last_that_keep_a_promise(p in 0.5..0.999_999_f64, sla in 0.01..1.0_f64) {
        let most = most_leaves(p, sla).unwrap();
        prop_assert!(most == 0 || meets(all_of(most, p), sla));
        prop_assert!(!meets(all_of(most + 1, p), sla));
        prop_assert!(most_leaves(with_attempts(p, 2), sla).unwrap() >= most);
    }

    #[test]
    fn the_attempts_needed_are_the_fewest(n in 1_u64..100_000, p in 0.01..0.9999_f64, sla in 0.01..0.9999_f64) {
        let attempts = attempts_for(n, p, sla).unwrap();
        prop_assert!(meets(all_of(n, with_attempts(p, attempts)), sla));
        prop_assert!(attempts == 1 || !meets(all_of(n, with_attempts(p, attempts - 1)), sla));
    }

    #[test]
    fn the_highest_floor_is_the_last_that_holds(n in 1_u64..20_000, p in 0.0..=1.0_f64, sla in 0.01..0.9999_f64) {
        let k = highest_floor(n, p, sla);
        prop_assert!(k <= n && meets(at_least(k, n, p), sla));
        prop_assert!(k == n || !meets(at_least(k + 1, n, p), sla));
    }

    #[test]
    fn attempts_help(p in 0.0..=1.0_f64, attempts in 1_u32..50) {
        let now = with_attempts(p, attempts);
        prop_assert!((0.0..=1.0).contains(&now) && with_attempts(p, attempts + 1) >= now);
        prop_assert!(close(1.0 - now, (1.0 - p).powi(attempts as i32), 1e-6) || 1.0 - now < 1e-8);
    }

    #[test]
    fn the_slowest_of_more_leaves_is_slower(leaf in leaf(), n in 1_u64..10_000, q in 0.01..0.999_f64) {
        let now = tail_quantile(&leaf, n, q);
        prop_assert!(tail_quantile(&leaf, n + 1, q) >= now * (1.0 - 1e-12));
        prop_assert!(tail_quantile(&leaf, n, (q + 1.0) / 2.0) >= now);
        prop_assert!(close(tail_quantile(&leaf, 1, q), leaf.quantile(q), 1e-9));
        let is_step = matches!(leaf, Distribution::Empirical(_)) || matches!(leaf, Distribution::LogNormal { sigma, .. } if sigma < 1e-6);
        prop_assert!(is_step || close(leaf.survival(now), 1.0 - q.powf(1.0 / n as f64), 1e-6));
        prop_assert!(close(quantile_until(&leaf, n, n, q), now, 1e-12));
    }

    #[test]
    fn a_quantile_is_the_least_time_within_which_enough_end(leaf in leaf(), p in 0.001..0.999_f64) {
        let t = leaf.quantile(p);
        prop_assert!(leaf.cdf(t * (1.0 + 1e-9)) >= p - 1e-9);
        prop_assert!(leaf.cdf(t * (1.0 - 1e-9) - 1e-12) <= p + 1e-9);
        prop_assert!((leaf.cdf(t) + leaf.survival(t) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_copy_never_makes_a_leaf_slower(leaf in leaf(), n in 1_u64..1_000, q in 0.01..0.999_f64, after in 0.0..1.0_f64) {
        let hedged = Hedged::new(&leaf, leaf.quantile(after));
        let alone = tail_quantile(&leaf, n, q);
        let copied = tail_quantile(&hedged, n, q);
        prop_assert!(copied <= alone * (1.0 + 1e-12));
        let late = Hedged::new(&leaf, f64::INFINITY);
        prop_assert!(close(tail_quantile(&late, n, q), alone, 1e-12));
        prop_assert!((0.0..=1.0).contains(&hedged.extra()));
    }

    #[test]
    fn a_larger_piece_takes_longer_and_varies_less(leaf in leaf(), factor in 0.01..100.0_f64) {
        let other = leaf.resized(factor);
        prop_assert!(close(other.mean(), leaf.mean() * factor, 1e-9));
        prop_assert!(other.cv().is_infinite() || other.cv() <= leaf.cv() * (1.0 + 1e-9));
        prop_assert!(factor > 1.0 || close(other.cv(), leaf.cv(), 1e-9) || leaf.cv().is_infinite());
        prop_assert!(other.quantile(0.01) >= 0.0);
    }

    #[test]
    fn more_answers_take_longer(leaf in leaf(), n in 2_u64..300, k in 1_u64..300) {
        let k = k.min(n - 1);
        let some = mean_until(&leaf, k, n);
        prop_assert!(mean_until(&leaf, k + 1, n) >= some * (1.0 - 1e-9));
        prop_assert!(mean_until(&leaf, k, n + 1) <= some * (1.0 + 1e-9));
        prop_assert!(close(mean_until(&leaf, 1, 1), leaf.mean(), 1e-4), "{} {}", mean_until(&leaf, 1, 1), leaf.mean());
        prop_assert_eq!(mean_until(&leaf, 0, n), 0.0);
        prop_assert!(quantile_until(&leaf, k, n, 0.9) >= quantile_until(&leaf, k, n, 0.5));
        prop_assert!(quantile_until(&leaf, k, n, 0.9) <= quantile_until(&leaf, k + 1, n, 0.9) * (1.0 + 1e-9));
    }

    #[test]
    fn means_of_all_ranks_add_up(leaf in leaf(), n in 1_u64..30) {
        let sum: f64 = (1..=n).map(|k| mean_until(&leaf, k, n)).sum();
        prop_assert!(close(sum, leaf.mean() * n as f64, 1e-3), "{sum} {}", leaf.mean() * n as f64);
    }

    #[test]
    fn the_bounds_of_lists_hold(slots in 1_u64..20, pieces in prop::collection::vec(0.0..10.0_f64, 0..60)) {
        let least = lower_bound(slots, &pieces);
        let any = makespan(slots, &pieces);
        let heaviest = heaviest_first(slots, &pieces);
        prop_assert!(any >= least - 1e-9 && heaviest >= least - 1e-9);
        // Graham's proof bounds any list by the bound itself: W/m + (1 − 1/m)·max.
        prop_assert!(any <= least * any_order_bound(slots) + 1e-9);
        prop_assert!(heaviest <= any.max(heaviest));
        prop_assert!(makespan(1, &pieces) >= any - 1e-9);
        prop_assert!(heaviest_first_bound(slots) <= any_order_bound(slots).max(1.0));
    }

    #[test]
    fn the_advised_pieces_keep_the_slots_in_use(slots in 1_u64..10_000, wanted in 0.0..0.99_f64) {
        let pieces = pieces_per_slot(slots, wanted, 1.0);
        prop_assert!(slot_use(slots, pieces) >= wanted - 1e-9);
        prop_assert!(pieces == 1 || slot_use(slots, pieces - 1) < wanted);
        prop_assert_eq!(pieces_per_slot(slots, wanted, 0.0), 1);
        prop_assert!(close(stretch(slots, pieces, 1.0), 1.0 / slot_use(slots, pieces), 1e-12));
    }

    #[test]
    fn copies_shorten_responses(k in 1_u64..50, d in 1_u64..50, rho in 0.0..0.999_f64) {
        let d = d.min(k);
        let mean = mean_response(k, d, rho).unwrap();
        // One copy is k separate servers.
        prop_assert!(close(mean_response(k, 1, rho).unwrap(), 1.0 / (1.0 - rho), 1e-9));
        prop_assert!(d == k || mean_response(k, d + 1, rho).unwrap() <= mean * (1.0 + 1e-9));
        prop_assert!(mean_response(k, d, rho / 2.0).unwrap() <= mean * (1.0 + 1e-9));
        // k copies are one server that is k times as fast.
        prop_assert!(close(mean_response(k, k, rho).unwrap(), 1.0 / (k as f64 * (1.0 - rho)), 1e-9));
    }

    #[test]
    fn a_fit_finds_the_law_that_made_the_numbers(lambda in 0.5..1e6_f64, sigma in 0.0..0.5_f64, kappa in 0.0..0.01_f64, most in 8_u32..64) {
        let rate = |n: f64| lambda * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
        let measured: Vec<Throughput> =
            (1..=most).map(|n| Throughput { leaves: f64::from(n), rate: rate(f64::from(n)) }).collect();
        let fit = Usl::fit(&measured).unwrap();
        prop_assert!(close(fit.lambda, lambda, 1e-5), "{fit:?}");
        prop_assert!((fit.sigma - sigma).abs() < 1e-5 && (fit.kappa - kappa).abs() < 1e-6, "{fit:?}");
        prop_assert!(fit.explained > 0.999_999);
        prop_assert!(fit.throughput(f64::from(most) * 2.0 + 0.5).is_none());
        prop_assert!(fit.sigma >= 0.0 && fit.kappa >= 0.0);
    }

    #[test]
    fn the_flat_optimum_is_an_optimum(work in 0.01..1_000.0_f64, overhead in 1e-6..0.1_f64) {
        let cost = Cost { fixed: 0.0, work, overhead, fold: 0.0, fan_in: 8, cv: 0.0, is_cut: false };
        let time = |n: u64| cost.time(Layout { leaves: n.max(1), pieces: n.max(1) });
        let best = flat_optimum(work, overhead).round() as u64;
        prop_assert!(time(best) <= time(best + 2) && time(best) <= time(best.saturating_sub(2)));
        let efficiency = cost.efficiency(Layout { leaves: best.max(1), pieces: best.max(1) });
        prop_assert!(efficiency <= 1.0);
    }

    #[test]
    fn predictions_are_ordered_and_repeat(leaf in leaf(), slots in 1_u64..20, pieces in 1_u64..80, needed in 1_u64..80) {
        let layout = Layout { leaves: slots, pieces };
        let needed = needed.min(pieces);
        let effort = Effort { draws: 20_000, seed: 7 };
        let some = leaves_until(&leaf, layout, needed, effort);
        prop_assert!(some.p50 <= some.p99);
        prop_assert_eq!(some, leaves_until(&leaf, layout, needed, effort));
        prop_assert_eq!(some.method == Method::Formula, pieces <= slots);
        let all = leaves_until(&leaf, layout, pieces, effort);
        prop_assert!(some.p99 <= all.p99 * (1.0 + 1e-9));
    }

    #[test]
    fn only_certainty_reads_as_certain(p in 0.0..=1.0_f64) {
        let shown: f64 = probability(p).parse().unwrap();
        prop_assert!((shown - p).abs() <= 1e-4 && (shown < 1.0 || p >= 1.0), "{p} {shown}");
        prop_assert!(probability(1.0 - p * 1e-6).starts_with("0.99999") || p < 1e-12);
    }
}

#[test]
fn limits_of_availability() {
    assert_eq!(with_attempts(0.5, 0), 0.0);
    for p in [0.0, 0.5, 1.0] {
        assert_eq!((with_attempts(p, 1), all_of(1, p), all_of(0, p)), (p, p, 1.0));
    }
    assert_eq!((most_leaves(1.0, 0.99), most_leaves(0.9, 0.0)), (None, None));
    assert_eq!((most_leaves(0.0, 0.5), most_leaves(0.9, 0.95), most_leaves(0.9, 1.0)), (Some(0), Some(0), Some(0)));
    assert_eq!((attempts_for(10, 0.0, 0.9), attempts_for(10, 0.9, 1.0)), (None, None));
    assert_eq!((attempts_for(10, 1.0, 1.0), attempts_for(0, 0.5, 0.9)), (Some(1), Some(1)));
    assert_eq!((needed(100, 0.95), needed(100, 1.0), needed(3, 0.0), needed(0, 0.5)), (95, 100, 1, 0));
    assert_eq!(needed(10, 0.7), 7);
    // A hundred thousand leaves, and far more.
    assert!(close(at_least(99_000, 100_000, 0.99), 0.510_9, 0.01));
    assert!(all_of(u64::MAX, 0.999_999) == 0.0 && at_least(1, u64::MAX, 0.5) == 1.0);
    assert!(close(all_of(1_000_000_000, 1.0 - 1e-9), (-1.0_f64).exp(), 1e-6));
}

#[test]
fn limits_of_tails() {
    let leaf = Distribution::Exponential { mean: 2.0 };
    assert_eq!((slow_probability(0.0, 100), slow_probability(1.0, 100), slow_probability(0.3, 0)), (0.0, 1.0, 0.0));
    assert_eq!(slow_probability(0.3, 1), 0.3);
    assert!(slow_probability(1e-18, 1_000_000) > 0.0);
    assert_eq!((tail_quantile(&leaf, 0, 0.5), tail_quantile(&leaf, 5, 0.0)), (0.0, 0.0));
    assert!(close(tail_quantile(&leaf, 1_000_000_000_000, 0.5), 2.0 * (1e12_f64 / 2.0_f64.ln()).ln(), 1e-9));
    let never = Distribution::LogNormal { median: 3.0, sigma: 0.0 };
    assert_eq!((tail_quantile(&never, 100, 0.99), mean_until(&never, 3, 9), never.cv()), (3.0, 3.0, 0.0));
    let heavy = Distribution::Pareto { min: 1.0, alpha: 1.0 };
    assert!(heavy.mean().is_infinite() && heavy.cv().is_infinite());
    assert!(mean_until(&heavy, 10, 10).is_infinite() && mean_until(&heavy, 9, 10).is_finite());
    let hedged = Hedged::new(&heavy, 10.0);
    assert!(tail_quantile(&hedged, 100, 0.99) < tail_quantile(&heavy, 100, 0.99));
    assert!(Sample::new([]).is_none() && Sample::new([f64::NAN, -1.0]).is_none());
    assert!(Distribution::lognormal(0.0, 1.0).is_none() && Distribution::lognormal(2.0, 1.0).is_none());
    let ranks = Distribution::Empirical(Sample::new((1..=100).map(f64::from)).unwrap());
    assert_eq!([0.5, 0.9, 0.99, 1.0].map(|q| ranks.quantile(q)), [50.0, 90.0, 99.0, 100.0]);
}

#[test]
fn lognormal_order_statistics_agree_with_large_samples() {
    let leaf = Distribution::LogNormal { median: 1.0, sigma: 0.8 };
    // Midpoints of equal probabilities are a sample without noise.
    let points = 20_000;
    let sample = Sample::new((0..points).map(|i| leaf.quantile((f64::from(i) + 0.5) / f64::from(points)))).unwrap();
    let measured = Distribution::Empirical(sample);
    for (k, n) in [(1, 1), (5, 10), (10, 10), (95, 100), (100, 100), (500, 1_000)] {
        assert!(close(mean_until(&leaf, k, n), mean_until(&measured, k, n), 0.01), "{k} of {n}");
    }
}

#[test]
fn limits_of_slots() {
    assert_eq!((slot_use(1, 1), slot_use(0, 1), slot_use(1, 0)), (1.0, 0.0, 0.0));
    assert_eq!((pieces_per_slot(1, 0.99, 5.0), pieces_per_slot(2, 1.0, 1.0)), (1, u64::MAX));
    assert_eq!((mean_response(2, 0, 0.5), mean_response(2, 3, 0.5), mean_response(2, 1, 1.0)), (None, None, None));
    assert_eq!(
        (levels(0, 8), levels(1, 8), levels(2, 8), levels(8, 8), levels(9, 8), levels(64, 8)),
        (0, 0, 1, 1, 2, 2)
    );
    assert_eq!(levels(10, 1), 4);
}

#[test]
fn simulated_queries_have_the_mean_of_the_formula() {
    // l slots that pull κ·l exponential pieces take κ − 1 + H_l on average.
    let leaf = Distribution::Exponential { mean: 1.0 };
    let effort = Effort { draws: 2_000_000, seed: 3 };
    for (slots, per_slot) in [(2, 4), (10, 8), (50, 4)] {
        let layout = Layout { leaves: slots, pieces: slots * per_slot };
        let spread = leaves_until(&leaf, layout, layout.pieces, effort);
        let mean = per_slot as f64 - 1.0 + harmonic(slots);
        assert!(spread.p50 < mean && spread.p50 > mean * 0.9, "{} {mean}", spread.p50);
    }
    let one =
        leaves_until(&Distribution::LogNormal { median: 2.0, sigma: 0.0 }, Layout { leaves: 3, pieces: 7 }, 7, effort);
    assert_eq!((one.p50, one.p99), (6.0, 6.0));
}

#[test]
fn a_huge_query_is_approximated() {
    let leaf = Distribution::Exponential { mean: 1.0 };
    let layout = Layout { leaves: 10, pieces: 1_000_000 };
    let spread = leaves_until(&leaf, layout, layout.pieces, Effort { draws: 1, seed: 1 });
    assert_eq!(spread.method, Method::Approximation);
    assert!(close(spread.p50, 100_000.0, 0.001) && spread.p99 > spread.p50);
    let cut = leaves_cut(&leaf, Layout { leaves: 10, pieces: 10 }, 10);
    assert!(close(cut.p50, 1.0, 1e-12) && cut.p99 > 1.0);
}

#[test]
fn a_fit_needs_measurements() {
    let at = |leaves: f64, rate: f64| Throughput { leaves, rate };
    assert_eq!(Usl::fit(&[at(1.0, 1.0), at(2.0, 2.0), at(3.0, 2.5), at(3.0, 2.6)]), Err(UslError::TooFew(3)));
    assert!(matches!(Usl::fit(&[at(0.0, 1.0)]), Err(UslError::Impossible { .. })));
    assert!(matches!(Usl::fit(&[at(1.0, f64::NAN)]), Err(UslError::Impossible { .. })));
    let linear: Vec<_> = (1..=6).map(|n| at(f64::from(n), 10.0 * f64::from(n))).collect();
    let fit = Usl::fit(&linear).unwrap();
    assert!(fit.peak().is_none_or(|peak| peak > 1_000));
    // Throughput that grows faster than the leaves has no contention.
    let better: Vec<_> = (1..=6).map(|n| at(f64::from(n), f64::from(n).powf(1.2))).collect();
    let fit = Usl::fit(&better).unwrap();
    assert_eq!((fit.sigma, fit.kappa), (0.0, 0.0));
}
