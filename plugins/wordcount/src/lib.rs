//! Counts the words of text: a leaf and its merge in one component.
//!
//! A word is a maximal run of characters that are alphanumeric in Unicode's sense, each lower-cased on its own. Everything
//! else separates words: spaces, punctuation (so `don't` is two words), combining marks, and every byte that is not part of
//! valid UTF-8. The source must cut between words, which cutting at line ends does.
//!
//! Query: `{"top": 10}`, where `top` is how many words to list (10 if it is missing).
//! Answer: `{"words": [{"word": "the", "count": 12}, …], "total": 345, "distinct": 67}`, the most frequent words first,
//! equally frequent ones by their bytes.
//!
//! Read [`scan`] for how words are found, [`table`] for how they are counted, [`counts`] for what travels.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use frond_plugin::{Coverage, Failure, Partition};
use serde::{Deserialize, Serialize};

pub mod counts;
pub mod head;
pub mod scan;
pub mod table;

pub use counts::Counts;

#[cfg(test)]
mod tests;

/// What a client asks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// How many words to list.
    #[serde(default = "default_top")]
    pub top: usize,
}

fn default_top() -> usize {
    10
}

/// What a client gets.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The most frequent words, first by count, then by their bytes.
    pub words: Vec<Word>,
    /// How many words the text has.
    pub total: u64,
    /// How many different ones.
    pub distinct: u64,
}

/// One word of an answer.
#[derive(Debug, Serialize)]
pub struct Word {
    /// The word, in lower case.
    pub word: String,
    /// How often it occurs.
    pub count: u64,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);

fn process(_: Query, partition: Partition) -> Result<Counts, Failure> {
    Ok(scan::count(&partition.data))
}

fn merge(_: Query, partials: Vec<Counts>) -> Result<Counts, Failure> {
    Counts::merge(partials).map_err(Failure::InvalidPartition)
}

fn finish(query: Query, merged: Option<Counts>, _: Coverage) -> Result<Answer, Failure> {
    answer(query, &merged.unwrap_or_default()).map_err(Failure::InvalidPartition)
}

/// The answer that merged counts give to a query, or why they are none.
pub fn answer(query: Query, counts: &Counts) -> Result<Answer, String> {
    let (mut total, mut distinct) = (0_u64, 0);
    // The last of the most frequent ones so far is the greatest, and gives way to what is before it.
    let mut most: BinaryHeap<(Reverse<u64>, &[u8])> = BinaryHeap::new();
    counts.read(|entry| {
        (total, distinct) = (total.saturating_add(entry.count), distinct + 1);
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
