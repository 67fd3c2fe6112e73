//! Tests that the table counts like a map, for any number of words and any collisions.

use std::collections::BTreeMap;

use super::Table;

fn check(words: impl Iterator<Item = String>) {
    let mut table = Table::for_text(0);
    let mut expect = BTreeMap::<_, u64>::new();
    for word in words {
        table.add_bytes(word.as_bytes());
        *expect.entry(word).or_default() += 1;
    }
    let so_far = table.to_counts();
    let counts = table.into_counts();
    assert_eq!(so_far, counts);
    let mut counted: Vec<_> = counts.entries().map(|entry| (entry.word.to_vec(), entry.count)).collect();
    counted.sort();
    let expect: Vec<_> = expect.into_iter().map(|(word, count)| (word.into_bytes(), count)).collect();
    assert_eq!(counted, expect);
}

#[test]
fn few_words() {
    check(["b", "a", "b", "ab", "a\u{e9}", "b"].into_iter().map(str::to_owned));
}

#[test]
fn words_around_sixteen_bytes() {
    check((1..40).chain(14..18).map(|length| "x".repeat(length)));
}

#[test]
fn many_words_make_the_table_grow() {
    check((0..20_000).chain(0..100).map(|i| format!("word{i}")));
    check((0..20_000).chain(0..100).map(|i| format!("a rather long word {i}")));
}

#[test]
fn a_word_and_its_beginnings_are_apart() {
    check(["abcdefgh", "abcdefghi", "abcdefg", "abcdefgh"].into_iter().map(str::to_owned));
}
