//! Guests' texts stay within their bounds after escaping.

use super::*;

#[test]
fn text_is_cut_where_its_escapes_would_be_too_long() {
    assert_eq!(clean("a\u{1b}b", 9), "a\\u{1b}b");
    assert_eq!(clean("a\u{1b}b", 7), "a\\u{1b}…");
    // Neither an escape nor a character is cut in two.
    assert_eq!(clean("a\u{1b}b", 6), "a…");
    assert_eq!(clean("aäö", 4), "aä…");
    assert_eq!(clean("aäö", 5), "aäö");
    assert_eq!(clean("", 0), "");
    for most in [0, 1, 5, 256, 4096] {
        let made = clean("\u{1}".repeat(4096), most);
        assert!(made.len() <= most + '…'.len_utf8(), "{most}: {}", made.len());
    }
}

#[test]
fn what_is_cut_off_is_never_made() {
    /// Text without end.
    struct Endless;

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("again ")?;
            }
        }
    }

    assert_eq!(clean(Endless, 8), "again ag…");
}
