//! Scanner for the words of text, eight bytes at a time.
//!
//! Most words are short and ASCII: such a word is classified, lower-cased and cut out in a machine
//! word (SWAR), without a loop over its bytes and so without a mispredicted branch at its end.
//! Other words are scanned character by character.

use crate::counts::Counts;
use crate::head::{Head, gather};
use crate::table::Table;

#[cfg(test)]
mod tests;

/// Counts the words of `text`.
pub fn count(text: &[u8]) -> Counts {
    let mut table = Table::for_text(text.len());
    count_into(text, &mut table);
    table.into_counts()
}

/// Counts the words of `text` in addition to those that are counted already.
pub fn count_into(text: &[u8], table: &mut Table) {
    let mut scratch = Vec::new();
    let mut at = 0;
    while at < text.len() {
        at = match ascii_step(text, at, table) {
            Some(next) => next,
            None => character_step(text, at, table, &mut scratch),
        };
    }
}

/// Skips separators, or counts one word of fewer than 16 ASCII characters, and returns the offset
/// after it. `None` if there is neither at `at`.
#[inline(always)]
fn ascii_step(text: &[u8], at: usize, table: &mut Table) -> Option<usize> {
    let first = Eight::load(text, at);
    let length = first.word_length();
    if length == 0 {
        let separators = first.separators();
        return (separators > 0).then_some(at + separators);
    }
    if length < 8 {
        // The next byte is an ASCII separator, which is skipped with the word, or the start of a
        // character beyond ASCII, which may belong to the word.
        if !first.ends_at(length) {
            return None;
        }
        table.add(Head::new(first.prefix(length), 0));
        return Some(at + length + 1);
    }
    let second = Eight::load(text, at + 8);
    let more = second.word_length();
    if more == 8 || !second.ends_at(more) {
        return None;
    }
    table.add(Head::new(first.lower, second.prefix(more)));
    Some(at + 8 + more + 1)
}

/// Counts the word at `at`, of any characters, if there is one. Returns the offset after the word
/// and its separator.
#[inline(never)]
fn character_step(text: &[u8], mut at: usize, table: &mut Table, word: &mut Vec<u8>) -> usize {
    word.clear();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (character, size) = bstr::decode_utf8(rest);
        at += size;
        match character {
            Some(letter) if letter.is_alphanumeric() => push_lower(letter, word),
            _ => break,
        }
    }
    if !word.is_empty() {
        table.add_bytes(word);
    }
    at
}

fn push_lower(letter: char, word: &mut Vec<u8>) {
    if letter.is_ascii() {
        word.push(letter.to_ascii_lowercase() as u8);
        return;
    }
    for lower in letter.to_lowercase() {
        word.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The highest bit of each of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Eight bytes of text, the first in the lowest bits.
#[derive(Clone, Copy)]
struct Eight {
    /// The bytes, with ASCII letters in lower case.
    lower: u64,
    /// `HIGH`, where the byte is an ASCII letter or digit.
    alphanumeric: u64,
    /// `HIGH`, where the byte is not ASCII.
    beyond: u64,
}

impl Eight {
    /// Loads the bytes from `at`. Past the end of the text they are zero, which is a separator.
    #[inline(always)]
    fn load(text: &[u8], at: usize) -> Self {
        let rest = text.get(at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(bytes) => Self::new(u64::from_le_bytes(*bytes)),
            None => Self::new(gather(rest)),
        }
    }

    /// Classifies eight bytes. A byte is compared with a range by adding the constant that lifts
    /// the range's first byte to 0x80. The highest bits are masked, so bytes cannot carry into each
    /// other.
    #[inline(always)]
    fn new(bytes: u64) -> Self {
        let beyond = bytes & HIGH;
        let ascii = bytes & !HIGH;
        let folded = ascii | each(0x20);
        let letter = (folded + each(0x80 - b'a')) & !(folded + each(0x7f - b'z')) & HIGH & !beyond;
        let digit = (ascii + each(0x80 - b'0')) & !(ascii + each(0x7f - b'9')) & HIGH & !beyond;
        Self { lower: bytes | letter >> 2, alphanumeric: letter | digit, beyond }
    }

    /// Returns the number of leading letters and digits, 0 to 8.
    #[inline(always)]
    fn word_length(self) -> usize {
        (!self.alphanumeric & HIGH).trailing_zeros() as usize / 8
    }

    /// Returns the number of leading ASCII separators, 0 to 8.
    #[inline(always)]
    fn separators(self) -> usize {
        (self.alphanumeric | self.beyond).trailing_zeros() as usize / 8
    }

    /// Tests whether the byte after the first `length` < 8 is ASCII.
    #[inline(always)]
    fn ends_at(self, length: usize) -> bool {
        self.beyond >> (8 * length) & 0x80 == 0
    }

    /// Returns the first `length` < 8 bytes in lower case, and zeros.
    #[inline(always)]
    fn prefix(self, length: usize) -> u64 {
        self.lower & ((1 << (8 * length)) - 1)
    }
}

const fn each(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}
