//! Text search: a leaf and its merge that find the lines matching a pattern, in one component.
//!
//! Lines match as with `rg -a`: the pattern is a
//! [regular expression](https://docs.rs/regex/#syntax), `^` and `$` match at a line's start and
//! end, no match crosses a line end, and binary files are searched as if they were text. A
//! partition is a file, with the path as its key; or a piece of a file that is cut at line ends,
//! with the path and `#OFFSET+LENGTH` as its key.
//!
//! Query: `{"pattern": "wom[ae]n", "ignore-case": false, "first": 100, "counts": "total"}`. Only
//! the pattern is required. `first` is the maximum number of matching lines in the answer.
//! `"counts": "files"` adds the number of matching lines of each file.
//!
//! Answer: `{"matches": [{"file": "a.txt", "line": 3, "text": "…"}, …], "lines": 12, "files": 2}`.
//! `matches` are the first ones by file (its bytes), then by line; `lines` and `files` count all
//! matches. The text of a line longer than [`search::SHOWN`] bytes is cut, and marked with
//! `"cut": true`. In a text, bytes that are not UTF-8 are replaced. If an earlier piece of a file
//! is missing, the numbers of its later lines are unknown: a match then has its `"offset"` in bytes
//! instead of `"line"`.
//!
//! A leaf takes its partition piece by piece, so a long file may be cut while it is searched.
//!
//! [`search`] finds lines, [`partial`] joins the pieces of a file.

use std::collections::BTreeMap;

use frond_plugin::{Coverage, Failure, Partition, pieces, source};
use grep_regex::RegexMatcher;
use serde::{Deserialize, Serialize};

mod leaf;
pub mod origin;
pub mod partial;
pub mod search;

use leaf::Leaf;
use origin::Origin;
use partial::{Hit, Partial, Segment};

#[cfg(test)]
mod tests;

/// Query of a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// A regular expression.
    pub pattern: String,
    /// Whether letters match in either case.
    #[serde(default)]
    pub ignore_case: bool,
    /// Maximum number of matching lines in the answer.
    #[serde(default = "default_first")]
    pub first: usize,
    /// Scope of the counts.
    #[serde(default)]
    pub counts: Counts,
}

fn default_first() -> usize {
    100
}

/// Scope of the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Only the total.
    #[default]
    Total,
    /// The total, and each file's matching lines.
    Files,
}

/// Answer to a client.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The first matching lines, by file, then by line.
    pub matches: Vec<Match>,
    /// Number of matching lines.
    pub lines: u64,
    /// Number of files with a matching line.
    pub files: u64,
    /// Number of matching lines by file, if the query asks for [`Counts::Files`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BTreeMap<String, u64>>,
}

/// A matching line in the answer.
#[derive(Debug, Serialize)]
pub struct Match {
    /// The file's path.
    pub file: String,
    /// The line's number in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The line's offset in the file in bytes, if its number is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The line, or its beginning.
    pub text: String,
    /// Whether the text is only the line's beginning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

frond_plugin::leaf!(prepare, process);
frond_plugin::merger!(merge, finish);

/// A query with its compiled pattern: an instance compiles it once, which takes longer than the
/// search of a small file.
struct Prepared {
    query: Query,
    matcher: RegexMatcher,
}

fn prepare(query: Query) -> Result<Prepared, Failure> {
    let matcher = search::matcher(&query.pattern, query.ignore_case).map_err(Failure::InvalidQuery)?;
    Ok(Prepared { query, matcher })
}

fn process(Prepared { query, matcher }: &Prepared, partition: Partition) -> Result<Partial, Failure> {
    let mut leaf = Leaf::new(query, Origin::of(&partition.key), source::size());
    let mut lines = pieces::lines();
    while let Some(block) = lines.next_block() {
        leaf.search(matcher, &block);
        lines.keep(|| leaf.partial())?;
    }
    Ok(leaf.partial())
}

fn merge(query: Query, partials: Vec<Partial>) -> Result<Partial, Failure> {
    Ok(Partial::merge(partials, query.first))
}

fn finish(query: Query, merged: Option<Partial>, _: Coverage) -> Result<Answer, Failure> {
    Ok(answer(&query, merged.unwrap_or_default()))
}

/// Converts the merged partial into the answer to `query`.
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
    /// Converts a hit. Its line number is known if lines are counted from the file's beginning.
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
