//! Tests that merging adds counts, in any grouping and any order.

use std::collections::BTreeMap;

use frond_plugin::{Decode, Encode};
use proptest::prelude::*;

use super::{Counts, Entry, Writer};

type Map = BTreeMap<String, u64>;

fn counts(map: &Map) -> Counts {
    let mut writer = Writer::with_capacity(0);
    let mut entries: Vec<_> = map.iter().map(|(word, count)| Entry::new(word.as_bytes(), *count)).collect();
    entries.sort_by(Entry::cmp_word);
    entries.into_iter().for_each(|entry| writer.push(entry));
    writer.finish()
}

fn sum(maps: &[Map]) -> Map {
    let mut sum = Map::new();
    for (word, count) in maps.iter().flatten() {
        *sum.entry(word.clone()).or_default() += count;
    }
    sum
}

fn partials() -> impl Strategy<Value = Vec<Map>> {
    let word = prop_oneof!["[a-d]{1,2}", "[a-zé]{1,30}", "a{14,18}[ab]?"];
    let count = prop_oneof![1..4_u64, 1..(1_u64 << 40)];
    prop::collection::vec(prop::collection::btree_map(word, count, 0..20), 0..12)
}

#[test]
fn entries_are_length_word_count() {
    let map = Map::from([("a".to_owned(), 1), ("bc".to_owned(), 300)]);
    assert_eq!(counts(&map).encode().unwrap(), b"\x01a\x01\x02bc\xac\x02");
}

#[test]
fn bytes_that_are_no_partial_are_refused_wherever_they_are_read() {
    let good = counts(&Map::from([("b".to_owned(), 1)]));
    let refused = |bytes: &[u8]| {
        let bad = Counts::decode(bytes.to_vec()).unwrap();
        let why = bad.read(|_| ()).unwrap_err();
        assert_eq!(Counts::merge(vec![bad.clone(), good.clone()]), Err(why.clone()));
        assert_eq!(Counts::merge(vec![good.clone(), bad]), Err(why.clone()));
        why
    };
    assert_eq!(refused(b"\x01a\x01\x05bc\x01"), "no whole entry 4 bytes before the end");
    assert_eq!(refused(b"\x01a"), "no whole entry 2 bytes before the end");
    assert_eq!(refused(&[0xff; 11]), "no whole entry 11 bytes before the end");
    assert_eq!(refused(b"\x00\x01"), "its words are out of order");
    for misplaced in [&b"\x01b\x01\x01a\x01"[..], b"\x01a\x01\x01a\x01", b"\x01b\x01\x01b\x01", b"\x01c\x01\x01a\x01"] {
        assert_eq!(refused(misplaced), "its words are out of order");
    }
}

#[test]
fn nothing_merges_to_the_identity() {
    assert_eq!(Counts::merge(Vec::new()), Ok(Counts::default()));
}

proptest! {
    #[test]
    fn merging_adds(maps in partials()) {
        let merged = Counts::merge(maps.iter().map(counts).collect());
        prop_assert_eq!(merged, Ok(counts(&sum(&maps))));
    }

    #[test]
    fn the_grouping_does_not_matter(maps in partials(), cut in 0..12_usize, swap in any::<bool>()) {
        let (left, right) = maps.split_at(cut.min(maps.len()));
        let merge = |maps: &[Map]| Counts::merge(maps.iter().map(counts).collect()).unwrap();
        let mut halves = vec![merge(left), merge(right)];
        if swap {
            halves.reverse();
        }
        prop_assert_eq!(Counts::merge(halves), Ok(merge(&maps)));
    }

    #[test]
    fn the_identity_changes_nothing(maps in partials()) {
        for map in &maps {
            prop_assert_eq!(Counts::merge(vec![counts(map), Counts::default()]), Ok(counts(map)));
            prop_assert_eq!(Counts::merge(vec![Counts::default(), counts(map)]), Ok(counts(map)));
        }
    }

    #[test]
    fn partials_travel(maps in partials()) {
        for map in &maps {
            prop_assert_eq!(Counts::decode(counts(map).encode().unwrap()), Ok(counts(map)));
        }
    }
}
