//! Word count: a leaf and its merge in one component.
//!
//! A word is a maximal run of characters that are alphanumeric by Unicode's definition, each
//! lower-cased separately. Everything else separates words: spaces, punctuation (so `don't` is two
//! words), combining marks, and every byte that is not part of valid UTF-8. The source must cut
//! between words, for example at line ends, as the leaf does when its partition is cut.
//!
//! Query: `{"top": 10}`, where `top` is the number of words to list (10 if it is missing).
//!
//! Answer: `{"words": [{"word": "the", "count": 12}, …], "total": 345, "distinct": 67}`, the most
//! frequent words first, equally frequent ones by their bytes.
//!
//! [`scan`] finds words, [`table`] counts them in memory, [`counts`] encodes and merges partials.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use frond_plugin::{Coverage, Failure, Partition, pieces, source};
use serde::{Deserialize, Serialize};

pub mod counts;
pub mod head;
pub mod scan;
pub mod table;

pub use counts::Counts;

use table::Table;

#[cfg(test)]
mod tests;

/// Query of a client.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Maximum number of words to list.
    #[serde(default = "default_top")]
    pub top: usize,
}

fn default_top() -> usize {
    10
}

/// Answer to a client.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The most frequent words, first by count, then by their bytes.
    pub words: Vec<Word>,
    /// Number of words in the text.
    pub total: u64,
    /// Number of distinct words.
    pub distinct: u64,
}

/// One word of an answer.
#[derive(Debug, Serialize)]
pub struct Word {
    /// The word, in lower case.
    pub word: String,
    /// The word's number of occurrences.
    pub count: u64,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);

fn process(_: Query, _: Partition) -> Result<Counts, Failure> {
    let mut table = Table::for_text(usize::try_from(source::size()).unwrap_or(usize::MAX));
    let mut lines = pieces::lines();
    while let Some(block) = lines.next_block() {
        scan::count_into(block.bytes, &mut table);
        lines.keep(|| table.to_counts())?;
    }
    Ok(table.into_counts())
}

fn merge(_: Query, partials: Vec<Counts>) -> Result<Counts, Failure> {
    Counts::merge(partials).map_err(Failure::InvalidPartition)
}

fn finish(query: Query, merged: Option<Counts>, _: Coverage) -> Result<Answer, Failure> {
    answer(query, &merged.unwrap_or_default()).map_err(Failure::InvalidPartition)
}

/// Computes the answer to `query` from the merged counts.
///
/// # Errors
/// Says why `counts` is not a valid partial.
pub fn answer(query: Query, counts: &Counts) -> Result<Answer, String> {
    let mut total = 0_u64;
    let mut distinct = 0;
    // Heap of the most frequent words so far. Its greatest is the least frequent one: a more
    // frequent word replaces it.
    let mut most: BinaryHeap<(Reverse<u64>, &[u8])> = BinaryHeap::new();
    counts.read(|entry| {
        total = total.saturating_add(entry.count);
        distinct += 1;
        let ranked = (Reverse(entry.count), entry.word);
        if most.len() < query.top {
            most.push(ranked);
        } else if let Some(mut last) = most.peek_mut().filter(|last| ranked < **last) {
            *last = ranked;
        }
    })?;
    let word = |(Reverse(count), word): (_, &[u8])| Word { word: String::from_utf8_lossy(word).into_owned(), count };
    Ok(Answer { words: most.into_sorted_vec().into_iter().map(word).collect(), total, distinct })
}
