//! Distributions of times.

use serde::Deserialize;

use crate::problem::Problem;
use crate::random::Random;

/// The most times of a list.
pub(crate) const MAX_TIMES: usize = 1_000_000;
/// The longest time of one leaf in milliseconds: a day.
pub(crate) const MAX_MS: f64 = 86_400_000.0;

/// Distribution of times in milliseconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Distribution {
    /// Always the same.
    Constant(f64),
    /// Exponential with this mean.
    Exponential(f64),
    /// Lognormal.
    Lognormal {
        /// The median.
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Pareto.
    Pareto {
        /// The least time.
        least: f64,
        /// Exponent of the tail: the less, the heavier. The mean is infinite up to 1.
        alpha: f64,
    },
    /// One of these times at random.
    Empirical(Vec<f64>),
    /// These times in the order of the partitions, from the first one again after the last one.
    List(Vec<f64>),
}

impl Distribution {
    /// Checks the numbers of the distribution under `key`.
    ///
    /// # Errors
    /// The first number that is out of its range.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        let time = |name: &str, ms: f64| {
            let path = if name.is_empty() { key.to_owned() } else { format!("{key}.{name}") };
            Problem::unless((0.0..=MAX_MS).contains(&ms), &path, "must be a time in milliseconds, at most a day")
        };
        match self {
            Self::Constant(ms) => time("constant", *ms),
            Self::Exponential(mean) => time("exponential", *mean),
            Self::Lognormal { median, sigma } => {
                time("lognormal.median", *median)?;
                let key = format!("{key}.lognormal.sigma");
                Problem::unless((0.0..=10.0).contains(sigma), &key, "must be a number from 0 to 10")
            }
            Self::Pareto { least, alpha } => {
                time("pareto.least", *least)?;
                let key = format!("{key}.pareto.alpha");
                Problem::unless((0.1..=100.0).contains(alpha), &key, "must be a number from 0.1 to 100")
            }
            Self::Empirical(times) => list(times, &format!("{key}.empirical")),
            Self::List(times) => list(times, &format!("{key}.list")),
        }
    }

    /// The time of the partition at `index`, in milliseconds, at most a day.
    #[must_use]
    pub fn sample(&self, index: u32, random: &mut Random) -> f64 {
        let ms = match self {
            Self::Constant(ms) => *ms,
            Self::Exponential(mean) => mean * random.exponential(),
            Self::Lognormal { median, sigma } => median * libm::exp(sigma * random.normal()),
            Self::Pareto { least, alpha } => least * libm::pow(random.positive(), -1.0 / alpha),
            Self::Empirical(times) => {
                let at = random.within(0, times.len() as u64);
                times.get(usize::try_from(at).unwrap_or_default()).copied().unwrap_or_default()
            }
            Self::List(times) => times.get(index as usize % times.len().max(1)).copied().unwrap_or_default(),
        };
        ms.clamp(0.0, MAX_MS)
    }
}

fn list(times: &[f64], key: &str) -> Result<(), Problem> {
    Problem::unless(!times.is_empty(), key, "must have a time")?;
    Problem::unless(times.len() <= MAX_TIMES, key, "must have at most 1,000,000 times")?;
    let are_times = times.iter().all(|ms| (0.0..=MAX_MS).contains(ms));
    Problem::unless(are_times, key, "must be a list of times in milliseconds, each at most a day")
}
