//! The partition, taken piece by piece: the host may then give the rest of a long partition to idle
//! slots, and a leaf that is cut off leaves what it has done.
//!
//! A component that calls anything here imports `pieces`. The readers [`lines`], [`records`],
//! [`chunks`] and [`integers`] read the content through [`source`](crate::source), so that the
//! partition's `data` is empty. A record belongs to the piece in which it begins. Natively,
//! [`testing`](crate::testing) gives the pieces.
//!
//! ```
//! use frond_plugin::{Failure, pieces};
//!
//! fn count(byte: u8) -> Result<u64, Failure> {
//!     let mut found = 0;
//!     let mut lines = pieces::lines();
//!     while let Some(block) = lines.next_block() {
//!         found += block.bytes.iter().filter(|other| **other == byte).count() as u64;
//!         lines.keep(|| found)?;
//!     }
//!     Ok(found)
//! }
//! # assert_eq!(frond_plugin::testing::partition(b"a\nb\na\n", 2, || count(b'a')).unwrap(), 2);
//! ```

use std::ops::Range;

use crate::{Encode, Failure};

mod readers;
mod taken;
#[cfg(test)]
mod tests;

#[cfg(not(target_family = "wasm"))]
pub(crate) use readers::Span;
pub use readers::{Block, Chunks, Integers, Records};

/// Unit that the pieces of a partition count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of the content.
    #[default]
    Bytes,
    /// Integers of a range, from the partition's first, which is 0. The content is exactly
    /// `{"start":a,"end":b}`.
    Integers,
}

/// Returns the unit of this partition's pieces.
pub fn unit() -> Unit {
    #[cfg(target_family = "wasm")]
    return match crate::bindings::leaf::frond::plugin::pieces::unit() {
        crate::bindings::leaf::frond::plugin::pieces::PieceUnit::Bytes => Unit::Bytes,
        crate::bindings::leaf::frond::plugin::pieces::PieceUnit::Integers => Unit::Integers,
    };
    #[cfg(not(target_family = "wasm"))]
    crate::testing::unit()
}

/// Returns the next piece to process: [units](unit()) from its start to before its end. `None`:
/// return the partial of all pieces so far.
pub fn next() -> Option<Range<u64>> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::leaf::frond::plugin::pieces::next().map(|piece| piece.begin..piece.end);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::next()
}

/// Hands over a partial of exactly the pieces so far. If the leaf is cut off later, the partial
/// counts, and only the rest is run again.
///
/// # Errors
/// Fails only if the partial cannot be encoded.
pub fn keep(partial: impl Encode) -> Result<(), Failure> {
    hand_over(&crate::call::encoded("the kept partial", partial)?);
    Ok(())
}

fn hand_over(partial: &[u8]) {
    #[cfg(target_family = "wasm")]
    crate::bindings::leaf::frond::plugin::pieces::keep(partial);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::keep(partial);
}

/// Tells that the rest is not needed for the answer: it counts as skipped, and [`next`] returns
/// `None`. Call it before you leave a reader's loop early: without it, the piece in hand counts as
/// processed to its end.
pub fn skip_rest() {
    #[cfg(target_family = "wasm")]
    crate::bindings::leaf::frond::plugin::pieces::skip_rest();
    #[cfg(not(target_family = "wasm"))]
    crate::testing::skip_rest();
}

/// Returns the lines that begin in the call's pieces.
pub fn lines() -> Records {
    records(b'\n')
}

/// Returns the records that begin in the call's pieces. The `delimiter` ends each of them; the last
/// one of the content may lack it.
pub fn records(delimiter: u8) -> Records {
    Records::new(delimiter)
}

/// Returns the bytes of the call's pieces, for content without records.
pub fn chunks() -> Chunks {
    Chunks::new()
}

/// Returns the integers of the call's pieces, for partitions of a `range` source.
///
/// # Errors
/// [`Failure::InvalidPartition`] if the pieces count bytes, or if the range ends before it starts.
pub fn integers() -> Result<Integers, Failure> {
    Integers::new()
}
