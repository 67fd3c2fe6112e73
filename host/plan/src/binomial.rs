//! Binomial probabilities that keep their digits for any number of trials.

use std::f64::consts::PI;

/// Smallest argument of the series for the error of Stirling's formula.
const SERIES: f64 = 15.0;
/// Part of a sum below which a further term adds nothing.
const NEGLIGIBLE: f64 = 1e-17;

/// Returns the probability of at least `k` successes in `n` trials that each succeed with
/// probability `p`.
///
/// It sums the smaller tail, from its largest term outwards.
#[must_use]
pub fn at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let tail = if k as f64 > n as f64 * p {
        upper_tail(k, n, Odds { p, q: 1.0 - p })
    } else {
        1.0 - upper_tail(n - k + 1, n, Odds { p: 1.0 - p, q: p })
    };
    tail.clamp(0.0, 1.0)
}

/// Returns the probability of exactly `k` successes in `n` trials.
///
/// By saddle points (Loader 2000, "Fast and Accurate Computation of Binomial Probabilities").
#[must_use]
pub fn exactly(k: u64, n: u64, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    if p <= 0.0 || p >= 1.0 {
        let certain = if p <= 0.0 { 0 } else { n };
        return f64::from(u8::from(k == certain));
    }
    Odds { p, q: 1.0 - p }.of(k, n)
}

/// Probabilities of success and failure of a trial, both above 0. Each keeps its digits where the
/// other is next to 1.
#[derive(Clone, Copy)]
struct Odds {
    p: f64,
    q: f64,
}

impl Odds {
    fn of(self, k: u64, n: u64) -> f64 {
        let trials = n as f64;
        if k == 0 || k == n {
            let Self { p: likely, q: other } = if k == 0 { Self { p: self.q, q: self.p } } else { self };
            return (trials * if other < 0.5 { (-other).ln_1p() } else { likely.ln() }).exp();
        }
        let hits = k as f64;
        let misses = (n - k) as f64;
        let error = stirling_error(trials) - stirling_error(hits) - stirling_error(misses);
        let deviance = deviance(hits, trials * self.p) + deviance(misses, trials * self.q);
        (error - deviance).exp() * (trials / (2.0 * PI * hits * misses)).sqrt()
    }
}

/// Sums the probabilities of `k` and more successes, of which `k` is the likeliest.
fn upper_tail(k: u64, n: u64, odds: Odds) -> f64 {
    let mut factor = 1.0;
    let mut sum = 1.0;
    for successes in k..n {
        factor *= (n - successes) as f64 / (successes + 1) as f64 * (odds.p / odds.q);
        sum += factor;
        if factor < sum * NEGLIGIBLE {
            break;
        }
    }
    odds.of(k, n) * sum
}

/// Returns `ln n!` minus Stirling's formula for it.
fn stirling_error(n: f64) -> f64 {
    if n <= SERIES {
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let square = n * n;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / n
}

/// Returns `x·ln(x/m) + m − x`, by a series where the terms would cancel.
fn deviance(x: f64, m: f64) -> f64 {
    let ratio = (x - m) / (x + m);
    if ratio.abs() >= 0.1 {
        return x * (x / m).ln() + m - x;
    }
    let mut sum = (x - m) * ratio;
    let mut power = 2.0 * x * ratio;
    for j in 1..1_000 {
        power *= ratio * ratio;
        let next = sum + power / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_are_the_sums_of_their_terms() {
        let choose = |n: u64, k: u64| (0..k).fold(1.0, |sum, i| sum * (n - i) as f64 / (i + 1) as f64);
        for n in 1..=40 {
            for p in [0.01, 0.3, 0.5, 0.97] {
                let term = |k: u64| choose(n, k) * f64::powf(p, k as f64) * f64::powf(1.0 - p, (n - k) as f64);
                for k in 0..=n {
                    assert!((exactly(k, n, p) - term(k)).abs() <= 1e-12 * term(k), "{k} of {n} at {p}");
                    let sum: f64 = (k..=n).map(term).sum();
                    assert!((at_least(k, n, p) - sum).abs() <= 1e-11 * sum, "at least {k} of {n} at {p}");
                }
            }
        }
    }

    #[test]
    fn many_trials_keep_their_digits() {
        // Of an odd number of fair trials, more than half succeed half of the time.
        for n in [101, 100_001, 1_000_000_001] {
            assert!((at_least(n / 2 + 1, n, 0.5) - 0.5).abs() < 1e-9, "{n}");
        }
        assert!((at_least(1, 100_000, 1e-5) - (1.0 - (100_000.0 * (-1e-5_f64).ln_1p()).exp())).abs() < 1e-12);
    }
}
