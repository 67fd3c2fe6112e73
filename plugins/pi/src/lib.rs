//! Monte Carlo estimate of pi: a leaf and its merge in one component.
//!
//! A partition is a range of integers, `{"start":0,"end":1000}`, without its end. Each integer
//! is one sample: its hash gives a point in the unit square, which is a hit if it lies inside the
//! quarter circle. The share of hits is near π/4. All values up to the answer are integers, so the
//! answer does not depend on how the range is cut and how partials are grouped.
//!
//! Query: `{"seed": 1}`; another seed takes other points.
//!
//! Answer: `{"pi": 3.14…, "std-error": 0.0005, "samples": 10000000, "hits": 785…, "planned":
//! 10000000, "complete": true}`. An estimate from a part of the samples is valid, only with a
//! larger standard error, so nothing is scaled; the answer has the planned number of samples.
//! Without any sample, `pi` and `std-error` are null.
//!
//! A leaf takes its range piece by piece, and hands over its hits between pieces. So a range may be
//! cut while it runs, and the work of a leaf that is cut off still counts.

use std::ops::Range;

use frond_plugin::{Coverage, Failure, Partition, pieces};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Query of a client.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Seed of the points.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seed() -> u64 {
    1
}

/// Partial: the samples of one or more leaves. It is a monoid under [`Sampled::and`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// Number of points taken.
    pub samples: u64,
    /// Number of points inside the quarter circle.
    pub hits: u64,
}

/// Answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The estimate of pi.
    pub pi: Option<f64>,
    /// The standard error of the estimate: pi is within two standard errors in 95 of 100 cases.
    pub std_error: Option<f64>,
    /// Number of points taken.
    pub samples: u64,
    /// Number of points inside the quarter circle.
    pub hits: u64,
    /// Number of points that the query planned.
    pub planned: u64,
    /// Whether all of them were taken.
    pub complete: bool,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);

fn process(query: Query, _: Partition) -> Result<Sampled, Failure> {
    let mut sampled = Sampled::default();
    let mut integers = pieces::integers()?;
    while let Some(range) = integers.next() {
        sampled = sampled.and(sample(query.seed, range));
        integers.keep(|| sampled)?;
    }
    Ok(sampled)
}

fn merge(_: Query, partials: Vec<Sampled>) -> Result<Sampled, Failure> {
    Ok(partials.into_iter().fold(Sampled::default(), Sampled::and))
}

fn finish(_: Query, merged: Option<Sampled>, coverage: Coverage) -> Result<Answer, Failure> {
    Ok(answer(merged.unwrap_or_default(), coverage))
}

impl Sampled {
    /// Adds two partials.
    pub fn and(self, other: Self) -> Self {
        Self { samples: self.samples + other.samples, hits: self.hits + other.hits }
    }
}

/// Samples the points of a range of integers.
pub fn sample(seed: u64, range: Range<i64>) -> Sampled {
    let samples = if range.is_empty() { 0 } else { range.end.abs_diff(range.start) };
    let stream = splitmix64(seed);
    let hits = range.map(|integer| u64::from(hit(splitmix64(stream.wrapping_add_signed(integer))))).sum();
    Sampled { samples, hits }
}

/// Tests whether a hash's point, on a grid of 2³¹ × 2³¹, lies inside the quarter circle. The sum of
/// the squares fits in 64 bits.
fn hit(hash: u64) -> bool {
    let x = hash >> 33;
    let y = hash & 0x7fff_ffff;
    x * x + y * y < 1 << 62
}

/// Hashes a value with the generator SplitMix64 of Steele, Lea and Flood ("Fast Splittable
/// Pseudorandom Number Generators", 2014).
fn splitmix64(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Computes the estimate from the samples. A sample is a hit with probability p = π/4, so the share
/// of hits has the standard error √(p(1−p)/n).
pub fn answer(sampled: Sampled, coverage: Coverage) -> Answer {
    let Sampled { samples, hits } = sampled;
    let share = (samples > 0).then(|| hits as f64 / samples as f64);
    Answer {
        pi: share.map(|share| 4.0 * share),
        std_error: share.map(|share| 4.0 * (share * (1.0 - share) / samples as f64).sqrt()),
        samples,
        hits,
        planned: coverage.planned,
        complete: coverage.complete,
    }
}
