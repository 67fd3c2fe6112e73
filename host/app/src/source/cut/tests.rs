//! Laws of cutting: the pieces cover the content, and end at line ends.

use std::io;

use proptest::prelude::*;

use super::{CutError, MAX_PIECE, MIN_PIECE, Span, auto_piece};
use crate::source::cut::Cutting;
use crate::source::{CutMode, PieceSize};

fn cut(content: &[u8], piece: u64, limit: u64, mode: CutMode) -> Result<Vec<Span>, CutError> {
    let cutting = Cutting { piece: PieceSize::Bytes(piece), mode, slots: 1, limit, pulls: false };
    cutting.spans(content.len() as u64, cutting.piece_for(0), |offset, buffer| {
        let from = usize::try_from(offset).unwrap();
        let bytes = content.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    })
}

fn pieces<'a>(content: &'a [u8], spans: &[Span]) -> Vec<&'a [u8]> {
    let piece = |span: &Span| {
        let from = usize::try_from(span.offset).unwrap();
        &content[from..from + usize::try_from(span.len).unwrap()]
    };
    spans.iter().map(piece).collect()
}

/// Lines of up to 40 bytes, some empty, with and without a final line feed.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::collection::vec(b'a'..=b'z', 0..40);
    (prop::collection::vec(line, 0..60), any::<bool>()).prop_map(|(lines, ended)| {
        let mut content = lines.join(&b'\n');
        if ended {
            content.push(b'\n');
        }
        content
    })
}

proptest! {
    #[test]
    fn pieces_are_together_the_whole(content in lines(), piece in 1_u64..200, bytes in any::<bool>()) {
        let mode = if bytes { CutMode::Bytes } else { CutMode::Lines };
        let spans = cut(&content, piece, 1 << 20, mode).unwrap();
        prop_assert_eq!(pieces(&content, &spans).concat(), content);
        prop_assert!(spans.iter().all(|span| span.len > 0));
    }

    #[test]
    fn every_piece_but_the_last_ends_with_its_line(content in lines(), piece in 1_u64..200) {
        let spans = cut(&content, piece, 1 << 20, CutMode::Lines).unwrap();
        let pieces = pieces(&content, &spans);
        for one in pieces.iter().rev().skip(1) {
            prop_assert_eq!(one.last(), Some(&b'\n'));
        }
        // Longer than requested only if it is a single line.
        for one in pieces.iter().filter(|one| one.len() as u64 > piece) {
            prop_assert_eq!(one.iter().filter(|byte| **byte == b'\n').count().max(1), 1);
        }
    }

    #[test]
    fn no_piece_exceeds_the_limit(content in lines(), piece in 1_u64..200, limit in 1_u64..60) {
        match cut(&content, piece, limit, CutMode::Lines) {
            Ok(spans) => prop_assert!(spans.iter().all(|span| span.len <= limit)),
            Err(CutError::LongLine(at)) => {
                let line = content[usize::try_from(at).unwrap()..].split(|byte| *byte == b'\n').next().unwrap();
                prop_assert!(line.len() as u64 + 1 > limit);
            }
            Err(CutError::Read(error)) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn bytes_are_cut_evenly(len in 0_usize..5000, piece in 1_u64..500) {
        let spans = cut(&vec![b'\n'; len], piece, 1 << 20, CutMode::Bytes).unwrap();
        prop_assert_eq!(spans.len() as u64, (len as u64).div_ceil(piece));
        let lens = || spans.iter().map(|span| span.len);
        prop_assert!(lens().max().unwrap_or(0) - lens().min().unwrap_or(0) <= 1);
    }

    #[test]
    fn an_automatic_piece_is_within_its_bounds(total in any::<u64>(), slots in any::<usize>(), limit in 1_u64..(1 << 33)) {
        let piece = auto_piece(total, slots, limit);
        prop_assert!(piece >= MIN_PIECE.min(limit) && piece <= MAX_PIECE.min(limit));
    }
}

#[test]
fn a_line_longer_than_many_blocks_is_one_piece() {
    let mut content = vec![b'x'; 100_000];
    content[99_999] = b'\n';
    content.extend(b"a\nb\n");
    let spans = cut(&content, 1000, 1 << 20, CutMode::Lines).unwrap();
    assert_eq!(spans.first().unwrap().len, 100_000);
    assert!(matches!(cut(&content, 1000, 99_999, CutMode::Lines), Err(CutError::LongLine(0))));
}

#[test]
fn automatic_pieces_follow_the_work_and_the_slots() {
    let mib = 1_u64 << 20;
    let limit = 16 << 20;
    assert_eq!(auto_piece(0, 4, limit), MIN_PIECE);
    assert_eq!(auto_piece(mib, 4, limit), MIN_PIECE);
    assert_eq!(auto_piece(64 * mib, 4, limit), 2 * mib);
    assert_eq!(auto_piece(1 << 40, 4, limit), MAX_PIECE);
    assert_eq!(auto_piece(1 << 40, 4, mib), mib);
    assert_eq!(auto_piece(1 << 40, 0, 1), 1);
}
