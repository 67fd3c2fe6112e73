//! Read-ahead: a content that is read in order is asked for before the leaf wants it, so that a
//! read need not wait for a round trip to the root. Decisions alone: this does not read.
//!
//! As in a kernel's read-ahead, the window begins small and grows with what was read in order. So
//! what is read and never wanted is at most as much as what the leaf itself has read in order.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::frames::MAX_PULL;

/// The most bytes of one block that is read ahead.
const BLOCK: u64 = 256 << 10;
/// The most bytes that are read ahead of one content.
const MOST_AHEAD: u64 = 2 << 20;
/// The most bytes of the last read that are kept: a leaf that looks for the end of a record begins
/// its next read there.
const TAIL: usize = 16 << 10;

/// Reads of one content in the past, and blocks that are asked for. `T` is the answer of a block.
#[derive(Debug)]
pub(super) struct ReadAhead<T> {
    /// Byte after the last one that was read; `None` before the first read.
    last: Option<u64>,
    /// The bytes before it.
    tail: Bytes,
    /// Bytes that were read in order.
    streak: u64,
    /// Blocks without gaps between them.
    blocks: VecDeque<(Range<u64>, T)>,
}

/// Source of the next bytes of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// The bytes, of the last read.
    Tail(Bytes),
    /// A block with its range.
    Block(Range<u64>, T),
}

impl<T> Default for ReadAhead<T> {
    fn default() -> Self {
        Self { last: None, tail: Bytes::new(), streak: 0, blocks: VecDeque::new() }
    }
}

impl<T: Clone> ReadAhead<T> {
    /// Begins a read of a range that is not empty.
    pub(super) fn begin(&mut self, range: &Range<u64>) {
        let follows = |last: u64| last.checked_sub(range.start).is_some_and(|back| back <= self.tail.len() as u64);
        match self.last.filter(|last| follows(*last)) {
            Some(last) => self.streak += range.end.saturating_sub(last),
            None => *self = Self::default(),
        }
    }

    /// Next bytes of a read that has come to `at`. Asks for blocks up to `limit` if that is due:
    /// the one with `at` if there is none, and further ones as long as `ask_ahead` returns any.
    pub(super) fn next(
        &mut self,
        at: u64,
        end: u64,
        limit: u64,
        ask: impl FnOnce(Range<u64>) -> T,
        ask_ahead: impl Fn(Range<u64>) -> Option<T>,
    ) -> Next<T> {
        if let Some(bytes) = self.in_tail(at) {
            return Next::Tail(bytes);
        }
        self.blocks.retain(|(range, _)| range.end > at);
        let (range, block) = match self.blocks.front().filter(|(range, _)| range.start <= at) {
            Some(first) => first.clone(),
            None => {
                let range = at..end.min(at.saturating_add(MAX_PULL));
                let block = ask(range.clone());
                self.blocks.clear();
                self.blocks.push_back((range.clone(), block.clone()));
                (range, block)
            }
        };
        self.extend(at, end, limit, ask_ahead);
        Next::Block(range, block)
    }

    /// The kept bytes of the last read from `at` on.
    fn in_tail(&self, at: u64) -> Option<Bytes> {
        let back = usize::try_from(self.last?.checked_sub(at)?).ok()?;
        let from = self.tail.len().checked_sub(back)?;
        Some(self.tail.slice(from..)).filter(|bytes| !bytes.is_empty())
    }

    /// Asks for further blocks: what the read needs, and a window behind it.
    fn extend(&mut self, at: u64, end: u64, limit: u64, ask_ahead: impl Fn(Range<u64>) -> Option<T>) {
        let window = self.streak.min(MOST_AHEAD);
        let target = end.saturating_add(window).min(limit.max(end)).min(at.saturating_add(MOST_AHEAD));
        while let Some(back) = self.blocks.back().map(|(range, _)| range.end).filter(|back| *back < target) {
            let is_wanted = back < end;
            let len = if is_wanted { end.min(target) - back } else { (target - back).min(BLOCK) }.min(MAX_PULL);
            // Few large blocks instead of many small ones.
            let is_due = is_wanted || target == limit || len >= BLOCK.min(window / 2);
            let Some(block) = is_due.then(|| ask_ahead(back..back + len)).flatten() else { return };
            self.blocks.push_back((back..back + len, block));
        }
    }

    /// Ends a read that has come to `end`, with these bytes last.
    pub(super) fn end(&mut self, end: u64, bytes: &[u8]) {
        if self.last.is_some_and(|last| last > end) {
            return;
        }
        self.last = Some(end);
        self.tail = Bytes::copy_from_slice(bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default());
        self.blocks.retain(|(range, _)| range.end > end);
    }

    /// Forgets everything, after a failure.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
