//! Tests of the readers: every record comes once, whatever the cuts and the pieces.

use std::ops::Range;

use proptest::prelude::*;

use super::readers::BLOCK;
use super::{Unit, chunks, integers, lines, records};
use crate::testing::{Given, given, partition, range, share};
use crate::{Failure, Raw};

fn record_ends(content: &[u8], range: Range<u64>, piece: u64) -> Vec<(u64, Vec<u8>)> {
    share(content, range, piece, || {
        let mut found = Vec::new();
        let mut reader = records(b';');
        while let Some(record) = reader.next_record() {
            found.push((record.offset, record.bytes.to_vec()));
        }
        found
    })
}

fn blocks(content: &[u8], range: Range<u64>, piece: u64) -> Vec<u8> {
    share(content, range, piece, || {
        let mut found = Vec::new();
        let mut reader = records(b';');
        let mut end = None;
        while let Some(block) = reader.next_block() {
            assert!(end.is_none_or(|end| end == block.offset));
            end = Some(block.end());
            found.extend_from_slice(block.bytes);
        }
        found
    })
}

#[test]
fn a_line_longer_than_any_read_is_whole() {
    let mut content = vec![b'x'; 3 << 20];
    content.push(b'\n');
    content.extend_from_slice(b"end");
    let all = |range: Range<u64>| {
        share(&content, range, 100, || {
            let mut lines = lines();
            let mut sizes = Vec::new();
            while let Some(line) = lines.next_record() {
                sizes.push(line.bytes.len());
            }
            sizes
        })
    };
    assert_eq!(all(0..1), [3 << 20]);
    assert_eq!(all(1..3 << 20), [0; 0]);
    assert_eq!(all(1..content.len() as u64), [3]);
}

#[test]
fn long_lines_in_short_pieces_need_the_memory_of_a_few_lines() {
    const LINE: usize = 1 << 20;
    let bytes = |number: u8| [vec![number; LINE - 1], vec![b'\n']].concat();
    let content: Vec<u8> = (100..200).flat_map(bytes).collect();
    partition(&content, 64 << 10, || {
        let mut lines = lines();
        let mut offset = 0;
        while let Some(line) = lines.next_record() {
            assert_eq!(line.offset, offset as u64);
            assert!(line.bytes == &content[offset..offset + LINE - 1], "the line at {offset}");
            offset += LINE;
            assert!(lines.buffer.capacity() < 8 * LINE, "{} at {offset}", lines.buffer.capacity());
        }
        assert_eq!(offset, content.len());
    });
}

#[test]
fn chunks_are_the_bytes_of_the_pieces() {
    let content = vec![7; (2 << 20) + 5];
    let sizes = share(&content, 3..content.len() as u64, 2 << 20, || {
        let mut reader = chunks();
        let mut sizes = Vec::new();
        while let Some(chunk) = reader.next_chunk() {
            sizes.push(chunk.bytes.len());
        }
        sizes
    });
    assert_eq!(sizes, [BLOCK as usize, BLOCK as usize, 2 * 4096, 2]);
}

#[test]
fn the_end_is_the_end() {
    // The second share begins within the last record, which is in its buffer.
    share(b"a;bcd", 3..5, 1, || {
        let mut reader = records(b';');
        assert_eq!(reader.next_record(), None);
        assert_eq!(reader.next_record(), None);
        assert_eq!(reader.next_block(), None);
    });
}

#[test]
fn a_block_is_what_the_records_have_left() {
    partition(b"a;b;c", 100, || {
        let mut reader = records(b';');
        assert_eq!(reader.next_record().unwrap().bytes, b"a");
        let rest = reader.next_block().unwrap();
        assert_eq!((rest.offset, rest.bytes), (2, &b"b;c"[..]));
        assert_eq!(reader.next_record(), None);
    });
}

#[test]
fn integers_are_those_of_the_range() {
    let ranges = |of, piece| range(of, piece, || integers().unwrap().collect::<Vec<_>>());
    assert_eq!(ranges(-5..6, 4), [-5..-1, -1..3, 3..6]);
    assert_eq!(ranges(i64::MIN..i64::MIN + 2, 1), [i64::MIN..i64::MIN + 1, i64::MIN + 1..i64::MIN + 2]);
    assert_eq!(ranges(7..7, 4), []);
}

