//! Distributions of the time of one leaf.

use crate::random::Random;
use crate::special::{normal_survival, normal_upper};

/// Time of one leaf as a random value: all that formulas of tails need to know of it.
pub trait LeafTime {
    /// Returns the probability that a leaf takes longer than `t`.
    fn survival(&self, t: f64) -> f64;

    /// Returns the least time that a leaf exceeds with a probability of at most `share`.
    fn upper_quantile(&self, share: f64) -> f64;
}

/// Distribution of the time of one leaf, in any unit of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Exponential.
    Exponential {
        /// Mean, above 0.
        mean: f64,
    },
    /// Lognormal.
    LogNormal {
        /// Median, above 0.
        median: f64,
        /// Standard deviation of the logarithm, at least 0.
        sigma: f64,
    },
    /// Pareto: a power law above a least time.
    Pareto {
        /// Least time, above 0.
        min: f64,
        /// Exponent of the tail, above 0. The mean is infinite up to 1, the variance up to 2.
        alpha: f64,
    },
    /// Measured times, each as likely as the others.
    Empirical(Sample),
}

/// Sorted measured times, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    sorted: Vec<f64>,
    mean: f64,
    variance: f64,
}

impl Sample {
    /// Makes a sample of the times that are finite and not negative. `None` without one.
    #[must_use]
    pub fn new(times: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = times.into_iter().filter(|time| time.is_finite() && *time >= 0.0).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len() as f64;
        sorted.last()?;
        let mean = sorted.iter().sum::<f64>() / count;
        let variance = sorted.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / count;
        Some(Self { sorted, mean, variance })
    }

    /// Returns the times, sorted.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.sorted
    }

    fn scaled(&self, factor: f64) -> Self {
        let sorted = self.sorted.iter().map(|time| time * factor).collect();
        Self { sorted, mean: self.mean * factor, variance: self.variance * factor * factor }
    }

    /// Returns the times of `factor` pieces together: their mean grows in proportion, and their
    /// deviations by the square root.
    fn joined(&self, factor: f64) -> Self {
        let mean = self.mean * factor;
        let sorted = self.sorted.iter().map(|time| mean + (time - self.mean) * factor.sqrt()).collect();
        Self { sorted, mean, variance: self.variance * factor }
    }

    /// Returns the time of rank `⌈share·n⌉` from the slowest: nearest rank, counted from above.
    fn upper(&self, share: f64) -> f64 {
        let count = self.sorted.len();
        // The addend takes back what the product has lost or gained by rounding.
        let above = (count as f64 * share + 1e-9).floor().clamp(0.0, count as f64) as usize;
        let place = count.saturating_sub(above.saturating_add(1));
        self.sorted.get(place).copied().unwrap_or(0.0)
    }
}

impl Distribution {
    /// Returns the lognormal distribution with these two percentiles. `None` unless
    /// `0 < p50 ≤ p99`.
    #[must_use]
    pub fn lognormal(p50: f64, p99: f64) -> Option<Self> {
        let sigma = (p99 / p50).ln() / normal_upper(0.01);
        (p50 > 0.0 && sigma >= 0.0 && sigma.is_finite()).then_some(Self::LogNormal { median: p50, sigma })
    }

    /// Returns the mean. It is infinite for a Pareto exponent of 1 or less.
    #[must_use]
    pub fn mean(&self) -> f64 {
        match self {
            Self::Exponential { mean } => *mean,
            Self::LogNormal { median, sigma } => median * (sigma * sigma / 2.0).exp(),
            Self::Pareto { alpha, .. } if *alpha <= 1.0 => f64::INFINITY,
            Self::Pareto { min, alpha } => min * alpha / (alpha - 1.0),
            Self::Empirical(sample) => sample.mean,
        }
    }

