//! Readers of the content of the call's pieces.

use std::ops::Range;

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::Unit;
use super::taken::Taken;
use crate::{Encode, Failure, source};

/// Bytes that are read beyond a block, to complete its last record.
const STEP: u64 = 4 << 10;
/// Largest block of a [`Records`] or [`Chunks`], in bytes, without the end of its last record: with
/// it, one read.
pub(super) const BLOCK: u64 = source::PIECE as u64 - STEP;

/// Some of the content's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Offset of the first byte in the partition.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Block<'_> {
    /// Returns the offset after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// Reader of whole records, those that begin in the call's pieces.
#[derive(Debug)]
pub struct Records {
    delimiter: u8,
    taken: Taken,
    /// Content from `offset` on.
    pub(super) buffer: Vec<u8>,
    offset: u64,
    /// Begin of the next block; `None` before the first piece.
    begin: Option<u64>,
    /// The part of the latest piece from which no block was made.
    piece: Range<u64>,
    /// The part of the latest block, in the buffer, from which no record was returned.
    block: Range<usize>,
}

impl Records {
    pub(super) fn new(delimiter: u8) -> Self {
        let taken = Taken::new();
        Self { delimiter, taken, buffer: Vec::new(), offset: 0, begin: None, piece: 0..0, block: 0..0 }
    }

    /// Returns the next records as one block of bytes, with their delimiters. A block does not span
    /// two pieces.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        self.fill()?;
        self.take(self.block.end, 0)
    }

    /// Returns the next record, without its delimiter.
    pub fn next_record(&mut self) -> Option<Block<'_>> {
        self.fill()?;
        let found = memchr(self.delimiter, self.buffer.get(self.block.clone())?);
        match found.map(|at| self.block.start + at) {
            Some(end) => self.take(end, 1),
            None => self.take(self.block.end, 0),
        }
    }

    /// Hands over a partial of all records so far, if a piece ends here, and enough was processed
    /// since the last time. Call it after each block or record.
    ///
    /// # Errors
    /// Fails only if the partial cannot be encoded.
    pub fn keep<P: Encode>(&mut self, partial: impl FnOnce() -> P) -> Result<(), Failure> {
        if self.piece.is_empty() && self.block.is_empty() {
            return self.taken.keep(partial);
        }
        Ok(())
    }

    /// Returns the bytes of the current block up to `end` in the buffer, and drops `skipped` more.
    fn take(&mut self, end: usize, skipped: usize) -> Option<Block<'_>> {
        let start = std::mem::replace(&mut self.block.start, end + skipped);
        Some(Block { offset: self.offset + start as u64, bytes: self.buffer.get(start..end)? })
    }

    /// Makes the next block if nothing is left of the current one.
    fn fill(&mut self) -> Option<()> {
        if self.block.is_empty() {
            self.block = self.advance()?;
        }
        Some(())
    }

    /// Makes the next block, and returns its bounds in the buffer.
    fn advance(&mut self) -> Option<Range<usize>> {
        loop {
            while self.piece.is_empty() {
                self.piece = self.taken.next_bytes()?;
            }
            let begin = match (self.begin, self.piece.start) {
                (Some(begin), _) => begin,
                (None, 0) => 0,
                (None, start) => self.record_end(start - 1, start - 1),
            };
            self.begin = Some(begin);
            // The records that begin before this offset.
            let limit = self.piece.end.min(begin.saturating_add(BLOCK));
            if begin >= limit {
                self.piece.start = self.piece.end;
                continue;
            }
            let end = self.record_end(begin, limit - 1);
            self.begin = Some(end);
            self.piece.start = end.min(self.piece.end);
            let at = |position: u64| usize::try_from(position - self.offset).ok();
            // A content that is shorter than its pieces ends here.
            return (end > begin).then_some(at(begin)?..at(end)?);
        }
    }

    /// Returns the end of the record that has the byte at `at`, or else the end of the content. The
    /// buffer then holds the bytes from `begin` on.
    fn record_end(&mut self, begin: u64, at: u64) -> u64 {
        if begin < self.offset || at >= self.offset + self.buffer.len() as u64 {
            // Bytes of the old buffer are read again, which costs less than to move the new ones
            // behind them. The old buffer is freed first, so that the allocator reuses its memory.
            self.buffer = Vec::new();
            self.offset = begin;
            self.buffer = source::read(begin, length(at - begin + STEP));
        }
        let mut searched = at;
        loop {
            let from = usize::try_from(searched - self.offset).unwrap_or(usize::MAX);
            if let Some(found) = self.buffer.get(from..).and_then(|rest| memchr(self.delimiter, rest)) {
                return searched + found as u64 + 1;
            }
            let end = self.offset + self.buffer.len() as u64;
            searched = searched.max(end);
            // A record that is longer than usual. What is before `begin` is no longer needed.
            let done = usize::try_from(begin - self.offset).unwrap_or(usize::MAX);
            self.buffer.drain(..done.min(self.buffer.len()));
            self.offset = begin;
            let more = source::read(end, length(STEP.max(self.buffer.len() as u64)));
            if more.is_empty() {
                return end;
            }
            self.buffer.extend_from_slice(&more);
        }
    }
}

