//! Estimates pi by sampling: a leaf and its merge in one component.
//!
//! A partition is a range of integers, `{"start": 0, "end": 1000}`, the end not included. Each integer is one sample: its
//! hash gives a point in the unit square, which counts as a hit inside the quarter circle. The share of hits is near π/4.
//! Everything up to the answer is integers, so the answer is the same however the range is cut and the partials are grouped.
//!
//! Query: `{"seed": 1}`; another seed takes other points.
//! Answer: `{"pi": 3.14…, "std-error": 0.0005, "samples": 10000000, "hits": 785…, "planned": 10000000, "complete": true}`.
//! An estimate from only some of the samples is a good one with a larger standard error, so nothing is scaled; the answer
//! says how many samples were planned. Without any sample, `pi` and `std-error` are null.
//!
//! A leaf that is cut off counts for what it had done: it hands over its hits every [`BLOCK`] samples.

use std::ops::Range;

use frond_plugin::{Coverage, Failure, Partition, emit_partial};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// How many samples a leaf takes between two hand-overs: some milliseconds of work.
pub const BLOCK: u64 = 1 << 20;

/// What a client asks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Which points to take.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seed() -> u64 {
    1
}

/// A partition's content: the integers from `start` to before `end`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    start: i64,
    end: i64,
}

/// What a leaf found, and what several found together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// How many points were taken.
    pub samples: u64,
    /// How many of them lie inside the quarter circle.
    pub hits: u64,
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The estimate.
    pub pi: Option<f64>,
    /// Its standard error: pi is within two of them in 95 of 100 cases.
    pub std_error: Option<f64>,
    /// How many points were taken.
    pub samples: u64,
    /// How many of them lie inside the quarter circle.
    pub hits: u64,
    /// How many points the query had planned.
    pub planned: u64,
    /// Whether all of them were taken.
    pub complete: bool,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);

fn process(query: Query, mut partition: Partition) -> Result<Sampled, Failure> {
    let Span { start, end } = partition.take()?;
    if start > end {
        return Err(Failure::InvalidPartition(format!("the range {start}..{end} ends before it starts")));
    }
    let planned = end.abs_diff(start);
    let mut sampled = Sampled::default();
    while sampled.samples < planned {
        let from = start.wrapping_add_unsigned(sampled.samples);
        let block = BLOCK.min(planned - sampled.samples);
        sampled = sampled.and(sample(query.seed, from..from.wrapping_add_unsigned(block)));
        if sampled.samples < planned {
            emit_partial(sampled, sampled.samples as f64 / planned as f64)?;
        }
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
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { samples: self.samples + other.samples, hits: self.hits + other.hits }
    }
}

/// Takes the points of these integers.
pub fn sample(seed: u64, range: Range<i64>) -> Sampled {
    let samples = if range.is_empty() { 0 } else { range.end.abs_diff(range.start) };
    let stream = splitmix64(seed);
    let hits = range.map(|integer| u64::from(hit(splitmix64(stream.wrapping_add_signed(integer))))).sum();
    Sampled { samples, hits }
}

/// Whether a hash's point, on a grid of 2³¹ × 2³¹, lies inside the quarter circle. The squares' sum fits 64 bits.
fn hit(hash: u64) -> bool {
    let (x, y) = (hash >> 33, hash & 0x7fff_ffff);
    x * x + y * y < 1 << 62
}

/// The generator of Steele, Lea and Flood ("Fast Splittable Pseudorandom Number Generators", 2014), as a hash.
fn splitmix64(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The estimate that the samples give. A sample is a hit with probability p = π/4, so the share of hits has the standard
/// error √(p(1−p)/n).
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
