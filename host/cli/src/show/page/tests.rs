//! Safety of pages: no control characters except for colours, and no line wider than the terminal.

use proptest::prelude::*;

use super::*;

fn widest(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().lines().map(text::columns).max().unwrap_or(0)
}

#[test]
fn a_word_that_ends_a_line_keeps_its_last_letter() {
    let mut page = Page::new(TermStyle::plain(20));
    page.wrapped(0, Line::new().put("twelve chars eight8x and more"));
    assert_eq!(page.into_text(), "twelve chars eight8x\nand more\n");
}

#[test]
fn a_long_line_is_cut_off_and_says_so() {
    let mut page = Page::new(TermStyle::plain(40));
    page.line(Line::new().put("a".repeat(30)).put("b".repeat(30)).put("c"));
    assert_eq!(page.into_text(), format!("{}{}…\n", "a".repeat(30), "b".repeat(9)));
}

#[test]
fn wrapping_keeps_every_word() {
    let mut page = Page::new(TermStyle::plain(40));
    page.wrapped(9, Line::new().put("missing  ").put("one two three four five six seven eight nine ten"));
    insta::assert_snapshot!(page.into_text(), @r"
    missing  one two three four five six
             seven eight nine ten
    ");
}

#[test]
fn colour_is_ours_and_escapes_of_others_are_shown() {
    let mut page = Page::new(TermStyle { colour: true, ..TermStyle::plain(40) });
    page.line(Line::new().tone(Tone::Bad, "failed \u{1b}[2J").put(" x"));
    assert_eq!(page.into_text(), "\u{1b}[31mfailed \\u{1b}[2J\u{1b}[0m x\n");
}

#[test]
fn without_unicode_everything_is_ascii() {
    let mut page = Page::new(TermStyle { unicode: false, ..TermStyle::plain(40) });
    page.line(Line::new().put("Köln ██▒ ").put("é".repeat(40)));
    let text = page.into_text();
    assert!(text.is_ascii(), "{text}");
    assert!(widest(&text) <= 40);
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_page(
        spans in proptest::collection::vec(any::<String>(), 0..5),
        width in 20_usize..90,
        unicode: bool,
        colour: bool,
        indent in 0_usize..80,
    ) {
        let style = TermStyle { unicode, colour, ..TermStyle::plain(width) };
        let line = spans.iter().fold(Line::new(), |line, span| line.tone(Tone::Warn, span));
        let mut page = Page::new(style);
        page.line(line.clone());
        page.wrapped(indent, line);
        let text = page.into_text();
        prop_assert!(widest(&text) <= width, "{:?}", text);
    }
}
