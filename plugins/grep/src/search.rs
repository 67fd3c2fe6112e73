//! Finds the lines that match: the whole text is searched at once, and a match's line is looked up around it, so that lines
//! without a match cost nothing of their own.

use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use memchr::{memchr, memchr_iter, memrchr};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;

#[cfg(test)]
mod tests;

/// How many bytes of a matching line are shown.
pub const SHOWN: usize = 500;

/// What a compiled pattern may weigh in memory: well below what a leaf has, and more than any sensible pattern needs.
const PATTERN_BYTES: usize = 8 << 20;

/// A pattern, compiled so that no match can contain a line's end; or why that cannot be.
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

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// How many lines match.
    pub lines: u64,
    /// The first of them.
    pub first: Vec<Line<'a>>,
}

/// A matching line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number in the text, from 1.
    pub number: u64,
    /// Where it begins in the text.
    pub offset: u64,
    /// The whole line, without its end.
    pub text: &'a [u8],
}

/// Counts the lines of `text` that match, and keeps the first `first` of them.
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

/// The bounds of the first matching line from `at`, which is a line's start. A pattern that matches nothing at all matches
/// after the last line's end too, where there is no line.
fn next_line(matcher: &RegexMatcher, text: &[u8], at: usize) -> Option<(usize, usize)> {
    if at >= text.len() {
        return None;
    }
    let found = matcher.find_at(text, at).ok()??;
    let start = memrchr(b'\n', text.get(at..found.start())?).map_or(at, |newline| at + newline + 1);
    let end = memchr(b'\n', text.get(found.end()..)?).map_or(text.len(), |newline| found.end() + newline);
    (start < text.len()).then_some((start, end))
}

/// Numbers lines that are asked for in order.
struct Numbers<'a> {
    text: &'a [u8],
    counted: usize,
    newlines: u64,
}

impl<'a> Numbers<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, counted: 0, newlines: 0 }
    }

    /// The number, from 1, of the line that starts at `start`.
    fn of(&mut self, start: usize) -> u64 {
        let passed = self.text.get(self.counted..start).unwrap_or_default();
        self.newlines += memchr_iter(b'\n', passed).count() as u64;
        self.counted = start;
        self.newlines + 1
    }
}

/// What is shown of a line, and whether that is less than the whole.
pub fn shown(line: &[u8]) -> (String, bool) {
    let within = |end: &usize| line.get(*end).is_some_and(|byte| byte & 0xc0 == 0x80);
    let cut = line.len() > SHOWN;
    let mut end = line.len().min(SHOWN);
    // Not within a character, unless there is no character (of at most four bytes) to be within.
    if cut && let Some(start) = (SHOWN - 3..=SHOWN).rev().find(|end| !within(end)) {
        end = start;
    }
    (String::from_utf8_lossy(line.get(..end).unwrap_or_default()).into_owned(), cut)
}
