//! Ranges: every number once, in order, in pieces of the step.

use frond_root::Partition;
use frond_root::plan::MAX_PARTITIONS;
use proptest::prelude::*;

use super::{auto_step, partitions};
use crate::error::Origin;
use crate::testing::table;

fn cut(start: i64, end: i64, step: Option<u64>, slots: usize) -> Result<Vec<Partition>, String> {
    partitions(start..end, step, (slots, MAX_PARTITIONS), &Origin::Caller).map_err(|error| error.to_string())
}

fn ends(partition: &Partition) -> (i64, i64) {
    let content = partition.content.whole().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&content).unwrap();
    (json["start"].as_i64().unwrap(), json["end"].as_i64().unwrap())
}

#[test]
fn the_last_piece_is_what_is_left() {
    insta::assert_snapshot!(table(&cut(-3, 7, Some(4), 1).unwrap()), @r#"
    -3..1 (4) "{\"start\":-3,\"end\":1}"
    1..5 (4) "{\"start\":1,\"end\":5}"
    5..7 (2) "{\"start\":5,\"end\":7}"
    "#);
}

#[test]
fn an_empty_range_has_no_pieces() {
    assert!(cut(5, 5, None, 4).unwrap().is_empty());
}

#[test]
fn a_range_from_end_to_end_does_not_overflow() {
    let pieces = cut(i64::MIN, i64::MAX, None, 1).unwrap();
    assert_eq!(pieces.len(), 16);
    assert_eq!(ends(&pieces[0]).0, i64::MIN);
    assert_eq!(ends(&pieces[15]).1, i64::MAX);
}

#[test]
fn too_small_a_step_is_refused_before_its_pieces_are_made() {
    insta::assert_snapshot!(cut(0, i64::MAX, Some(1), 1).unwrap_err(), @r"
    9223372036854775807 partitions are more than the 1000000 that one query may have
    (raise source.step, or leave it out)
    ");
}

proptest! {
    #[test]
    fn every_number_is_in_one_piece(start in any::<i64>(), len in 0_u64..10_000, step in prop::option::of(1_u64..500), slots in 0_usize..40) {
        let end = start.saturating_add_unsigned(len);
        let pieces = cut(start, end, step, slots).unwrap();
        let mut next = start;
        for one in &pieces {
            let (from, to) = ends(one);
            prop_assert_eq!(from, next);
            prop_assert_eq!(one.weight, to.abs_diff(from));
            prop_assert_eq!(one.key.as_str(), format!("{from}..{to}"));
            next = to;
        }
        prop_assert_eq!(next, end);
    }

    #[test]
    fn automatic_steps_make_few_pieces(length in any::<u64>(), slots in 1_usize..1000) {
        let step = auto_step(length, slots);
        prop_assert!(length.div_ceil(step) <= slots as u64 * 16);
    }
}
