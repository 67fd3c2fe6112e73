//! The partition's content as a stream, pulled piece by piece instead of passed as a whole.
//!
//! A component that calls anything here imports `source`. Its partitions then have an empty `data`,
//! and may be larger than its memory. Natively the partition is empty, or that of
//! [`testing`](crate::testing).
//!
//! ```
//! # fn count() -> u64 {
//! let mut newlines = 0;
//! let mut reader = frond_plugin::source::reader();
//! while let Some(piece) = reader.next_piece() {
//!     newlines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
//! }
//! newlines
//! # }
//! # assert_eq!(count(), 0);
//! ```

use std::io::{self, BufRead, Read};

#[cfg(test)]
mod tests;

/// Size of a piece in bytes: 1 MiB, the size at which pulling is fastest.
pub const PIECE: u32 = 1 << 20;

/// Returns the partition's size in bytes.
pub fn size() -> u64 {
    #[cfg(target_family = "wasm")]
    return crate::bindings::leaf::frond::plugin::source::size();
    #[cfg(not(target_family = "wasm"))]
    crate::testing::size()
}

/// Reads at most `len` bytes from `offset`; fewer only at the end.
pub fn read(offset: u64, len: u32) -> Vec<u8> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::leaf::frond::plugin::source::read(offset, len);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::read(offset, len)
}

/// Returns a reader of the partition from its start, one [`PIECE`] at a time.
pub fn reader() -> Reader {
    Reader::new(read)
}

/// Reader of the partition, by pieces or as a [`std::io::BufRead`] whose buffer is a piece.
#[derive(Debug)]
pub struct Reader {
    pull: fn(u64, u32) -> Vec<u8>,
    offset: u64,
    piece: Vec<u8>,
    consumed: usize,
}

impl Reader {
    fn new(pull: fn(u64, u32) -> Vec<u8>) -> Self {
        Self { pull, offset: 0, piece: Vec::new(), consumed: 0 }
    }

    /// Returns the rest of the current piece, or else the next piece; `None` at the end. A piece
    /// has at least one byte.
    pub fn next_piece(&mut self) -> Option<&[u8]> {
        if self.rest().is_empty() {
            self.advance();
        }
        let start = std::mem::replace(&mut self.consumed, self.piece.len());
        self.piece.get(start..).filter(|rest| !rest.is_empty())
    }

    fn rest(&self) -> &[u8] {
        self.piece.get(self.consumed..).unwrap_or_default()
    }

    /// Pulls the next piece. It frees the old piece first, so that the allocator reuses its memory:
    /// pages that the guest has touched are several times faster to fill than fresh ones.
    fn advance(&mut self) {
        self.piece = Vec::new();
        self.piece = (self.pull)(self.offset, PIECE);
        self.offset += self.piece.len() as u64;
        self.consumed = 0;
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest().is_empty() {
            self.advance();
        }
        Ok(self.rest())
    }

    fn consume(&mut self, amount: usize) {
        self.consumed = self.piece.len().min(self.consumed + amount);
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.fill_buf()?.read(buffer)?;
        self.consume(amount);
        Ok(amount)
    }
}
