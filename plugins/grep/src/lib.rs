//! Searches text for lines that match a pattern: a leaf and its merge in one component.
//!
//! Lines match as they do for `rg -a`: the pattern is a [regular expression](https://docs.rs/regex/#syntax), `^` and `$` match
//! at line ends, no match crosses a line's end, and files that are not text are searched as if they were. A partition is a
//! file, its key the path; or a piece of a file cut at line ends, its key the path followed by `#OFFSET+LENGTH`.
//!
//! Query: `{"pattern": "wom[ae]n", "ignore-case": false, "first": 100, "counts": "total"}`; only the pattern is required.
//! `first` is how many matching lines to show, `"counts": "files"` adds the number of matching lines of each file.
//!
//! Answer: `{"matches": [{"file": "a.txt", "line": 3, "text": "…"}, …], "lines": 12, "files": 2}`. The matches are the first
//! by file (its bytes), then by line; `lines` and `files` count all of them. The text of a line longer than
//! [`search::SHOWN`] bytes is cut, and says so with `"cut": true`; bytes that are not UTF-8 are replaced in it. If an earlier
//! piece of a file is missing, its lines have no known number, and a match has its `"offset"` in bytes instead of `"line"`.
//!
//! Read [`search`] for how lines are found, [`partial`] for how the pieces of a file come together.

use std::collections::BTreeMap;

use frond_plugin::{Coverage, Failure, Partition};
use serde::{Deserialize, Serialize};

pub mod partial;
pub mod place;
pub mod search;

use partial::{Hit, Partial, Segment};
use place::Place;

#[cfg(test)]
mod tests;

/// What a client asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// A regular expression.
    pub pattern: String,
    /// Whether letters match in either case.
    #[serde(default)]
    pub ignore_case: bool,
    /// How many matching lines to show.
    #[serde(default = "default_first")]
    pub first: usize,
    /// What to count.
    #[serde(default)]
    pub counts: Counts,
}

fn default_first() -> usize {
    100
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Only the total.
    #[default]
    Total,
    /// Each file's matching lines too.
    Files,
}

/// What a client gets.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The first matching lines, by file, then by line.
    pub matches: Vec<Match>,
    /// How many lines match.
    pub lines: u64,
    /// How many files have a line that matches.
    pub files: u64,
    /// How many lines of each file match, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BTreeMap<String, u64>>,
}

/// A matching line.
#[derive(Debug, Serialize)]
pub struct Match {
    /// The file's path.
    pub file: String,
    /// The line's number in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where the line begins in the file, in bytes, if its number is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The line, or its beginning.
    pub text: String,
    /// Whether the text is only the line's beginning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);

fn process(query: Query, partition: Partition) -> Result<Partial, Failure> {
    let matcher = search::matcher(&query.pattern, query.ignore_case).map_err(Failure::InvalidQuery)?;
    let found = search::search(&matcher, &partition.data, query.first);
    Ok(partial(&query, Place::of(&partition.key), &partition.data, found))
}

/// What a leaf found in one place, as a partial.
fn partial(query: &Query, place: Place<'_>, content: &[u8], found: search::Found<'_>) -> Partial {
    let mut partial = Partial { lines: found.lines, ..Partial::default() };
    if query.counts == Counts::Files && found.lines > 0 {
        partial.counts.insert(place.file.to_owned(), found.lines);
    }
    match place.offset {
        None => partial.whole_files = u64::from(found.lines > 0),
        Some(start) => {
            let segment = Segment {
                start,
                end: start + content.len() as u64,
                newlines: memchr::memchr_iter(b'\n', content).count() as u64,
                lines: found.lines,
            };
            partial.cut_files.insert(place.file.to_owned(), vec![segment]);
        }
    }
    let base = place.offset.unwrap_or(0);
    partial.first = found.first.iter().map(|line| Hit::new(place.file, base, line)).collect();
    partial
}

fn merge(query: Query, partials: Vec<Partial>) -> Result<Partial, Failure> {
    Ok(Partial::merge(partials, query.first))
}

fn finish(query: Query, merged: Option<Partial>, _: Coverage) -> Result<Answer, Failure> {
    Ok(answer(&query, merged.unwrap_or_default()))
}

/// The answer that a merged partial gives to a query.
pub fn answer(query: &Query, merged: Partial) -> Answer {
    let in_cut_file = |segments: &Vec<Segment>| segments.iter().any(|segment| segment.lines > 0);
    let cut_files = merged.cut_files.values().filter(|segments| in_cut_file(segments)).count() as u64;
    Answer {
        lines: merged.lines,
        files: merged.whole_files + cut_files,
        counts: (query.counts == Counts::Files).then_some(merged.counts),
        matches: merged.first.into_iter().map(Match::from).collect(),
    }
}

impl From<Hit> for Match {
    /// A line's number in the file is known if its lines are counted from the file's beginning.
    fn from(hit: Hit) -> Self {
        let known = hit.base == 0;
        Self {
            file: hit.file,
            line: known.then_some(hit.line),
            offset: (!known).then_some(hit.offset),
            text: hit.text,
            cut: hit.cut,
        }
    }
}
