//! Order statistics: when `k` of `n` leaves that start at once have answered.

use crate::binomial::at_least;
use crate::leaf_time::{Distribution, LeafTime, Sample};
use crate::special::{harmonic_between, ln_gamma_ratio, normal_survival};

/// Number of steps of a numerical integral.
const STEPS: u32 = 4_000;
/// Number of halvings of a bisection.
const HALVINGS: u32 = 100;
/// Probability of being late beyond which an integral has nothing more to add.
const NEGLIGIBLE: f64 = 1e-60;
/// Range of standard normal values that a bisection starts with.
const NORMAL_RANGE: f64 = 40.0;

/// Returns the mean time until `k` of `n` leaves have answered. It is 0 for `k = 0`, and infinite
/// where the mean of the distribution's tail is.
///
/// The exponential distribution gives `mean · (H_n − H_{n−k})`, the Pareto distribution a ratio of
/// gammas, a sample its exact mean; only the lognormal distribution needs a numerical integral.
#[must_use]
pub fn mean_until(leaf: &Distribution, k: u64, n: u64) -> f64 {
    let k = k.min(n);
    if k == 0 {
        return 0.0;
    }
    match leaf {
        Distribution::Exponential { mean } => mean * harmonic_between(n - k, n),
        Distribution::Pareto { min, alpha } => min * pareto(k, n, *alpha),
        Distribution::Empirical(sample) => empirical(sample, k, n),
        Distribution::LogNormal { median, sigma } if *sigma == 0.0 => *median,
        Distribution::LogNormal { median, sigma } => median * lognormal(k, n, *sigma),
    }
}

/// Returns the `q`-quantile of the time until `k` of `n` leaves have answered.
#[must_use]
pub fn quantile_until(leaf: &Distribution, k: u64, n: u64, q: f64) -> f64 {
    let k = k.min(n);
    if k == 0 {
        return 0.0;
    }
    if k == n {
        return crate::tail::tail_quantile(leaf, n, q);
    }
    // The share of late leaves at which at least `k` are in time with probability `q`.
    let mut enough = 0.0;
    let mut too_many = 1.0;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(enough, too_many);
        if at_least(k, n, 1.0 - middle) >= q {
            enough = middle;
        } else {
            too_many = middle;
        }
    }
    leaf.upper_quantile(enough)
}

/// Mean of the k-th of n Pareto values with the least value 1.
fn pareto(k: u64, n: u64, alpha: f64) -> f64 {
    let late = (n - k + 1) as f64;
    let inverse = 1.0 / alpha;
    if late <= inverse {
        return f64::INFINITY;
    }
    (ln_gamma_ratio(n as f64 + 1.0, inverse) - ln_gamma_ratio(late, inverse)).exp()
}

/// Mean of the k-th of n values that are drawn from a sample with replacement.
fn empirical(sample: &Sample, k: u64, n: u64) -> f64 {
    let times = sample.times();
    let mut before = 0.0;
    let mut sum = 0.0;
    for (place, time) in times.iter().enumerate() {
        let within = at_least(k, n, (place + 1) as f64 / times.len() as f64);
        sum += time * (within - before);
        before = within;
    }
    sum
}

/// Mean of the k-th of n lognormal values with the median 1: the integral of the probability to be
/// late, over the range in which that is neither 1 nor 0.
fn lognormal(k: u64, n: u64, sigma: f64) -> f64 {
    // Late is to have at least n − k + 1 leaves above z.
    let late = |z: f64| at_least(n - k + 1, n, normal_survival(z));
    let from = crossing(|z| late(z) < 1.0);
    let to = crossing(|z| late(z) < NEGLIGIBLE);
    let step = (to - from) / f64::from(STEPS);
    let inner: f64 = (1..STEPS)
        .map(|index| {
            let z = from + step * f64::from(index);
            late(z) * sigma * (sigma * z).exp()
        })
        .sum();
    let ends = (late(from) * (sigma * from).exp() + late(to) * (sigma * to).exp()) * sigma / 2.0;
    (sigma * from).exp() + step * (inner + ends)
}

/// Returns where a condition on a standard normal value begins to hold.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let mut low = -NORMAL_RANGE;
    let mut high = NORMAL_RANGE;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}
