//! Streams are cut like files, and bounded.

use std::io::{self, Read};

use frond_root::{Grain, Partition, Units};
use proptest::prelude::*;

use super::drain;
use crate::error::AppError;
use crate::source::cut::Cutting;
use crate::source::{CutMode, PieceSize};

const LIMIT: u64 = 1 << 20;

/// A reader that returns a few bytes at a time, like a pipe.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(buffer.len());
        let len = self.0.read(&mut buffer[..len])?;
        Ok(len)
    }
}

fn cut(input: impl Read, piece: u64, mode: CutMode, limit: u64, most: u64) -> Result<Vec<Partition>, AppError> {
    let cutting = Cutting { piece: PieceSize::Bytes(piece), mode, slots: 1, limit, pulls: false };
    drain(input, cutting, most)
}

fn bytes(partitions: &[Partition]) -> Vec<Vec<u8>> {
    partitions.iter().map(|one| one.content.whole().unwrap().to_vec()).collect()
}

fn refused(result: Result<Vec<Partition>, AppError>) -> String {
    result.unwrap_err().to_string()
}

proptest! {
    #[test]
    fn pieces_are_together_the_whole(
        content in prop::collection::vec(prop_oneof![4 => b'a'..=b'z', 1 => Just(b'\n')], 0..2000),
        piece in 1_u64..100,
        trickle in 1_usize..50,
        anywhere in any::<bool>(),
    ) {
        let mode = if anywhere { CutMode::Bytes } else { CutMode::Lines };
        let partitions = cut(Trickle(&content, trickle), piece, mode, LIMIT, LIMIT).unwrap();
        let pieces = bytes(&partitions);
        prop_assert_eq!(pieces.concat(), content);
        let mut offset = 0;
        for (one, partition) in pieces.iter().zip(&partitions) {
            prop_assert_eq!(partition.key.as_str(), format!("stdin#{offset}+{}", one.len()));
            prop_assert!(!one.is_empty());
            offset += one.len();
        }
        for one in pieces.iter().rev().skip(1) {
            let well_cut = if anywhere { one.len() as u64 == piece } else { one.ends_with(b"\n") };
            prop_assert!(well_cut);
        }
        for one in pieces.iter().filter(|one| one.len() as u64 > piece) {
            prop_assert!(one.iter().filter(|byte| **byte == b'\n').count() <= 1);
        }
    }
}

#[test]
fn a_line_longer_than_many_blocks_is_one_piece() {
    let mut content = vec![b'x'; 300_000];
    content.extend(b"\na\n");
    let partitions = cut(&content[..], 1000, CutMode::Lines, LIMIT, LIMIT).unwrap();
    assert_eq!(partitions[0].weight, 300_001);
    assert_eq!(partitions[1].key.as_str(), "stdin#300001+2");
}

#[test]
fn a_line_longer_than_a_partition_is_refused() {
    insta::assert_snapshot!(refused(cut(&b"a\nlonger line\n"[..], 4, CutMode::Lines, 8, LIMIT)), @r#"
    the line at byte 2 of stdin is longer than a partition may be: 8 bytes
    (raise limits.leaf.partition, or set source.cut = "bytes" to cut within lines)
    "#);
    insta::assert_snapshot!(refused(cut(&b"a\nlonger line"[..], 4, CutMode::Lines, 8, LIMIT)), @r#"
    the line at byte 2 of stdin is longer than a partition may be: 8 bytes
    (raise limits.leaf.partition, or set source.cut = "bytes" to cut within lines)
    "#);
    assert_eq!(cut(&b"a\nlonger line\n"[..], 4, CutMode::Bytes, 8, LIMIT).unwrap().len(), 4);
}

#[test]
fn no_more_is_held_than_the_bound() {
    insta::assert_snapshot!(refused(cut(io::repeat(b'\n'), 1024, CutMode::Lines, LIMIT, LIMIT)), @r"
    more than 1 MiB are piped in
    (write the data to a file, and name the file as the input: files are not held in memory)
    ");
    insta::assert_snapshot!(refused(cut(io::repeat(b'x'), 1024, CutMode::Lines, 1 << 30, LIMIT)), @r"
    more than 1 MiB are piped in
    (write the data to a file, and name the file as the input: files are not held in memory)
    ");
    assert_eq!(cut(io::repeat(b'x').take(LIMIT), LIMIT, CutMode::Bytes, LIMIT, LIMIT).unwrap().len(), 1);
}

#[test]
fn a_broken_pipe_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    insta::assert_snapshot!(refused(cut(Broken, 4, CutMode::Lines, LIMIT, LIMIT)), @"cannot read stdin");
}

#[test]
fn compressed_input_is_one_partition_for_leaves_that_read_it_themselves() {
    let input = [&b"\x1f\x8b\x08"[..], &b"line\n".repeat(100)].concat();
    let cutting = Cutting { piece: PieceSize::Bytes(50), mode: CutMode::Lines, slots: 1, limit: u64::MAX, pulls: true };
    let partitions = drain(Trickle(&input, 7), cutting, LIMIT).unwrap();
    let [only] = &partitions[..] else { panic!("{partitions:?}") };
    assert_eq!(only.content.whole().unwrap(), input);
    assert_eq!(only.content.units(), Units { count: input.len() as u64, grain: Grain::Whole });
    assert!(drain(Trickle(&input, 7), cutting, 100).is_err(), "it is bounded all the same");
    let others = Cutting { limit: LIMIT, pulls: false, ..cutting };
    assert!(drain(Trickle(&input, 7), others, LIMIT).unwrap().len() > 1);
}
