//! Tests of what is measured in the events of a query.

use frond_plan::{Confidence, LeafTime};
use frond_root::Floor;
use frond_root::event::GatherEnd;

use super::*;
use crate::show::fixtures::{Stream, stalled};

fn of(stream: &Stream) -> Measurements {
    let mut measured = Measurements::default();
    measured.add(&Model::of(&stream.events));
    measured
}

fn fixed() -> Input<Division> {
    Input::assumed(Division::Fixed)
}

#[test]
fn times_are_those_of_the_leaves_and_of_the_rest() {
    // Two slots run two partitions each, of 10, 20, 30 and 40 ms, with pauses of 2 ms.
    let stream = Stream::new(4, Floor::All)
        .leaf(2, 12, 0, 0)
        .leaf(4, 24, 1, 1)
        .leaf(14, 44, 2, 0)
        .leaf(26, 66, 3, 1)
        .gathered(71, GatherEnd::AllSettled);
    let measured = of(&stream);
    let work = measured.workload(Source::Recording, fixed()).unwrap();
    assert!((work.leaf.value.mean() - 0.025).abs() < 1e-9);
    assert_eq!((work.leaf.samples, work.pieces.value, work.leaf.confidence), (4, 4, Confidence::Low));
    assert!((work.leaf.value.survival(0.035) - 0.25).abs() < 1e-9);
    // The plan took 1 ms, and nothing came after the gather.
    assert!((work.fixed.value - 0.001).abs() < 1e-9, "{work:?}");
    // A pause of 2 ms is shared by two slots; their first attempts are 2 ms apart.
    assert!((work.overhead.value - 0.002).abs() < 1e-9, "{work:?}");
    assert_eq!((work.fold.value, work.fold.source), (0.0, Source::Default));
    assert_eq!(measured.throughputs(), [Throughput { leaves: 4.0, rate: 1.0 / 0.07 }]);
    assert!(measured.availability(Source::Recording).is_none(), "no failure is no proof of none");
}

#[test]
fn leaves_that_were_cut_off_are_no_measurement_of_their_time() {
    let measured = of(&stalled());
    let succeeded = measured.leaves.len();
    assert!((1..5).contains(&succeeded), "{measured:?}");
}

#[test]
fn nothing_is_planned_from_nothing() {
    let empty = Stream::new(3, Floor::All);
    assert!(of(&empty).workload(Source::Recording, fixed()).is_none());
    let open = Stream::new(3, Floor::All).start(2, 0, 1, 0);
    assert!(of(&open).workload(Source::Recording, fixed()).is_none());
}
