//! Search for matching lines. The whole text is searched at once, and a match's line is looked up
//! around it, so lines without a match cost nothing extra.

use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use memchr::{memchr, memchr_iter, memrchr};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;

#[cfg(test)]
mod tests;

/// Maximum number of bytes of a matching line in the answer.
pub const SHOWN: usize = 500;

/// Maximum size of a compiled pattern, in bytes: well below a leaf's memory, and more than any
/// sensible pattern needs.
const PATTERN_BYTES: usize = 8 << 20;

/// Compiles a pattern so that no match can contain a line end.
///
/// # Errors
/// Says why the pattern is invalid, or why it cannot be searched line by line.
pub fn matcher(pattern: &str, ignore_case: bool) -> Result<RegexMatcher, String> {
    let syntax = ParserBuilder::new().utf8(false).multi_line(true).build().parse(pattern);
    let looks = syntax.map_err(|error| error.to_string())?.properties().look_set();
    if looks.contains(Look::Start) || looks.contains(Look::End) {
        return Err("the pattern asks for the text's start or end, which has no meaning in a line\n\
                    (^ and $ match at a line's start and end)"
            .to_owned());
    }
    RegexMatcherBuilder::new()
        .multi_line(true)
        .line_terminator(Some(b'\n'))
        .case_insensitive(ignore_case)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build(pattern)
        .map_err(|error| error.to_string())
}

/// Result of a search.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Number of matching lines.
    pub lines: u64,
    /// The first matching lines.
    pub first: Vec<Line<'a>>,
}

/// A matching line in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line's number in the text, from 1.
    pub number: u64,
    /// The line's offset in the text, in bytes.
    pub offset: u64,
    /// The whole line, without its line end.
    pub text: &'a [u8],
}

/// Counts the matching lines of `text`, and returns the first `first` of them.
pub fn search<'a>(matcher: &RegexMatcher, text: &'a [u8], first: usize) -> Found<'a> {
    let mut found = Found { lines: 0, first: Vec::new() };
    let mut numbers = Numbers::new(text);
    let mut at = 0;
    while let Some((start, end)) = next_line(matcher, text, at) {
        found.lines += 1;
        if found.first.len() < first {
            let text = text.get(start..end).unwrap_or_default();
            found.first.push(Line { number: numbers.of(start), offset: start as u64, text });
        }
        at = end + 1;
    }
    found
}

/// Returns the bounds of the first matching line from `at`, which is a line's start. A pattern that
/// matches the empty string also matches after the last line end, where there is no line.
fn next_line(matcher: &RegexMatcher, text: &[u8], at: usize) -> Option<(usize, usize)> {
    if at >= text.len() {
        return None;
    }
    let found = matcher.find_at(text, at).ok()??;
    let start = memrchr(b'\n', text.get(at..found.start())?).map_or(at, |newline| at + newline + 1);
    let end = memchr(b'\n', text.get(found.end()..)?).map_or(text.len(), |newline| found.end() + newline);
    (start < text.len()).then_some((start, end))
}

/// Counter of line numbers, for lines in ascending order.
struct Numbers<'a> {
    text: &'a [u8],
    counted: usize,
    newlines: u64,
}

impl<'a> Numbers<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, counted: 0, newlines: 0 }
    }

    /// Returns the number, from 1, of the line that starts at `start`.
    fn of(&mut self, start: usize) -> u64 {
        let passed = self.text.get(self.counted..start).unwrap_or_default();
        self.newlines += memchr_iter(b'\n', passed).count() as u64;
        self.counted = start;
        self.newlines + 1
    }
}

/// Returns a line as text, cut to [`SHOWN`] bytes, and whether it was cut.
pub fn shown(line: &[u8]) -> (String, bool) {
    let within = |end: &usize| line.get(*end).is_some_and(|byte| byte & 0xc0 == 0x80);
    let cut = line.len() > SHOWN;
    let mut end = line.len().min(SHOWN);
    // Cuts between characters, unless these bytes are no character (of at most four bytes).
    if cut && let Some(start) = (SHOWN - 3..=SHOWN).rev().find(|end| !within(end)) {
        end = start;
    }
    (String::from_utf8_lossy(line.get(..end).unwrap_or_default()).into_owned(), cut)
}
