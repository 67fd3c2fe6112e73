//! Content that the law cuts: bytes that are lines, or the whole numbers of a range.

use std::ops::Range;

use bytes::Bytes;
use frond_root::{Grain, Partition, Units};
use serde::Deserialize;

/// Limit on the bytes, or integers, of a content: of a larger one, the first lines.
const MAX_SAMPLE: usize = 16 << 10;
/// A shorter content is repeated up to this many bytes: a reader of the SDK keeps a partial after
/// 16 pieces at the earliest.
const LEAST_BYTES: usize = 1 << 10;
/// A range of fewer integers is not halved.
const LEAST_INTEGERS: u64 = 64;
/// A content of at most this many records is made smaller byte by byte, too.
const FEW_RECORDS: usize = 3;
/// Limit on the characters of a content in a counter-example.
const MAX_SHOWN: usize = 120;

/// Content of a partition that can be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    Bytes(Bytes),
    Integers { start: i64, end: i64 },
}

/// Content of a range, as a leaf reads it.
#[derive(Deserialize)]
struct Integers {
    start: i64,
    end: i64,
}

impl Sample {
    /// Returns the begin of a partition's content; `None` if it cannot be cut.
    pub(super) fn of(partition: &Partition) -> Option<Self> {
        let sample = match partition.content.units().grain {
            Grain::Whole => return None,
            Grain::Integer => {
                let Integers { start, end } = serde_json::from_slice(&partition.content.whole().ok()?).ok()?;
                Self::Integers { start, end: end.min(start.saturating_add(MAX_SAMPLE as i64)) }
            }
            Grain::Byte => {
                let bytes = partition.content.read(0, MAX_SAMPLE).ok()?;
                let is_all = bytes.len() as u64 == partition.content.size();
                let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                Self::Bytes(if is_all { bytes } else { bytes.slice(..lines) })
            }
        };
        (sample.units() > 1).then_some(sample)
    }

    /// Number of units: bytes, or integers.
    pub(super) fn units(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Integers { start, end } => end.abs_diff(*start),
        }
    }

    /// Returns the lines of a short content again and again, with the content last; `None` if it is
    /// long enough, or has no end of a line.
    pub(super) fn repeated(&self) -> Option<Self> {
        let Self::Bytes(bytes) = self else { return None };
        let missing = LEAST_BYTES.checked_sub(bytes.len()).filter(|missing| *missing > 0)?;
        let lines = bytes.get(..=bytes.iter().rposition(|byte| *byte == b'\n')?)?;
        let mut repeated = lines.repeat(missing.div_ceil(lines.len()));
        repeated.extend_from_slice(bytes);
        Some(Self::Bytes(repeated.into()))
    }

    /// Returns the first half of the records; `None` if it would be too short to be kept between
    /// its pieces.
    pub(super) fn halved(&self) -> Option<Self> {
        let ends = self.ends();
        let half = *ends.get((ends.len() / 2).checked_sub(1)?)?;
        let least = match self {
            Self::Bytes(_) => LEAST_BYTES as u64,
            Self::Integers { .. } => LEAST_INTEGERS,
        };
        (half >= least).then(|| self.without(&(half..self.units()))).flatten()
    }

    /// True if a content is of the sample's units: the text of a smaller sample may be a range, or
    /// look compressed.
    pub(super) fn is_of(&self, units: Units) -> bool {
        let grain = match self {
            Self::Bytes(_) => Grain::Byte,
            Self::Integers { .. } => Grain::Integer,
        };
        units == Units { count: self.units(), grain }
    }

    /// Bytes of the content, as a leaf reads it.
    pub(super) fn content(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Integers { start, end } => format!("{{\"start\":{start},\"end\":{end}}}").into(),
        }
    }

    /// Ends of the records: of the lines, or of the integers.
    pub(super) fn ends(&self) -> Vec<u64> {
        match self {
            Self::Bytes(bytes) => {
                let mut ends: Vec<u64> =
                    (1..).zip(bytes.iter()).filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end).collect();
                if ends.last() != Some(&self.units()) {
                    ends.push(self.units());
                }
                ends
            }
            Self::Integers { .. } => (1..=self.units()).collect(),
        }
    }

    /// Runs of records, the longest first.
    pub(super) fn record_runs(&self) -> Vec<Range<u64>> {
        runs(&self.ends())
    }

    /// Runs of bytes of a content with few records, the longest first.
    pub(super) fn byte_runs(&self) -> Vec<Range<u64>> {
        let is_small = self.ends().len() <= FEW_RECORDS && matches!(self, Self::Bytes(_));
        if is_small { runs(&(1..=self.units()).collect::<Vec<_>>()) } else { Vec::new() }
    }

    /// Returns the content without a range of units; `None` if too little is left, or if it is no
    /// range of integers.
    pub(super) fn without(&self, range: &Range<u64>) -> Option<Self> {
        let left = self.units().checked_sub(range.end - range.start).filter(|left| *left > 1)?;
        Some(match self {
            Self::Bytes(bytes) => {
                let at = |unit: u64| usize::try_from(unit).unwrap_or(usize::MAX);
                let parts = [bytes.get(..at(range.start))?, bytes.get(at(range.end)..)?];
                Self::Bytes(parts.concat().into())
            }
            Self::Integers { start, .. } if range.end == self.units() => {
                Self::Integers { start: *start, end: start.checked_add_unsigned(left)? }
            }
            Self::Integers { end, .. } if range.start == 0 => {
                Self::Integers { start: end.checked_sub_unsigned(left)?, end: *end }
            }
            Self::Integers { .. } => return None,
        })
    }

    /// Formats a range of the content.
    pub(super) fn shown(&self, range: &Range<u64>) -> String {
        match self {
            Self::Bytes(bytes) => {
                let at = |unit: u64| usize::try_from(unit).unwrap_or(usize::MAX);
                let text = String::from_utf8_lossy(bytes.get(at(range.start)..at(range.end)).unwrap_or_default());
                let first: String = text.chars().take(MAX_SHOWN).collect();
                let more = if first.len() < text.len() { "…" } else { "" };
                format!("{first:?}{more}")
            }
            Self::Integers { .. } => format!("{} to before {}", self.place(range.start), self.place(range.end)),
        }
    }

    /// Formats the place of a unit.
    pub(super) fn place(&self, unit: u64) -> String {
        match self {
            Self::Bytes(_) => format!("byte {unit}"),
            Self::Integers { start, .. } => start.saturating_add_unsigned(unit).to_string(),
        }
    }
}

/// Runs of neighbours that end at `ends`: halves of all, then halves of these, down to one.
pub(super) fn runs(ends: &[u64]) -> Vec<Range<u64>> {
    let mut runs = Vec::new();
    let mut size = ends.len() / 2;
    while size > 0 {
        let chunks = (0..).step_by(size).zip(ends.chunks(size));
        runs.extend(chunks.filter_map(|(from, chunk): (usize, &[u64])| {
            let start = from.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
            Some(start..*chunk.last()?)
        }));
        size /= 2;
    }
    runs
}
