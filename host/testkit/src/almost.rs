//! Almost valid inputs for parsers: valid ones with a few changes, and sometimes random bytes.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Words that parsers often mishandle.
const WORDS: [&str; 24] = [
    "",
    "\0",
    "\n",
    "\r\n",
    "\"",
    "'",
    "\\",
    "[[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e999",
    "NaN",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "é",
];

/// One change of an input.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Word(Index, Index),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => (place(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        4 => (place(), place()).prop_map(|(at, word)| Change::Word(at, word)),
        2 => (place(), place()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (place(), place(), 2..50_usize).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        2 => (place(), place(), place()).prop_map(|(other, at, from)| Change::Splice(other, at, from)),
    ]
}

/// A range within `bytes` of at most 200 bytes.
fn range(bytes: &[u8], from: Index, to: Index) -> (usize, usize) {
    let from = from.index(bytes.len() + 1);
    (from, from + to.index((bytes.len() - from).min(200) + 1))
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        match self {
            Self::Set(at, byte) if !bytes.is_empty() => *at.get_mut(bytes) = *byte,
            Self::Set(_, byte) => bytes.push(*byte),
            Self::Insert(at, more) => insert(bytes, *at, more),
            Self::Word(at, word) => insert(bytes, *at, word.get(&WORDS).as_bytes()),
            Self::Remove(from, to) => {
                let (from, to) = range(bytes, *from, *to);
                bytes.drain(from..to);
            }
            Self::Repeat(from, to, times) => {
                let (from, to) = range(bytes, *from, *to);
                let again = bytes[from..to].repeat(*times);
                bytes.splice(to..to, again);
            }
            Self::Splice(other, at, from) => {
                let other = other.get(seeds);
                let from = from.index(other.len() + 1);
                bytes.truncate(at.index(bytes.len() + 1));
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: Index, more: &[u8]) {
    let at = at.index(bytes.len() + 1);
    bytes.splice(at..at, more.iter().copied());
}

/// Returns one of `seeds` with up to seven changes, or, one time in ten, random bytes.
pub fn almost<T: AsRef<[u8]> + Debug>(seeds: impl IntoIterator<Item = T>) -> impl Strategy<Value = Vec<u8>> {
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|seed| seed.as_ref().to_vec()).collect();
    let changed = (any::<Index>(), vec(change(), 0..8)).prop_map(move |(seed, changes)| {
        let mut bytes = seed.get(&seeds).clone();
        changes.iter().for_each(|change| change.make(&mut bytes, &seeds));
        bytes
    });
    prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..400)]
}
