//! Prediction of the time that the leaves of one query take: quantiles for pieces on slots.

use serde::Serialize;

use crate::cost::Layout;
use crate::leaf_time::Distribution;
use crate::list_scheduling::FreeSlots;
use crate::order_statistics::quantile_until;
use crate::random::Random;
use crate::special::normal_upper;
use crate::split_merge::stretch;

/// Number of pieces from which a query on few slots is approximated instead of simulated.
pub const MAX_SIMULATED: u64 = 10_000;
/// Least number of simulated queries, so that the 99th percentile is not their maximum.
const LEAST_QUERIES: u64 = 200;
/// Largest number of simulated queries.
const MOST_QUERIES: u64 = 20_000;

/// Method of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Method {
    /// Exact formula: all pieces start at once.
    Formula,
    /// Simulation of queries whose pieces are taken by the first free slot.
    Simulation {
        /// Number of simulated queries.
        queries: u64,
        /// Seed of the random numbers.
        seed: u64,
    },
    /// Normal distribution of the sum of many pieces.
    Approximation,
}

/// Quantiles of a time, in the unit of the leaf's time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// How it was made.
    pub method: Method,
}

/// Effort of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Number of times of leaves to draw, about.
    pub draws: u64,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// Returns the time until `needed` of the layout's pieces have ended, if every piece takes the time
/// of a leaf and the first free slot takes the next piece.
#[must_use]
pub fn leaves_until(leaf: &Distribution, layout: Layout, needed: u64, effort: Effort) -> Spread {
    let needed = needed.min(layout.pieces);
    if layout.pieces <= layout.leaves || needed == 0 {
        let at = |q: f64| quantile_until(leaf, needed, layout.pieces, q);
        return Spread { p50: at(0.5), p99: at(0.99), method: Method::Formula };
    }
    if layout.pieces > MAX_SIMULATED {
        return approximated(leaf, layout, needed);
    }
    let queries = (effort.draws / layout.pieces).clamp(LEAST_QUERIES, MOST_QUERIES);
    simulated(leaf, layout, needed, queries, effort.seed)
}

/// Returns the time of pieces whose rest idle slots take, so that all slots end together.
#[must_use]
pub fn leaves_cut(leaf: &Distribution, layout: Layout, needed: u64) -> Spread {
    let share = needed.min(layout.pieces) as f64 / layout.busy() as f64;
    let at = |share_above: f64| (sum_of(leaf, layout.pieces, share_above) * share).max(0.0);
    Spread { p50: at(0.5), p99: at(0.01), method: Method::Approximation }
}

/// Returns a quantile of the mean of `count` times.
fn sum_of(leaf: &Distribution, count: u64, share_above: f64) -> f64 {
    leaf.mean() * (1.0 + normal_upper(share_above) * leaf.cv() / (count.max(1) as f64).sqrt())
}

fn approximated(leaf: &Distribution, layout: Layout, needed: u64) -> Spread {
    let share = needed as f64 / layout.busy() as f64;
    let skew = stretch(layout.leaves, layout.pieces / layout.busy(), leaf.cv());
    let at = |q: f64| {
        let bulk = sum_of(leaf, layout.pieces, 1.0 - q) * share + leaf.mean() * share * (skew - 1.0);
        bulk.max(quantile_until(leaf, needed, layout.pieces, q))
    };
    Spread { p50: at(0.5), p99: at(0.99), method: Method::Approximation }
}

fn simulated(leaf: &Distribution, layout: Layout, needed: u64, queries: u64, seed: u64) -> Spread {
    let mut random = Random::new(seed);
    let mut times: Vec<f64> = (0..queries).map(|_| one_query(leaf, layout, needed, &mut random)).collect();
    times.sort_unstable_by(f64::total_cmp);
    let rank = |q: f64| {
        let rank = (times.len() as f64 * q).ceil() as usize;
        times.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    };
    Spread { p50: rank(0.5), p99: rank(0.99), method: Method::Simulation { queries, seed } }
}

fn one_query(leaf: &Distribution, layout: Layout, needed: u64, random: &mut Random) -> f64 {
    let mut slots = FreeSlots::new(layout.leaves);
    let mut ends: Vec<f64> = (0..layout.pieces).map(|_| slots.run(leaf.draw(random))).collect();
    let place = usize::try_from(needed).unwrap_or(usize::MAX).clamp(1, ends.len().max(1)) - 1;
    if place >= ends.len() {
        return 0.0;
    }
    *ends.select_nth_unstable_by(place, f64::total_cmp).1
}
