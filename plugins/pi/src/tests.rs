//! Tests that the estimate is near pi, and that it does not depend on how the range is cut.

use std::ops::Range;

use frond_plugin::testing::{partition, range};
use frond_plugin::{Coverage, Failure, Partition};
use proptest::prelude::*;

use super::{Query, Sampled, answer, merge, process, sample};

const WHOLE: Coverage = Coverage { planned: 1000, covered: 1000, complete: true };

#[test]
fn a_million_points_estimate_pi() {
    for seed in 0..4 {
        let answer = answer(sample(seed, 0..1_000_000), WHOLE);
        let pi = answer.pi.unwrap();
        let error = answer.std_error.unwrap();
        assert!((0.0016..0.0017).contains(&error), "{error}");
        assert!((pi - std::f64::consts::PI).abs() < 3.0 * error, "{pi} ± {error}");
    }
}

#[test]
fn seeds_take_other_points() {
    assert_ne!(sample(1, 0..100_000).hits, sample(2, 0..100_000).hits);
}

fn leaf() -> Result<Sampled, Failure> {
    process(Query { seed: 1 }, Partition { key: "0".to_owned(), index: 0, data: Vec::new() })
}

#[test]
fn a_leaf_samples_its_range() {
    assert_eq!(range(5..10_000_005, 300_000, leaf).unwrap(), sample(1, 5..10_000_005));
    assert_eq!(range(-5..5, 300_000, leaf).unwrap(), sample(1, -5..0).and(sample(1, 0..5)));
    assert_eq!(range(5..5, 300_000, leaf).unwrap(), Sampled::default());
}

#[test]
fn a_partition_that_is_no_range_is_refused() {
    let reason = |result| match result {
        Err(Failure::InvalidPartition(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(range(Range { start: 5, end: 4 }, 1, leaf)), "the range 5..4 ends before it starts");
    let written = reason(partition(br#"{"start": 5, "end": 6}"#, 1, leaf));
    assert!(written.starts_with("its pieces count bytes, not integers"), "{written}");
}

#[test]
fn the_answer_says_what_stands_behind_it() {
    let coverage = Coverage { planned: 1000, covered: 100, complete: false };
    let json = serde_json::to_string(&answer(Sampled { samples: 100, hits: 80 }, coverage)).unwrap();
    assert_eq!(json, r#"{"pi":3.2,"std-error":0.16,"samples":100,"hits":80,"planned":1000,"complete":false}"#);
    let json = serde_json::to_string(&answer(Sampled::default(), coverage)).unwrap();
    assert_eq!(json, r#"{"pi":null,"std-error":null,"samples":0,"hits":0,"planned":1000,"complete":false}"#);
}

proptest! {
    #[test]
    fn cuts_and_grouping_do_not_matter(
        mut cuts in prop::collection::vec(0..5000_i64, 0..8),
        grouped in 0..8_usize,
        seed: u64,
    ) {
        cuts.extend([0, 5000]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|cut| sample(seed, cut[0]..cut[1])).collect();
        let query = Query { seed };
        let (left, right) = parts.split_at(grouped.min(parts.len()));
        let halves = [right, left].map(|half| merge(query, half.to_vec()).unwrap());
        prop_assert_eq!(merge(query, halves.to_vec()).unwrap(), sample(seed, 0..5000));
    }
}
