//! The partial: counts, the first matches, and what is known of files that were cut into pieces.
//!
//! A piece does not know how many lines come before it. It counts its matches' lines from its own beginning, the *base*, and
//! tells how many line ends it has. Where two pieces meet, the second's matches are counted from the first's base on. Pieces
//! are joined wherever they meet, in whatever order they come, so the result does not depend on the grouping. When all
//! are there, every base is the file's beginning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::search::{Line, shown};

#[cfg(test)]
mod tests;

/// What one or more leaves found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// How many lines match.
    pub lines: u64,
    /// How many files that were searched whole have a match.
    pub whole_files: u64,
    /// How many lines of each file match, where that is at least one and was asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// The pieces of each file that was cut, in order and joined where they meet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cut_files: BTreeMap<String, Vec<Segment>>,
    /// The first matches, by file, then by place.
    pub first: Vec<Hit>,
}

/// One or more adjacent pieces of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// How many line ends it has.
    pub newlines: u64,
    /// How many of its lines match.
    pub lines: u64,
}

/// A matching line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// The file's path.
    pub file: String,
    /// Where the line begins in the file, in bytes.
    pub offset: u64,
    /// Where the counting of lines began.
    pub base: u64,
    /// The line's number from there on, from 1.
    pub line: u64,
    /// The line, or its beginning.
    pub text: String,
    /// Whether the text is only the line's beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Hit {
    /// A line that matches in the piece that begins at `base`.
    pub fn new(file: &str, base: u64, line: &Line<'_>) -> Self {
        let (text, cut) = shown(line.text);
        Self { file: file.to_owned(), offset: base + line.offset, base, line: line.number, text, cut }
    }
}

impl Partial {
    /// All partials together, with their first `first` matches.
    pub fn merge(partials: Vec<Self>, first: usize) -> Self {
        let mut merged = Self::default();
        for partial in partials {
            merged.lines += partial.lines;
            merged.whole_files += partial.whole_files;
            for (file, count) in partial.counts {
                *merged.counts.entry(file).or_default() += count;
            }
            for (file, segments) in partial.cut_files {
                merged.cut_files.entry(file).or_default().extend(segments);
            }
            merged.first.extend(partial.first);
        }
        merged.first.sort_unstable();
        merged.first.truncate(first);
        merged.join_segments();
        merged
    }

    fn join_segments(&mut self) {
        let mut moves = BTreeMap::new();
        for (file, segments) in &mut self.cut_files {
            segments.sort_unstable();
            let (joined, moved) = join(segments);
            *segments = joined;
            moves.insert(file.as_str(), moved);
        }
        for hit in &mut self.first {
            let Some(moved) = moves.get(hit.file.as_str()).and_then(|moved| moved.get(&hit.base)) else { continue };
            hit.base = moved.base;
            hit.line += moved.newlines;
        }
    }
}

/// Where lines counted from a segment's start are counted from now.
struct Move {
    base: u64,
    /// How many line ends lie between the new base and the old.
    newlines: u64,
}

/// Joins segments, which are in order, where one ends at the next one's start; and tells what became of each start.
fn join(segments: &[Segment]) -> (Vec<Segment>, BTreeMap<u64, Move>) {
    let mut joined: Vec<Segment> = Vec::new();
    let mut moves = BTreeMap::new();
    for segment in segments {
        match joined.last_mut() {
            Some(last) if last.end == segment.start => {
                moves.insert(segment.start, Move { base: last.start, newlines: last.newlines });
                last.end = segment.end;
                last.newlines += segment.newlines;
                last.lines += segment.lines;
            }
            _ => joined.push(*segment),
        }
    }
    (joined, moves)
}
