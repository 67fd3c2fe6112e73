//! Special functions: harmonic numbers, ratios of gammas, and tails of the normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Euler's constant γ, the limit of `H_n − ln n`.
const EULER: f64 = 0.577_215_664_901_532_9;
/// Number of terms up to which a harmonic sum is added up term by term.
const SUMMED: u64 = 64;
/// Argument above which a ratio of gammas comes from its asymptotic series.
const ASYMPTOTIC: f64 = 1e6;

/// Returns the harmonic number `H_n`, the sum of `1/i` for `i` from 1 to `n`.
#[must_use]
pub fn harmonic(n: u64) -> f64 {
    harmonic_between(0, n)
}

/// Returns `H_to − H_from`, without the loss of digits of a difference of two large sums.
#[must_use]
pub fn harmonic_between(from: u64, to: u64) -> f64 {
    match to.checked_sub(from) {
        None | Some(0) => 0.0,
        Some(terms) if terms <= SUMMED => (from + 1..=to).rev().map(|i| 1.0 / i as f64).sum(),
        Some(_) if from < SUMMED => harmonic_between(from, SUMMED) + asymptotic(to) - asymptotic(SUMMED),
        Some(_) => asymptotic(to) - asymptotic(from),
    }
}

/// Returns `H_n` by its asymptotic series, which has all digits of an `f64` from 64 on.
fn asymptotic(n: u64) -> f64 {
    let n = n as f64;
    let square = n * n;
    n.ln() + EULER + 0.5 / n - (1.0 / 12.0 - (1.0 / 120.0 - 1.0 / (252.0 * square)) / square) / square
}

/// Returns `ln(Γ(x) / Γ(x − d))` for `0 ≤ d < x`.
pub(crate) fn ln_gamma_ratio(x: f64, d: f64) -> f64 {
    if x < ASYMPTOTIC {
        return libm::lgamma(x) - libm::lgamma(x - d);
    }
    d * x.ln() + (-d * (d + 1.0) / (2.0 * x)).ln_1p()
}

/// Returns the probability that a standard normal value is above `z`.
pub(crate) fn normal_survival(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// Returns the `z` that a standard normal value exceeds with probability `share`.
///
/// A rational approximation (Abramowitz and Stegun 1964, 26.2.23) that Halley's method refines.
pub(crate) fn normal_upper(share: f64) -> f64 {
    if share > 0.5 {
        return -normal_upper(1.0 - share);
    }
    if share <= 0.0 {
        return f64::INFINITY;
    }
    let t = (-2.0 * share.ln()).sqrt();
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let bottom = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = t - top / bottom;
    for _ in 0..3 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        let newton = (normal_survival(z) - share) / density;
        let step = newton / (1.0 - 0.5 * newton * z);
        if !step.is_finite() {
            break;
        }
        z += step;
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(value: f64, wanted: f64, tolerance: f64) {
        assert!((value - wanted).abs() <= tolerance * wanted.abs().max(1e-300), "{value} is not {wanted}");
    }

    #[test]
    fn harmonic_sums_join_where_the_series_begins() {
        let slow = |n: u64| (1..=n).rev().map(|i| 1.0 / i as f64).sum::<f64>();
        for n in [1, 2, 10, 63, 64, 65, 66, 5_000, 100_000] {
            is_near(harmonic(n), slow(n), 1e-13);
        }
        assert_eq!(harmonic(0), 0.0);
        is_near(harmonic_between(u64::MAX - 1, u64::MAX), 1.0 / u64::MAX as f64, 1e-12);
    }

    #[test]
    fn normal_tails_have_their_known_values() {
        for (share, z) in [(0.5, 0.0), (0.025, 1.959_963_984_540_054), (1e-10, 6.361_340_902_404_056)] {
            assert!((normal_upper(share) - z).abs() < 1e-12, "{share}");
        }
        for share in [0.999, 0.7, 0.2, 1e-5, 1e-50, 1e-200] {
            is_near(normal_survival(normal_upper(share)), share, 1e-9);
        }
        assert_eq!(normal_upper(0.0), f64::INFINITY);
        assert_eq!(normal_upper(1.0), f64::NEG_INFINITY);
    }

    #[test]
    fn gamma_ratios_join_where_the_series_begins() {
        is_near(ln_gamma_ratio(5.0, 1.0), 4.0_f64.ln(), 1e-13);
        is_near(ln_gamma_ratio(ASYMPTOTIC, 1.0), (ASYMPTOTIC - 1.0).ln(), 1e-12);
        is_near(ln_gamma_ratio(ASYMPTOTIC, 0.5), ln_gamma_ratio(ASYMPTOTIC - 1.0, 0.5), 1e-6);
    }
}