    /// Returns the coefficient of variation: the standard deviation divided by the mean.
    #[must_use]
    pub fn cv(&self) -> f64 {
        match self {
            Self::Exponential { .. } => 1.0,
            Self::LogNormal { sigma, .. } => (sigma * sigma).exp_m1().sqrt(),
            Self::Pareto { alpha, .. } if *alpha <= 2.0 => f64::INFINITY,
            Self::Pareto { alpha, .. } => 1.0 / (alpha * (alpha - 2.0)).sqrt(),
            Self::Empirical(sample) if sample.mean == 0.0 => 0.0,
            Self::Empirical(sample) => sample.variance.sqrt() / sample.mean,
        }
    }

    /// Returns the probability that a leaf takes at most `t`.
    #[must_use]
    pub fn cdf(&self, t: f64) -> f64 {
        1.0 - self.survival(t)
    }

    /// Returns the least time within which a leaf ends with probability `p`.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        match self {
            // A small `p` would lose its digits in `1 − p`.
            Self::LogNormal { median, sigma } if p < 0.5 => median * (-sigma * normal_upper(p)).exp(),
            Self::Exponential { mean } => -mean * (-p.clamp(0.0, 1.0)).ln_1p(),
            _ => self.upper_quantile(1.0 - p),
        }
    }

    /// Returns the distribution with all times multiplied by `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Self::Exponential { mean } => Self::Exponential { mean: mean * factor },
            Self::LogNormal { median, sigma } => Self::LogNormal { median: median * factor, sigma: *sigma },
            Self::Pareto { min, alpha } => Self::Pareto { min: min * factor, alpha: *alpha },
            Self::Empirical(sample) => Self::Empirical(sample.scaled(factor)),
        }
    }

    /// Returns the distribution of a piece that is `factor` times as large.
    ///
    /// A smaller piece varies as much as the piece that was measured. A larger one does the work of
    /// several, so its deviations partly cancel; a power law keeps its tail.
    #[must_use]
    pub fn resized(&self, factor: f64) -> Self {
        if factor <= 1.0 {
            return self.scaled(factor);
        }
        match self {
            Self::Pareto { .. } => self.scaled(factor),
            Self::Empirical(sample) => Self::Empirical(sample.joined(factor)),
            Self::Exponential { .. } | Self::LogNormal { .. } => {
                let cv = self.cv() / factor.sqrt();
                let sigma = (cv * cv).ln_1p().sqrt();
                Self::LogNormal { median: self.mean() * factor * (-0.5 * sigma * sigma).exp(), sigma }
            }
        }
    }

    /// Draws one time.
    pub(crate) fn draw(&self, random: &mut Random) -> f64 {
        match self {
            Self::LogNormal { median, sigma } => median * (sigma * random.normal()).exp(),
            Self::Empirical(sample) => {
                let place = random.below(sample.sorted.len());
                sample.sorted.get(place).copied().unwrap_or(0.0)
            }
            _ => self.upper_quantile(random.unit()),
        }
    }
}

impl LeafTime for Distribution {
    fn survival(&self, t: f64) -> f64 {
        match self {
            _ if t < 0.0 => 1.0,
            Self::Exponential { mean } => (-t / mean).exp(),
            Self::LogNormal { .. } if t == 0.0 => 1.0,
            Self::LogNormal { median, sigma } if *sigma == 0.0 => f64::from(u8::from(t < *median)),
            Self::LogNormal { median, sigma } => normal_survival((t / median).ln() / sigma),
            Self::Pareto { min, alpha } => (t.max(*min) / min).powf(-alpha),
            Self::Empirical(sample) => {
                let within = sample.sorted.partition_point(|time| *time <= t);
                (sample.sorted.len() - within) as f64 / sample.sorted.len() as f64
            }
        }
    }

    fn upper_quantile(&self, share: f64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        match self {
            Self::Exponential { mean } => (-mean * share.ln()).max(0.0),
            Self::LogNormal { median, sigma } if *sigma == 0.0 => *median,
            Self::LogNormal { median, sigma } => median * (sigma * normal_upper(share)).exp(),
            Self::Pareto { min, alpha } => min * share.powf(-1.0 / alpha),
            Self::Empirical(sample) => sample.upper(share),
        }
    }
}
