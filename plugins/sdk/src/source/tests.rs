//! Tests of the reader, over a source of known content.

use std::io::{BufRead, Read};

use super::{PIECE, Reader};

const SIZE: u64 = 2 * PIECE as u64 + 10;

/// Reads from the known content: the byte at an offset is the offset modulo 251, a prime, so that
/// pieces differ.
fn pull(offset: u64, len: u32) -> Vec<u8> {
    let end = SIZE.min(offset.saturating_add(u64::from(len)));
    (offset..end).map(|at| (at % 251) as u8).collect()
}

fn whole() -> Vec<u8> {
    pull(0, u32::MAX)
}

#[test]
fn pieces_cover_the_partition() {
    let mut reader = Reader::new(pull);
    let mut sizes = Vec::new();
    let mut content = Vec::new();
    while let Some(piece) = reader.next_piece() {
        sizes.push(piece.len());
        content.extend_from_slice(piece);
    }
    assert_eq!(sizes, [PIECE as usize, PIECE as usize, 10]);
    assert!(content == whole());
}

#[test]
fn reading_gives_the_same_bytes() {
    let mut content = Vec::new();
    Reader::new(pull).read_to_end(&mut content).unwrap();
    assert!(content == whole());
}

#[test]
fn a_piece_begins_where_reading_stopped() {
    let mut reader = Reader::new(pull);
    let mut line = Vec::new();
    reader.read_until(9, &mut line).unwrap();
    assert_eq!(line, (0..10).collect::<Vec<u8>>());
    assert_eq!(reader.next_piece().map(|piece| piece[0]), Some(10));
}

#[test]
fn an_empty_partition_has_no_piece() {
    assert_eq!(Reader::new(|_, _| Vec::new()).next_piece(), None);
    assert_eq!(super::reader().next_piece(), None);
}
