//! Sizes of values and of statements.

use crate::store::{Locator, PartitionPlan, StoreError, StoreResult};

#[cfg(test)]
mod tests;

/// Largest query, partial, piece of a plan, or answer, in bytes: 256 MiB.
pub const MAX_BYTES: u64 = 256 << 20;

const _: () = assert!(MAX_BYTES < 1 << 30, "a message to the server has at most 1 GiB");

/// Most rows, and approximately most bytes, of one statement.
const CHUNK: (usize, usize) = (10_000, 32 << 20);

/// Refuses a value that is too large for a row.
pub(super) fn fits(what: &'static str, size: usize) -> StoreResult<()> {
    match size as u64 {
        size if size > MAX_BYTES => Err(StoreError::TooLarge { what, size, limit: MAX_BYTES }),
        _ => Ok(()),
    }
}

/// Splits `all` into chunks for one statement each. An oversized element goes alone.
pub(super) fn chunks<T>(all: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = all;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = |(count, one): &(usize, &T)| {
            bytes = bytes.saturating_add(size(one));
            *count == 0 || (*count < CHUNK.0 && bytes <= CHUNK.1)
        };
        let count = rest.iter().enumerate().take_while(fits).count();
        let (chunk, left) = rest.split_at_checked(count)?;
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Bytes of a partition's content in a plan.
pub(super) fn size_of(partition: &PartitionPlan) -> usize {
    match &partition.place {
        Locator::Inline(bytes) => bytes.len(),
        Locator::Elsewhere(text) => text.len(),
    }
}
