//! A range of whole numbers, cut into pieces of a step. Each partition's content is the JSON
//! `{"start":a,"end":b}`; leaves that take it piece by piece count its integers.

use std::ops::Range;

use frond_root::Partition;

use super::check::{few_enough, split_hint};
use super::integers::Integers;
use crate::error::{AppError, Origin};

#[cfg(test)]
mod tests;

/// Automatic pieces per slot. More than [`super::PIECES_PER_SLOT`]: a piece of a range costs
/// nothing to make or hold, and the work per number is often uneven.
pub const STEPS_PER_SLOT: u64 = 16;

/// Automatic step for a range of `length` numbers: about [`STEPS_PER_SLOT`] pieces per slot. At
/// least 1.
#[must_use]
pub fn auto_step(length: u64, slots: usize) -> u64 {
    length.div_ceil(STEPS_PER_SLOT.saturating_mul(slots.max(1) as u64)).max(1)
}

/// Cuts a range into pieces of `step` numbers; the last may be shorter. The key of a piece is
/// `a..b`, its weight the count of its numbers. There may be at most `most` pieces.
pub(super) fn partitions(
    range: Range<i64>,
    step: Option<u64>,
    (slots, most): (usize, usize),
    origin: &Origin,
) -> Result<Vec<Partition>, AppError> {
    // At most 2^64 − 1, even for the whole range of `i64`, so nothing below overflows.
    let length = range.end.abs_diff(range.start);
    let step = step.unwrap_or_else(|| auto_step(length, slots)).max(1);
    let count = length.div_ceil(step);
    few_enough(usize::try_from(count).unwrap_or(usize::MAX), most).map_err(|error| {
        let complaint = split_hint(&error);
        origin.refuse(complaint.text, "raise source.step, or leave it out")
    })?;
    let piece = |index: u64| {
        let from = index * step;
        let len = step.min(length - from);
        let start = range.start.saturating_add_unsigned(from);
        let end = start.saturating_add_unsigned(len);
        Partition::new(format!("{start}..{end}"), Integers::new(start, end)).weighing(len)
    };
    Ok((0..count).map(piece).collect())
}
