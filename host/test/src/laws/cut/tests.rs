//! Tests of schedules and contents, without a leaf.

use std::collections::BTreeSet;

use bytes::Bytes;
use frond_root::{Grain, Units};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use super::sample::Sample;
use super::schedule::Schedule;

fn samples() -> impl Strategy<Value = Sample> {
    prop_oneof![
        "[ab\n]{2,40}".prop_map(|text| Sample::Bytes(Bytes::from(text))),
        (-50..50_i64, 2..60_i64).prop_map(|(start, len)| Sample::Integers { start, end: start + len }),
    ]
}

proptest! {
    #[test]
    fn parts_make_the_whole_and_simpler_ones_are_smaller(sample in samples(), seed: u64) {
        let schedule = Schedule::random(&sample, &mut ChaCha12Rng::seed_from_u64(seed));
        let mut parts = schedule.parts(sample.units());
        parts.sort_by_key(|part| part.start);
        prop_assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, sample.units()));
        prop_assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        prop_assert!(parts.iter().all(|part| !part.is_empty()));
        let size = |sample: &Sample, schedule: &Schedule| {
            let Schedule { cuts, ends, kill, backwards } = schedule;
            (sample.units(), cuts.len() + ends.len() + usize::from(kill.is_some()) + usize::from(*backwards))
        };
        for (less, simpler) in schedule.simpler(&sample) {
            prop_assert!(size(&less, &simpler) < size(&sample, &schedule), "{less:?} {simpler:?}");
            let places = simpler.cuts.iter().chain(&simpler.ends).chain(&simpler.kill);
            prop_assert!(places.copied().all(|place| 0 < place && place < less.units()));
        }
    }

    #[test]
    fn a_schedule_for_kept_partials_has_one_part_and_a_late_kill(sample in samples(), seed: u64) {
        let Schedule { cuts, ends, kill, .. } = Schedule::keeping(&sample, &mut ChaCha12Rng::seed_from_u64(seed));
        prop_assert_eq!((cuts.len(), ends), (0, (1..sample.units()).collect()));
        prop_assert!(kill.is_some_and(|kill| kill >= sample.units() / 2));
    }

    #[test]
    fn a_short_content_is_repeated_and_a_long_one_is_halved(text in "[ab]{0,9}\n[ab\n]{0,2000}") {
        let sample = Sample::Bytes(Bytes::from(text.clone()));
        match sample.repeated() {
            None => prop_assert!(text.len() >= 1024),
            Some(repeated) => {
                prop_assert!(text.len() < 1024 && repeated.units() >= 1024);
                let repeated = String::from_utf8(repeated.content().to_vec()).unwrap();
                prop_assert!(repeated.ends_with(&text));
                let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
                prop_assert_eq!(lines(&repeated), lines(&text));
            }
        }
        if let Some(half) = sample.halved() {
            prop_assert!(half.units() >= 1024 && half.content().ends_with(b"\n"));
            prop_assert!(sample.content().starts_with(&half.content()));
        }
    }

    #[test]
    fn a_content_loses_its_records_one_by_one(sample in samples()) {
        for run in sample.record_runs() {
            if let Some(left) = sample.without(&run) {
                prop_assert_eq!(left.units(), sample.units() - (run.end - run.start));
            }
        }
        let ends = sample.ends();
        prop_assert_eq!(ends.last(), Some(&sample.units()));
    }
}

#[test]
fn a_content_of_other_units_is_no_sample() {
    let sample = Sample::Bytes(Bytes::from_static(b"{\"start\":0,\"end\":5}"));
    let bytes = Units { count: sample.units(), grain: Grain::Byte };
    assert!(sample.is_of(bytes));
    for other in [Grain::Whole, Grain::Integer] {
        assert!(!sample.is_of(Units { grain: other, ..bytes }));
    }
    let range = Sample::Integers { start: -2, end: 3 };
    assert!(range.is_of(Units { count: 5, grain: Grain::Integer }));
    assert!(!range.is_of(Units { count: 6, grain: Grain::Integer }));
}
