//! The partial: counts, the first matches, and the joined pieces of files that were cut.
//!
//! A piece does not know how many lines precede it. It numbers its matches from its own beginning,
//! the *base*, and counts its line ends. Where two pieces are adjacent, the second's matches are
//! renumbered from the first's base. Adjacent pieces are joined in any order, so the result does
//! not depend on the grouping. When all pieces are there, every base is the file's beginning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::search::{Line, shown};

#[cfg(test)]
mod tests;

/// Search results of one or more leaves. It is a monoid: merging is associative and commutative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Number of matching lines.
    pub lines: u64,
    /// Number of files with a match, of the files that were searched as a whole.
    pub whole_files: u64,
    /// Number of matching lines by file, if the query asks for it. Files without a match are left
    /// out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// Segments by file, for files that were cut: in order, with adjacent ones joined.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cut_files: BTreeMap<String, Vec<Segment>>,
    /// The first matches, by file, then by offset.
    pub first: Vec<Hit>,
}

/// One or more adjacent pieces of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Segment {
    /// Offset of its start in the file, in bytes.
    pub start: u64,
    /// Offset of its end in the file, in bytes.
    pub end: u64,
    /// Number of line ends.
    pub newlines: u64,
    /// Number of matching lines.
    pub lines: u64,
}

/// A matching line in a partial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// The file's path.
    pub file: String,
    /// The line's offset in the file, in bytes.
    pub offset: u64,
    /// The offset in the file from which lines are counted.
    pub base: u64,
    /// The line's number, counted from `base`, from 1.
    pub line: u64,
    /// The line, or its beginning.
    pub text: String,
    /// Whether the text is only the line's beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Hit {
    /// Makes a hit from a matching line of the segment that begins at `base`.
    pub fn new(file: &str, base: u64, line: &Line<'_>) -> Self {
        let (text, cut) = shown(line.text);
        Self { file: file.to_owned(), offset: base + line.offset, base, line: line.number, text, cut }
    }
}

impl Partial {
    /// Merges partials, and keeps the first `first` matches.
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
            let (joined, file_moves) = join(segments);
            *segments = joined;
            moves.insert(file.as_str(), file_moves);
        }
        for hit in &mut self.first {
            let Some(to) = moves.get(hit.file.as_str()).and_then(|moves| moves.get(&hit.base)) else { continue };
            hit.base = to.base;
            hit.line += to.newlines;
        }
    }
}

/// New base of the hits whose base was a segment's start.
struct Move {
    base: u64,
    /// Number of line ends between the new base and the old.
    newlines: u64,
}

/// Joins adjacent segments of a sorted list. Returns the joined segments, and the new base of each
/// start that was joined to an earlier segment.
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
