//! The partial: words with their counts, encoded as bytes that merge in one pass.
//!
//! Each entry is the word's length, its bytes, and its count. Lengths and counts are little-endian
//! base 128 (LEB128). The entries are sorted by word, and each word occurs once. So two partials
//! merge from front to back, and equal counts are equal bytes.
//!
//! The order is not alphabetical, but the cheapest one to compare: by [`Head`], then by bytes. A
//! partial's order is checked while it is read, so that nothing is read twice.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use frond_plugin::{Decode, Encode};

use crate::head::Head;

#[cfg(test)]
mod tests;

/// Words with their counts, sorted by word and without repetition. It is a monoid under
/// [`Counts::merge`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    bytes: Vec<u8>,
}

impl Counts {
    /// Iterates over the words and their counts.
    pub fn entries(&self) -> Entries<'_> {
        Entries { rest: &self.bytes }
    }

    /// Calls `take` with each entry.
    ///
    /// # Errors
    /// Says why the bytes are not a valid partial. By then `take` may have been called.
    pub fn read<'a>(&'a self, mut take: impl FnMut(Entry<'a>)) -> Result<(), String> {
        let mut entries = self.entries();
        let mut order = InOrder::default();
        for entry in &mut entries {
            order.see(entry);
            take(entry);
        }
        order.kept()?;
        entries.end()
    }

    /// Adds up counts. It merges the two smallest parts until one is left, which copies the fewest
    /// bytes (Huffman 1952).
    ///
    /// # Errors
    /// Says why one of `parts` is not a valid partial.
    pub fn merge(parts: Vec<Self>) -> Result<Self, String> {
        let mut by_size: BinaryHeap<_> = parts.into_iter().map(BySize).collect();
        while let (Some(BySize(left)), right) = (by_size.pop(), by_size.pop()) {
            match right {
                Some(BySize(right)) => by_size.push(BySize(left.merge_two(right)?)),
                None => return Ok(left),
            }
        }
        Ok(Self::default())
    }

    fn merge_two(self, other: Self) -> Result<Self, String> {
        if self.bytes.is_empty() {
            return Ok(other);
        }
        if other.bytes.is_empty() {
            return Ok(self);
        }
        let mut merged = Writer::with_capacity(self.bytes.len() + other.bytes.len());
        let mut order = InOrder::default();
        let mut put = |entry| {
            order.see(entry);
            merged.push(entry);
        };
        let mut lefts = self.entries();
        let mut rights = other.entries();
        let mut left = lefts.next();
        let mut right = rights.next();
        while let (Some(a), Some(b)) = (left, right) {
            let next = a.cmp_word(&b);
            put(match next {
                Ordering::Less => a,
                Ordering::Greater => b,
                Ordering::Equal => Entry { count: a.count.saturating_add(b.count), ..a },
            });
            if next.is_le() {
                left = lefts.next();
            }
            if next.is_ge() {
                right = rights.next();
            }
        }
        let rest = left.into_iter().chain(&mut lefts).chain(right).chain(&mut rights);
        rest.for_each(put);
        // If the words of either part are out of order, so are the merged words.
        order.kept()?;
        lefts.end()?;
        rights.end()?;
        Ok(merged.finish())
    }
}

/// Checker of the strict order of words.
struct InOrder<'a> {
    last: Entry<'a>,
    kept: bool,
}

impl Default for InOrder<'_> {
    fn default() -> Self {
        Self { last: Entry::new(b"", 0), kept: true }
    }
}

impl<'a> InOrder<'a> {
    #[inline]
    fn see(&mut self, entry: Entry<'a>) {
        self.kept &= self.last.cmp_word(&entry).is_lt();
        self.last = entry;
    }

    fn kept(&self) -> Result<(), String> {
        if self.kept { Ok(()) } else { Err("its words are out of order".to_owned()) }
    }
}

/// Counts in reversed order of size, for a heap that pops the smallest.
struct BySize(Counts);

impl BySize {
    fn key(&self) -> Reverse<usize> {
        Reverse(self.0.bytes.len())
    }
}

impl Ord for BySize {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for BySize {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for BySize {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for BySize {}

/// A word and its count.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The word's bytes.
    pub word: &'a [u8],
    /// The word's number of occurrences.
    pub count: u64,
    /// The first 16 bytes, which suffice for most comparisons and copies.
    head: Head,
}

impl<'a> Entry<'a> {
    /// Makes an entry.
    pub fn new(word: &'a [u8], count: u64) -> Self {
        Self { word, count, head: Head::of(word, word.len()) }
    }

    /// Compares two entries by word, in the order of a partial.
    #[inline]
    pub fn cmp_word(&self, other: &Self) -> Ordering {
        let order = self.head.cmp(&other.head);
        if order.is_eq() && self.word.len().max(other.word.len()) > 16 {
            return self.word.cmp(other.word);
        }
        order
    }
}

impl Decode for Counts {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        Ok(Self { bytes })
    }
}

impl Encode for Counts {
    fn encode(self) -> Result<Vec<u8>, String> {
        Ok(self.bytes)
    }
}

/// Iterator over entries. It ends at the first bytes that are not a whole entry.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl Entries<'_> {
    /// Checks that all bytes were read.
    fn end(self) -> Result<(), String> {
        match self.rest {
            [] => Ok(()),
            rest => Err(format!("no whole entry {} bytes before the end", rest.len())),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (length, from_word) = integer(self.rest)?;
        let (word, rest) = from_word.split_at_checked(usize::try_from(length).ok()?)?;
        let (count, rest) = integer(rest)?;
        self.rest = rest;
        Some(Entry { word, count, head: Head::of(from_word, word.len()) })
    }
}

/// Decodes the LEB128 integer at the start of `bytes`. Returns it and the remaining bytes; `None`
/// if there is no whole one of at most 64 bits.
#[inline]
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((u64::from(*first), rest));
    }
    let mut value = 0;
    let mut rest = bytes;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        rest = after;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// Encoder of entries. The caller must write them in order.
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Makes a writer with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Writes the next entry. Its word must be greater than the previous one.
    #[inline]
    pub fn push(&mut self, entry: Entry<'_>) {
        self.integer(entry.word.len() as u64);
        if entry.word.len() > 16 {
            self.bytes.extend_from_slice(entry.word);
        } else {
            self.bytes.extend_from_slice(&entry.head.to_bytes());
            self.bytes.truncate(self.bytes.len() - 16 + entry.word.len());
        }
        self.integer(entry.count);
    }

    #[inline]
    fn integer(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Returns the written counts.
    pub fn finish(self) -> Counts {
        Counts { bytes: self.bytes }
    }
}
