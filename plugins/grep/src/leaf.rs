//! One leaf: searches the lines of its share of a file, block by block.

use frond_plugin::pieces::Block;
use grep_regex::RegexMatcher;
use memchr::memchr_iter;

use crate::origin::Origin;
use crate::partial::{Hit, Partial, Segment};
use crate::search::{Line, search};
use crate::{Counts, Query};

/// Results of a leaf so far.
pub(crate) struct Leaf<'a> {
    query: &'a Query,
    origin: Origin<'a>,
    /// Size of the partition in bytes.
    size: u64,
    /// The searched part of the partition; `None` before the first block.
    segment: Option<Segment>,
    first: Vec<Hit>,
}

impl<'a> Leaf<'a> {
    /// Makes a leaf that has searched nothing.
    pub(crate) fn new(query: &'a Query, origin: Origin<'a>, size: u64) -> Self {
        Self { query, origin, size, segment: None, first: Vec::new() }
    }

    /// Searches a block, which follows the one before.
    pub(crate) fn search(&mut self, matcher: &RegexMatcher, block: &Block<'_>) {
        let offset = self.origin.offset.unwrap_or(0) + block.offset;
        let segment = self.segment.get_or_insert(Segment { start: offset, end: offset, newlines: 0, lines: 0 });
        let found = search(matcher, block.bytes, self.query.first.saturating_sub(self.first.len()));
        for line in &found.first {
            let Line { number, offset: within, text } = *line;
            let line = Line { number: segment.newlines + number, offset: offset - segment.start + within, text };
            self.first.push(Hit::new(self.origin.file, segment.start, &line));
        }
        segment.lines += found.lines;
        segment.end = offset + block.bytes.len() as u64;
        // The line ends of a file in one block are not needed.
        if self.origin.offset.is_some() || (block.bytes.len() as u64) < self.size {
            segment.newlines += memchr_iter(b'\n', block.bytes).count() as u64;
        }
    }

    /// Returns the partial of all blocks so far.
    pub(crate) fn partial(&self) -> Partial {
        let mut partial = Partial { first: self.first.clone(), ..Partial::default() };
        let Some(segment) = self.segment else { return partial };
        partial.lines = segment.lines;
        if self.query.counts == Counts::Files && segment.lines > 0 {
            partial.counts.insert(self.origin.file.to_owned(), segment.lines);
        }
        if self.origin.offset.is_none() && segment.start == 0 && segment.end == self.size {
            partial.whole_files = u64::from(segment.lines > 0);
        } else {
            partial.cut_files.insert(self.origin.file.to_owned(), vec![segment]);
        }
        partial
    }
}
