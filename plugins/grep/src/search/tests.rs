//! Tests that the search of a whole text agrees with matching each line alone.

use proptest::prelude::*;

use super::{SHOWN, matcher, search, shown};

fn numbers(pattern: &str, text: &[u8]) -> Vec<u64> {
    let found = search(&matcher(pattern, false).unwrap(), text, usize::MAX);
    assert_eq!(found.lines, found.first.len() as u64);
    found.first.iter().map(|line| line.number).collect()
}

/// Matches each line as a separate text. The line end of the last line does not begin another line.
fn plain(pattern: &str, text: &[u8]) -> Vec<u64> {
    let matcher = matcher(pattern, false).unwrap();
    let text = text.strip_suffix(b"\n").unwrap_or(if text.is_empty() { return Vec::new() } else { text });
    let matches = |line: &[u8]| grep_matcher::Matcher::is_match(&matcher, line).unwrap();
    (1..).zip(text.split(|byte| *byte == b'\n')).filter(|(_, line)| matches(line)).map(|(number, _)| number).collect()
}

fn check(pattern: &str, text: &str, expect: &[u64]) {
    assert_eq!(numbers(pattern, text.as_bytes()), expect, "{pattern:?} in {text:?}");
    assert_eq!(plain(pattern, text.as_bytes()), expect, "{pattern:?} in {text:?}");
}

#[test]
fn a_line_counts_once() {
    check("a", "a a\nb\nab\n", &[1, 3]);
    check("a", "", &[]);
    check("b$", "ab\nb\nba", &[1, 2]);
    check("^b", "ab\nb\nba", &[2, 3]);
}

#[test]
fn patterns_that_match_nothing_at_all_match_every_line() {
    check("", "a\n\nb\n", &[1, 2, 3]);
    check("x*", "a\n\nb", &[1, 2, 3]);
    check("", "", &[]);
    check("", "\n", &[1]);
    check("^$", "a\n\nb\n", &[2]);
}

#[test]
fn no_match_crosses_a_line_end() {
    check(r"a\s+b", "a\nb\na b\n", &[3]);
    check(r"a[^x]b", "a\nb\naxb\na-b\n", &[4]);
    check("(?s)a.b", "a\nb\nacb\n", &[3]);
    check(r"\W$", "a\n\nb.\n", &[3]);
}

#[test]
fn bytes_that_are_not_text_are_searched() {
    assert_eq!(numbers("b", b"a\xff\x00b\n\xffb\n"), [1, 2]);
    assert_eq!(numbers(r"(?-u)\xff", b"a\n\xff\n"), [2]);
    assert_eq!(numbers("é", "caf\u{e9}\ncafe\n".as_bytes()), [1]);
}

#[test]
fn case_can_be_ignored() {
    let matcher = matcher("straße", true).unwrap();
    assert_eq!(search(&matcher, "STRAßE\nStrasse\n".as_bytes(), 9).lines, 1);
}

#[test]
fn only_the_first_are_kept_and_all_are_counted() {
    let found = search(&matcher("a", false).unwrap(), b"a\nb\na\na", 2);
    assert_eq!(found.lines, 3);
    let kept: Vec<_> = found.first.iter().map(|line| (line.number, line.offset, line.text)).collect();
    assert_eq!(kept, [(1, 0, &b"a"[..]), (3, 4, b"a")]);
}

#[test]
fn patterns_that_cannot_be_searched_say_why() {
    let error = |pattern| matcher(pattern, false).unwrap_err();
    assert_eq!(error("a(b"), "regex parse error:\n    a(b\n     ^\nerror: unclosed group");
    assert!(error(r"a\nb").starts_with(r#"the literal "\n" is not allowed"#), "{}", error(r"a\nb"));
    assert!(error(r"\Aa").contains("start or end"));
    assert!(error(r"a\z").contains("start or end"));
    assert!(error("(?-m)^a").contains("start or end"));
    assert!(error(r"\w{1000}{1000}").contains("size"), "{}", error(r"\w{1000}{1000}"));
}

#[test]
fn long_lines_are_cut_between_characters() {
    let long = |text: &str| shown(text.as_bytes());
    assert_eq!(long("abc"), ("abc".to_owned(), false));
    assert_eq!(long(&"a".repeat(SHOWN)), ("a".repeat(SHOWN), false));
    assert_eq!(long(&"a".repeat(SHOWN + 1)), ("a".repeat(SHOWN), true));
    assert_eq!(long(&format!("a{}", "é".repeat(SHOWN))), (format!("a{}", "é".repeat(249)), true));
    assert_eq!(long(&format!("aaa{}", "𝄞".repeat(SHOWN))), (format!("aaa{}", "𝄞".repeat(124)), true));
    assert_eq!(shown(&[0x80; 600]).0.chars().count(), SHOWN);
}

proptest! {
    #[test]
    fn any_text_and_pattern(
        text in "[ab\n]{0,30}",
        pattern in prop::sample::select(vec!["a", "ab", "^a", "b$", "^$", "a*", "(a|b)b", r"\s", r"\S\S", "[^a]", r"\ba\b", "(?s)b.a"]),
    ) {
        prop_assert_eq!(numbers(pattern, text.as_bytes()), plain(pattern, text.as_bytes()));
    }
}
