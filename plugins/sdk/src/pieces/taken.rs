//! Pieces that a reader takes, and the rule by which it hands over partials between them.

use std::mem;
use std::ops::Range;

use super::{Unit, hand_over, next, unit};
use crate::{Encode, Failure, source};

/// Least number of pieces between two kept partials: about a twentieth of a second, or a mebibyte.
const LEAST_PIECES: u32 = 16;
/// Least number of processed bytes between two kept partials, for each byte of the last one: so the
/// partials that are kept stay a small part of the work, however large they grow.
const BYTES_PER_BYTE: u64 = 16;
/// Bytes that a piece of integers counts as: the least that a piece of bytes has.
const PIECE_BYTES: u64 = 64 << 10;

/// Pieces that a call has taken.
#[derive(Debug)]
pub(super) struct Taken {
    unit: Unit,
    is_begun: bool,
    /// Number of pieces since the latest kept partial.
    pieces: u32,
    /// Number of bytes in these pieces.
    bytes: u64,
    /// Size of the latest kept partial.
    kept: u64,
}

impl Taken {
    pub(super) fn new() -> Self {
        Self { unit: unit(), is_begun: false, pieces: 0, bytes: 0, kept: 0 }
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// Takes the next piece, in bytes of the content; it may be empty. If pieces count integers,
    /// the whole content belongs to the first integer. A range without integers has one piece.
    pub(super) fn next_bytes(&mut self) -> Option<Range<u64>> {
        let is_first = !mem::replace(&mut self.is_begun, true);
        let piece = match (self.unit, next()) {
            (Unit::Bytes, piece) => piece?,
            (Unit::Integers, None) if !is_first => return None,
            (Unit::Integers, None | Some(Range { start: 0, .. })) => 0..source::size(),
            (Unit::Integers, Some(_)) => 0..0,
        };
        self.add(piece.end - piece.start);
        Some(piece)
    }

    /// Takes the next piece of integers.
    pub(super) fn next_integers(&mut self) -> Option<Range<u64>> {
        let piece = next()?;
        self.add(PIECE_BYTES);
        Some(piece)
    }

    fn add(&mut self, bytes: u64) {
        self.pieces += 1;
        self.bytes += bytes;
    }

    /// Hands over a partial of all pieces so far, if they are worth it.
    pub(super) fn keep<P: Encode>(&mut self, partial: impl FnOnce() -> P) -> Result<(), Failure> {
        if self.pieces < LEAST_PIECES || self.bytes < self.kept.saturating_mul(BYTES_PER_BYTE) {
            return Ok(());
        }
        let partial = crate::call::encoded("the kept partial", partial())?;
        hand_over(&partial);
        self.pieces = 0;
        self.bytes = 0;
        self.kept = partial.len() as u64;
        Ok(())
    }
}
