//! Width and character set from the environment.

use super::{MAX_WIDTH, MIN_WIDTH, PIPED_WIDTH, is_utf8, width};

#[test]
fn columns_outranks_the_terminal_which_outranks_the_default() {
    assert_eq!(width(Some("72"), Some(120)), 72);
    assert_eq!(width(None, Some(120)), 120);
    assert_eq!(width(None, None), PIPED_WIDTH);
}

#[test]
fn a_senseless_width_is_not_followed() {
    assert_eq!(width(Some("wide"), Some(90)), 90);
    assert_eq!(width(Some("0"), None), PIPED_WIDTH);
    assert_eq!(width(Some("1"), None), MIN_WIDTH);
    assert_eq!(width(Some("999999"), None), MAX_WIDTH);
    assert_eq!(width(Some("-5"), Some(3)), MIN_WIDTH);
}

#[test]
fn the_locale_decides_on_unicode() {
    let with = |pairs: &'static [(&str, &str)]| {
        is_utf8(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    };
    assert!(with(&[("LANG", "en_GB.UTF-8")]));
    assert!(with(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
    assert!(!with(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
    assert!(!with(&[("LANG", "de_DE.ISO-8859-1")]));
    assert!(!with(&[]));
}
