//! Output of a program as it reaches a terminal.

use std::io::Write;

use proptest::prelude::*;

use super::TerminalFilter;

/// Returns the filtered output of consecutive pieces.
fn passed(pieces: &[&[u8]]) -> String {
    let mut to = Vec::new();
    let mut through = TerminalFilter::new(&mut to);
    for piece in pieces {
        through.write_all(piece).unwrap();
    }
    drop(through);
    String::from_utf8(to).unwrap()
}

#[test]
fn text_and_colours_pass() {
    let text = "test a ... \u{1b}[32mok\u{1b}[0m\n\tgrüße, 世界\r\n\u{1b}[1;31m!\u{1b}[m";
    assert_eq!(passed(&[text.as_bytes()]), text);
}

#[test]
fn what_drives_a_terminal_is_shown() {
    assert_eq!(passed(&[b"\x1b[2J\x1b]0;t\x07\x08"]), r"\u{1b}[2J\u{1b}]0;t\u{7}\u{8}");
    assert_eq!(passed(&["\u{9b}2J \u{202e}x".as_bytes()]), r"\u{9b}2J \u{202e}x");
    assert_eq!(passed(&[b"ok\rno"]), r"ok\rno");
    assert_eq!(passed(&[b"\x1b"]), r"\u{1b}");
    let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"m"].concat();
    assert!(passed(&[&long]).starts_with(r"\u{1b}[1"));
    assert_eq!(passed(&[b"\xff\xfe."]), "\u{fffd}\u{fffd}.");
}

proptest! {
    #[test]
    fn it_does_not_depend_on_where_it_is_cut(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0..60_usize) {
        let at = at.min(bytes.len());
        let (one, two) = bytes.split_at(at);
        let whole = passed(&[&bytes]);
        prop_assert_eq!(&passed(&[one, two]), &whole);
        let bare = whole.replace(|c: char| c.is_ascii_digit() || c == ';', "").replace("\u{1b}[m", "");
        prop_assert!(!bare.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r')));
    }
}
