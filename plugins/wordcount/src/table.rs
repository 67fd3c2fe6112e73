//! In-memory table of word counts. Words of up to 16 bytes are stored as heads. Longer words are
//! byte strings, copied at their first occurrence.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::counts::{Counts, Entry, Writer};
use crate::head::Head;

#[cfg(test)]
mod tests;

/// Slot of the table: a word and its count.
#[derive(Clone, Copy, Default)]
struct Slot {
    word: Head,
    /// 0 in an empty slot.
    count: u64,
}

/// Counts of words. Short words are in a hash table with open addressing and linear probing, at
/// most half full; longer words are in a map.
pub struct Table {
    slots: Vec<Slot>,
    used: usize,
    /// Shift that leaves a hash's highest bits, as many as a slot's index has.
    shift: u32,
    long: HashMap<Box<[u8]>, u64, FixedState>,
}

impl Table {
    /// Makes an empty table for a text of `bytes` bytes: large enough to grow rarely, small enough
    /// to be cleared quickly.
    pub fn for_text(bytes: usize) -> Self {
        Self::with_slots((bytes / 32).clamp(64, 8192).next_power_of_two())
    }

    fn with_slots(slots: usize) -> Self {
        let shift = 64 - slots.trailing_zeros();
        Self { slots: vec![Slot::default(); slots], used: 0, shift, long: HashMap::default() }
    }

    /// Counts one occurrence of a word of at most 16 bytes.
    #[inline(always)]
    pub fn add(&mut self, word: Head) {
        let slot = self.slot(word);
        slot.count += 1;
        if slot.count == 1 {
            slot.word = word;
            self.used += 1;
            if self.used * 2 > self.slots.len() {
                self.grow();
            }
        }
    }

    /// Counts one occurrence of a word of any length.
    pub fn add_bytes(&mut self, word: &[u8]) {
        if word.len() <= 16 {
            self.add(Head::of(word, word.len()));
        } else if let Some(count) = self.long.get_mut(word) {
            *count += 1;
        } else {
            self.long.insert(word.into(), 1);
        }
    }

    /// Returns the word's slot, or the empty slot where it belongs. There always is an empty slot,
    /// as half of them are empty.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the mask keeps the index below the power of two that is the length")]
    fn slot(&mut self, word: Head) -> &mut Slot {
        let mask = self.slots.len() - 1;
        let mut at = (word.hash() >> self.shift) as usize & mask;
        while self.slots[at].word != word && self.slots[at].count != 0 {
            at = (at + 1) & mask;
        }
        &mut self.slots[at]
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::with_slots(self.slots.len() * 2);
        for slot in self.slots.iter().filter(|slot| slot.count > 0) {
            *larger.slot(slot.word) = *slot;
        }
        self.slots = larger.slots;
        self.shift = larger.shift;
    }

    /// Encodes the counts, sorted by word.
    pub fn into_counts(self) -> Counts {
        let mut short: Vec<_> = self.slots.into_iter().filter(|slot| slot.count > 0).collect();
        short.sort_unstable_by_key(|slot| slot.word);
        encode(short.into_iter(), &self.long)
    }

    /// Encodes the counts so far, sorted by word. Besides the counts it takes little memory: less
    /// than the table has taken while it grew.
    pub fn to_counts(&self) -> Counts {
        let slot = |at: &u32| self.slots.get(*at as usize).copied().unwrap_or_default();
        let mut short = Vec::with_capacity(self.used);
        short.extend((0..).zip(&self.slots).filter(|(_, slot)| slot.count > 0).map(|(at, _)| at));
        short.sort_unstable_by_key(|at| slot(at).word);
        encode(short.iter().map(slot), &self.long)
    }
}

/// Encodes counts: of short words, sorted, and of long ones.
fn encode(short: impl ExactSizeIterator<Item = Slot>, long: &HashMap<Box<[u8]>, u64, FixedState>) -> Counts {
    let mut long: Vec<_> = long.iter().map(|(word, count)| Entry::new(word, *count)).collect();
    long.sort_unstable_by(Entry::cmp_word);
    let mut counts = Writer::with_capacity(short.len() * 12 + long.len() * 32);
    let mut long = long.into_iter().peekable();
    for Slot { word, count } in short {
        let bytes = word.to_bytes();
        let entry = Entry::new(bytes.get(..word.length()).unwrap_or_default(), count);
        while let Some(before) = long.next_if(|one| one.cmp_word(&entry).is_lt()) {
            counts.push(before);
        }
        counts.push(entry);
    }
    long.for_each(|entry| counts.push(entry));
    counts.finish()
}
