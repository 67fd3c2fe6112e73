//! Tails of a fan-out: how slow the slowest of many leaves is, with and without a second copy.

use crate::leaf_time::LeafTime;

/// Number of halvings after which a bisection has all digits of an `f64`.
const HALVINGS: u32 = 200;

/// Returns the probability that at least one of `n` leaves is slow, if each of them is with
/// probability `leaf_slow`: `1 − (1 − p)^n` (Dean and Barroso 2013, "The Tail at Scale").
#[must_use]
pub fn slow_probability(leaf_slow: f64, n: u64) -> f64 {
    match n {
        0 => 0.0,
        1 => leaf_slow.clamp(0.0, 1.0),
        _ if leaf_slow >= 1.0 => 1.0,
        _ => -(n as f64 * (-leaf_slow.max(0.0)).ln_1p()).exp_m1(),
    }
}

/// Returns the `q`-quantile of the slowest of `n` leaves that start at once: `F⁻¹(q^(1/n))`.
/// Without leaves it is 0.
#[must_use]
pub fn tail_quantile(leaf: &impl LeafTime, n: u64, q: f64) -> f64 {
    match n {
        0 => 0.0,
        1 => leaf.upper_quantile(1.0 - q.clamp(0.0, 1.0)),
        _ => leaf.upper_quantile(-(q.clamp(0.0, 1.0).ln() / n as f64).exp_m1()),
    }
}

/// Time of a leaf that gets a second copy once it is `after` old. The first success counts.
///
/// `1 − F_h(t) = (1 − F(t)) · (1 − F(t − h))`.
#[derive(Clone, Copy, Debug)]
pub struct Hedged<'a, T> {
    leaf: &'a T,
    after: f64,
}

impl<'a, T: LeafTime> Hedged<'a, T> {
    /// Returns the time of a leaf with a copy after `after`.
    #[must_use]
    pub fn new(leaf: &'a T, after: f64) -> Self {
        Self { leaf, after: after.max(0.0) }
    }

    /// Returns the share of leaves that get a copy.
    #[must_use]
    pub fn extra(&self) -> f64 {
        self.leaf.survival(self.after)
    }
}

impl<T: LeafTime> LeafTime for Hedged<'_, T> {
    fn survival(&self, t: f64) -> f64 {
        let first = self.leaf.survival(t);
        if t < self.after { first } else { first * self.leaf.survival(t - self.after) }
    }

    fn upper_quantile(&self, share: f64) -> f64 {
        let alone = self.leaf.upper_quantile(share);
        if alone <= self.after {
            return alone;
        }
        let mut low = 0.0;
        let mut high = alone;
        if high.is_infinite() {
            high = self.after.max(1.0);
            while self.survival(high) > share && high.is_finite() {
                high *= 2.0;
            }
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if self.survival(middle) <= share {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}