#[test]
fn integers_of_other_content_are_refused() {
    let refused = |result| match result {
        Err(Failure::InvalidPartition(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let bytes = refused(partition(br#"{"start": 0, "end": 10}"#, 4, integers));
    assert!(bytes.starts_with("its pieces count bytes, not integers\n"), "{bytes}");
    assert_eq!(refused(range(Range { start: 5, end: 4 }, 4, integers)), "the range 5..4 ends before it starts");
}

/// Sizes of the partials, and of the pieces before each of them.
fn kept(content: usize, piece: u64, partial: impl Fn(usize) -> usize) -> Vec<(u64, usize)> {
    let size = content as u64;
    let content = vec![b'\n'; content];
    let (_, left) = given(Given { content, piece, left: 0..size, ..Given::default() }, || {
        let mut lines = lines();
        let mut read = 0;
        while let Some(block) = lines.next_block() {
            read += block.bytes.len();
            lines.keep(|| Raw(vec![0; partial(read)])).unwrap();
        }
    });
    left.kept.iter().map(|(end, partial)| (*end, partial.len())).collect()
}

#[test]
fn small_partials_are_kept_every_few_pieces() {
    let ends: Vec<_> = kept(500, 10, |_| 1).into_iter().map(|(end, _)| end).collect();
    assert_eq!(ends, [160, 320, 480]);
}

proptest! {
    #[test]
    fn each_record_belongs_to_the_share_in_which_it_begins(
        content in "[a;]{0,60}",
        mut cuts in prop::collection::vec(0_u64..60, 0..6),
        piece in 1_u64..20,
    ) {
        let content = content.as_bytes();
        let size = content.len() as u64;
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(size));
        cuts.extend([0, size]);
        cuts.sort_unstable();
        let mut offset = 0;
        let expected: Vec<(u64, Vec<u8>)> = content.split_inclusive(|byte| *byte == b';').map(|record| {
            let begin = offset;
            offset += record.len() as u64;
            (begin, record.strip_suffix(b";").unwrap_or(record).to_vec())
        }).collect();
        let shares = cuts.windows(2).map(|cut| cut[0]..cut[1]);
        let found: Vec<_> = shares.clone().flat_map(|range| record_ends(content, range, piece)).collect();
        prop_assert_eq!(found, expected);
        let bytes: Vec<u8> = shares.flat_map(|range| blocks(content, range, piece)).collect();
        prop_assert_eq!(bytes, content);
    }

    #[test]
    fn kept_partials_are_a_small_part_of_the_work(
        content in 0_usize..200_000,
        piece in 1_u64..3000,
        share in 1_usize..8,
    ) {
        let kept = kept(content, piece, |read| read / share);
        prop_assert!(kept.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 16 * pair[0].1 as u64), "{:?}", kept);
    }

    #[test]
    fn where_pieces_count_integers_the_content_belongs_to_the_first(
        content in "[a;]{1,60}",
        mut cuts in prop::collection::vec(0_u64..1000, 0..6),
        count in 0_u64..1000,
        piece in 1_u64..400,
    ) {
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(count));
        cuts.extend([0, count]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut shares: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1]).collect();
        if count == 0 {
            shares.push(0..0);
        }
        let read = |left: &Range<u64>, leaf: fn() -> Vec<u8>| {
            let content = content.clone().into_bytes();
            given(Given { content, unit: Unit::Integers, piece, left: left.clone(), ..Given::default() }, leaf).0
        };
        let by_blocks: Vec<u8> = shares.iter().flat_map(|left| read(left, || {
            let mut reader = records(b';');
            let mut found = Vec::new();
            while let Some(block) = reader.next_block() {
                found.extend_from_slice(block.bytes);
            }
            found
        })).collect();
        prop_assert_eq!(by_blocks, content.as_bytes());
        let by_chunks: Vec<u8> = shares.iter().flat_map(|left| read(left, || {
            let mut reader = chunks();
            let mut found = Vec::new();
            while let Some(chunk) = reader.next_chunk() {
                found.extend_from_slice(chunk.bytes);
            }
            found
        })).collect();
        prop_assert_eq!(by_chunks, content.as_bytes());
    }
}
