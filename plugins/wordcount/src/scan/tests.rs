//! Tests that the fast scan agrees with a reference implementation.

use std::collections::BTreeMap;

use proptest::prelude::*;

/// Reference implementation: the definition of a word, character by character.
pub(crate) fn plain(text: &[u8]) -> BTreeMap<String, u64> {
    let mut words = BTreeMap::new();
    let text = String::from_utf8_lossy(text);
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let lower: String = word.chars().flat_map(char::to_lowercase).collect();
        *words.entry(lower).or_default() += 1;
    }
    words
}

fn scanned(text: &[u8]) -> BTreeMap<String, u64> {
    let counts = super::count(text);
    counts.entries().map(|entry| (String::from_utf8(entry.word.to_vec()).unwrap(), entry.count)).collect()
}

fn check(text: &str, expect: &[(&str, u64)]) {
    let expect: BTreeMap<_, _> = expect.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
    assert_eq!(scanned(text.as_bytes()), expect, "{text:?}");
}

#[test]
fn words_are_runs_of_letters_and_digits() {
    check("", &[]);
    check(" \n", &[]);
    check("a", &[("a", 1)]);
    check("It's 42, isn't IT?", &[("it", 2), ("s", 1), ("42", 1), ("isn", 1), ("t", 1)]);
    check("@[`{/:a@[`{/:Z", &[("a", 1), ("z", 1)]);
}

#[test]
fn words_of_every_length_are_whole() {
    for length in 1..40 {
        let word = "abcdefghij".repeat(4)[..length].to_owned();
        check(&word, &[(&word, 1)]);
        check(&format!(" {word},{word}"), &[(&word, 2)]);
        let accented = format!("{word}\u{e9}");
        check(&format!("{word} {accented} {word}"), &[(&word, 2), (&accented, 1)]);
    }
}

#[test]
fn letters_beyond_ascii_belong_to_words() {
    check("Über ÜBER über", &[("über", 3)]);
    check("naïve", &[("naïve", 1)]);
    check("東京 Москва МОСКВА", &[("東京", 1), ("москва", 2)]);
    check("ΣΑΣ", &[("σασ", 1)]);
    check("İ", &[("i\u{307}", 1)]);
    check("½ ² a\u{2014}b", &[("½", 1), ("²", 1), ("a", 1), ("b", 1)]);
}

#[test]
fn bytes_that_are_not_text_separate() {
    let words = BTreeMap::from([("ab".to_owned(), 1), ("cd".to_owned(), 2)]);
    assert_eq!(scanned(b"ab\xffcd\x00cd"), words);
    assert_eq!(scanned(b"ab\xe2\x82cd\xf0cd"), words);
}

proptest! {
    #[test]
    fn any_text(text in "[a-cA-C0-1 ,éÉß東\u{307}]{0,60}") {
        prop_assert_eq!(scanned(text.as_bytes()), plain(text.as_bytes()));
    }

    #[test]
    fn any_unicode(text in ".{0,60}") {
        prop_assert_eq!(scanned(text.as_bytes()), plain(text.as_bytes()));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(scanned(&bytes), plain(&bytes));
    }
}