/// Returns the length of a read: at most a mebibyte.
fn length(wanted: u64) -> u32 {
    u32::try_from(wanted).unwrap_or(source::PIECE).min(source::PIECE)
}

/// Reader of the bytes of the call's pieces.
#[derive(Debug)]
pub struct Chunks {
    taken: Taken,
    piece: Range<u64>,
    bytes: Vec<u8>,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { taken: Taken::new(), piece: 0..0, bytes: Vec::new() }
    }

    /// Returns the next bytes.
    pub fn next_chunk(&mut self) -> Option<Block<'_>> {
        while self.piece.is_empty() {
            self.piece = self.taken.next_bytes()?;
        }
        let offset = self.piece.start;
        // Frees the old bytes first, so that the allocator reuses their memory.
        self.bytes = Vec::new();
        let len = (self.piece.end - offset).min(BLOCK);
        self.bytes = source::read(offset, u32::try_from(len).unwrap_or(source::PIECE));
        self.piece.start += self.bytes.len() as u64;
        if self.bytes.is_empty() {
            return None;
        }
        Some(Block { offset, bytes: &self.bytes })
    }

    /// Hands over a partial of all bytes so far, if a piece ends here, and enough was processed
    /// since the last time. Call it after each chunk.
    ///
    /// # Errors
    /// Fails only if the partial cannot be encoded.
    pub fn keep<P: Encode>(&mut self, partial: impl FnOnce() -> P) -> Result<(), Failure> {
        if self.piece.is_empty() { self.taken.keep(partial) } else { Ok(()) }
    }
}

/// Range of integers, as a `range` source writes it into the content of a partition.
#[derive(Deserialize, Serialize)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// Iterator over the integers of the call's pieces, a range for each piece.
#[derive(Debug)]
pub struct Integers {
    taken: Taken,
    /// First integer of the partition.
    start: i64,
}

impl Integers {
    pub(super) fn new() -> Result<Self, Failure> {
        let taken = Taken::new();
        if taken.unit() != Unit::Integers {
            return Err(Failure::InvalidPartition(
                "its pieces count bytes, not integers\n\
                 (use a `range` source, or write the partition exactly as `{\"start\":0,\"end\":10}`)"
                    .to_owned(),
            ));
        }
        let content = source::read(0, length(source::size()));
        let Span { start, end } = serde_json::from_slice(&content)
            .map_err(|error| Failure::InvalidPartition(format!("its range cannot be read: {error}")))?;
        if start > end {
            return Err(Failure::InvalidPartition(format!("the range {start}..{end} ends before it starts")));
        }
        Ok(Self { taken, start })
    }

    /// Hands over a partial of all integers so far, if enough were processed since the last time.
    /// Call it after each range.
    ///
    /// # Errors
    /// Fails only if the partial cannot be encoded.
    pub fn keep<P: Encode>(&mut self, partial: impl FnOnce() -> P) -> Result<(), Failure> {
        self.taken.keep(partial)
    }
}

impl Iterator for Integers {
    type Item = Range<i64>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.taken.next_integers()?;
        Some(self.start.wrapping_add_unsigned(piece.start)..self.start.wrapping_add_unsigned(piece.end))
    }
}
