//! Cutting of content into pieces of a given size, anywhere or after line feeds. All I/O goes
//! through a `read` function.

use std::io;

use super::pieces::{CutMode, PieceSize};

#[cfg(test)]
mod tests;

/// Automatic pieces per slot. With 8, the last piece to end leaves the other slots idle for at most
/// an eighth of the time that they worked.
pub const PIECES_PER_SLOT: u64 = 8;

/// Smallest automatic piece, in bytes. At 1 GB/s a leaf is busy with it for 20 times the 10 to 15
/// µs that starting it costs.
pub const MIN_PIECE: u64 = 256 << 10;

/// Largest automatic piece, in bytes. A larger one would not be cheaper per byte, but a late or
/// lost piece would cost more.
pub const MAX_PIECE: u64 = 8 << 20;

/// Bytes per read when looking for a line feed: longer than nearly all lines, and one read from the
/// page cache.
const BLOCK: u64 = 16 << 10;

/// Automatic size of pieces: `total / (slots × 8)` bytes, at least [`MIN_PIECE`], at most
/// [`MAX_PIECE`], and never above `limit`. At least 1.
#[must_use]
pub fn auto_piece(total: u64, slots: usize, limit: u64) -> u64 {
    let pieces = PIECES_PER_SLOT.saturating_mul(slots.max(1) as u64);
    total.div_ceil(pieces).max(MIN_PIECE).min(MAX_PIECE.min(limit)).max(1)
}

/// Rules for cutting content into pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutting {
    pub(super) piece: PieceSize,
    pub(super) mode: CutMode,
    pub(super) slots: usize,
    /// Largest partition, in bytes.
    pub(super) limit: u64,
    /// True if the leaf reads its partition itself.
    pub(super) pulls: bool,
}

/// Position of a piece in some content, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Reason why content could not be cut.
#[derive(Debug)]
pub(super) enum CutError {
    /// The line at this offset is longer than a partition may be.
    LongLine(u64),
    /// Reading failed.
    Read(io::Error),
}

impl Cutting {
    /// Size of pieces for `total` bytes, at least 1 and at most the limit.
    pub(super) fn piece_for(&self, total: u64) -> u64 {
        match self.piece {
            _ if self.mode == CutMode::None => self.limit.max(1),
            PieceSize::Auto => auto_piece(total, self.slots, self.limit),
            PieceSize::Bytes(bytes) => bytes.min(self.limit).max(1),
        }
    }

    /// Cuts `size` bytes into spans of at most `piece` bytes, of even size as far as line ends
    /// allow. `read` fills a buffer from an offset. The spans are adjacent and cover all bytes.
    pub(super) fn spans(
        &self,
        size: u64,
        piece: u64,
        read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<Vec<Span>, CutError> {
        let mut lines = Lines { read, block: Vec::new() };
        let mut spans = Vec::new();
        let mut offset = 0;
        while offset < size {
            let left = size - offset;
            let even = left.div_ceil(left.div_ceil(piece));
            let len = match self.mode {
                _ if left <= piece => left,
                CutMode::Bytes | CutMode::None => even,
                CutMode::Lines => lines.cut(offset, even, left, self.limit)?,
            };
            spans.push(Span { offset, len });
            offset += len;
        }
        Ok(spans)
    }
}

/// Finds line feeds near a desired cut, a block at a time.
struct Lines<R> {
    read: R,
    block: Vec<u8>,
}

impl<R: FnMut(u64, &mut [u8]) -> io::Result<()>> Lines<R> {
    /// Returns the length of a piece from `offset`: up to the last line end within `wanted` bytes,
    /// or else up to the first line end after them. `left` bytes remain.
    fn cut(&mut self, offset: u64, wanted: u64, left: u64, limit: u64) -> Result<u64, CutError> {
        let mut end = wanted;
        while end > 0 {
            let start = end.saturating_sub(BLOCK);
            let block = self.block(offset + start, end - start)?;
            if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
                return Ok(start + at as u64 + 1);
            }
            end = start;
        }
        let most = left.min(limit);
        let mut start = wanted;
        while start < most {
            let block = self.block(offset + start, BLOCK.min(most - start))?;
            if let Some(at) = block.iter().position(|byte| *byte == b'\n') {
                return Ok(start + at as u64 + 1);
            }
            start += block.len() as u64;
        }
        if left <= limit { Ok(left) } else { Err(CutError::LongLine(offset)) }
    }

    fn block(&mut self, offset: u64, len: u64) -> Result<&[u8], CutError> {
        // `len` is at most `BLOCK`.
        self.block.resize(usize::try_from(len).unwrap_or_default(), 0);
        (self.read)(offset, &mut self.block).map_err(CutError::Read)?;
        Ok(&self.block)
    }
}
