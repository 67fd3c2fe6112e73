//! The model and the critical path of known and arbitrary events.

use proptest::prelude::*;

use super::figures::Quantiles;
use super::path::Step;
use super::*;
use crate::show::fixtures::arbitrary::*;
use crate::show::fixtures::*;

#[test]
fn what_still_runs_at_the_gathers_end_is_cut_off() {
    let model = Model::of(&stalled().events);
    let scotland = model.attempts_of(model.lane(2).expect("Scotland"))[0];
    assert_eq!((scotland.fate, scotland.end), (Fate::CutOff, 1_800_000));
    assert_eq!(model.odd, 0);
    assert_eq!(model.settled(), 5);
}

#[test]
fn a_result_after_the_gathers_end_is_discarded() {
    let stream = Stream::new(1, Floor::All).start(2, 0, 1, 0).gathered(5, GatherEnd::Deadline).end(6, 0, 1, 0, None);
    let model = Model::of(&stream.events);
    assert_eq!(model.attempts()[0].fate, Fate::Discarded);
}

#[test]
fn a_second_success_of_a_partition_is_discarded() {
    let stream = Stream::new(1, Floor::All).start(2, 0, 1, 0).start(3, 0, 2, 1);
    let model = Model::of(&stream.end(6, 0, 2, 1, None).end(7, 0, 1, 0, None).events);
    let fates: Vec<_> = model.attempts().iter().map(|one| (one.number, one.fate)).collect();
    assert_eq!(fates, [(1, Fate::Discarded), (2, Fate::Used)]);
}

#[test]
fn a_retry_is_queued_from_when_it_may_start() {
    let model = Model::of(&retried().events);
    let queued: Vec<_> = model.attempts_of(&model.lanes[2]).iter().map(|one| (one.queued, one.start)).collect();
    assert_eq!(queued, [(1_000, 3_000), (20_000, 20_000), (90_000, 90_000)]);
}

#[test]
fn without_an_end_leaves_are_still_running() {
    let model = Model::of(&Stream::new(2, Floor::All).leaf(2, 9, 0, 0).start(3, 1, 1, 1).events);
    assert_eq!(model.attempts()[1].fate, Fate::Open);
    assert_eq!((model.until(), model.settled(), model.partitions()), (9_000, 1, 2));
}

#[test]
fn events_without_sense_are_counted() {
    let stream = Stream::new(2, Floor::All)
        .end(9, 0, 1, 0, None)
        .start(3, 1, 1, 1)
        .start(3, 1, 1, 1)
        .at(4, frond_root::EventKind::FoldEnded { fold: 9, bytes: 0, failure: None });
    assert_eq!(Model::of(&stream.events).odd, 3);
}

#[test]
fn quantiles_are_values_that_occurred() {
    let of = |values: &[u64]| Quantiles::of(values.to_vec()).map(|q| (q.n, q.p50, q.p90, q.p99, q.max));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[7]), Some((1, 7, 7, 7, 7)));
    assert_eq!(of(&[4, 1, 3, 2]), Some((4, 2, 4, 4, 4)));
    let hundred: Vec<u64> = (1..=100).collect();
    assert_eq!(of(&hundred), Some((100, 50, 90, 99, 100)));
}

#[test]
fn a_cut_off_leaf_is_a_straggler() {
    let model = Model::of(&stalled().events);
    let (found, more) = model.stragglers();
    assert_eq!((found.len(), more), (1, 0));
    assert_eq!((&*found[0].lane.key, found[0].cut_off), ("Scotland", true));
    assert!(found[0].times_median > 70.0);
}

#[test]
fn slots_are_as_busy_as_their_attempts() {
    let model = Model::of(&retried().events);
    let shares: Vec<_> = model.slots().iter().map(|slot| (slot.slot, slot.attempts, slot.busy)).collect();
    assert_eq!(shares, [(0, 2, 78_000), (1, 2, 39_000), (2, 2, 41_000)]);
}

/// One slot with three leaves that wait at the same time.
fn waiting() -> Stream {
    Stream::new(3, Floor::All)
        .start(1, 0, 1, 0)
        .start(2, 1, 1, 0)
        .start(3, 2, 1, 0)
        .end_after(42, 1, 0, &[(3, 41)])
        .end_after(44, 0, 0, &[(2, 10), (11, 43)])
        .end_after(101, 2, 0, &[(4, 100)])
        .gathered(101, GatherEnd::AllSettled)
}

#[test]
fn a_slot_is_not_busy_while_its_attempts_wait() {
    let model = Model::of(&waiting().events);
    let slots = model.slots();
    let [slot] = &slots[..] else { panic!("{slots:?}") };
    assert_eq!((slot.attempts, slot.busy), (3, 7000));
    assert_eq!((model.waiting, model.waited, model.odd), (3, 38_000 + 40_000 + 96_000, 0));
    let times: Vec<_> = model.attempts().iter().map(|one| (one.time(), one.waited)).collect();
    assert_eq!(times, [(43_000, 40_000), (40_000, 38_000), (98_000, 96_000)]);
    let waits: Vec<_> = model.attempts().iter().map(|one| model.waits_of(one).len()).collect();
    assert_eq!(waits, [2, 1, 1]);
}

#[test]
fn the_path_tells_of_waits() {
    let path = check_path(&waiting());
    assert!(path.contains("Scotland runs, of which it waits 96.0 ms"), "{path}");
}

fn check_path(stream: &Stream) -> String {
    let path = Model::of(&stream.events).critical_path();
    let steps = path.iter().map(|step| format!("{:>9} {:>9}  {}\n", step.from, step.to, step.what));
    steps.collect()
}

#[test]
fn the_path_of_a_whole_query_ends_with_its_last_leaf_and_the_merges_after_it() {
    insta::assert_snapshot!(check_path(&complete()), @r"
        0      1000  plan
     1000     21000  Yorkshire waits for a slot
    21000     92000  Yorkshire runs
    92000     94000  merge 1 of 2 partials
    94000     97000  finish
    ");
}

#[test]
fn the_path_of_a_stalled_query_goes_through_the_stalled_leaf() {
    insta::assert_snapshot!(check_path(&stalled()), @r"
          0      1000  plan
       1000      3000  Scotland waits for a slot
       3000   1800000  Scotland runs, and is cut off
    1800000   1801000  merge waits
    1801000   1810000  finish
    ");
}

#[test]
fn the_path_of_an_unfinished_query_goes_through_what_runs_longest() {
    let stream = Stream::new(3, Floor::All).start(2, 1, 1, 1).leaf(2, 9, 0, 0).leaf(10, 14, 2, 0);
    insta::assert_snapshot!(check_path(&stream), @r"
       0      1000  plan
    1000      2000  South East waits for a slot
    2000     14000  South East runs, still
    ");
}

#[test]
fn the_path_of_a_retried_partition_shows_every_try() {
    insta::assert_snapshot!(check_path(&retried()), @r"
         0      1000  plan
      1000      3000  Scotland waits for a slot
      3000      4000  Scotland runs, and fails: unavailable
      4000     20000  pause before Scotland is tried again
     20000     60000  Scotland runs, attempt 2, and fails: unavailable
     60000     90000  pause before Scotland is tried again
     90000    140000  Scotland runs, attempt 3
    140000    145000  merge 0 of 3 partials
    145000    150000  finish
    ");
}

#[test]
fn the_path_of_a_failed_merge_ends_in_it() {
    insta::assert_snapshot!(check_path(&merge_failed()), @r"
        0      1000  plan
     1000      2000  London waits for a slot
     2000     28000  London runs
    28000     29000  merge waits
    29000     43000  merge 0 of 2 partials
    43000     44000  answer
    ");
}

#[test]
fn a_hundred_thousand_partitions_have_a_model() {
    let stream = many(100_000);
    let model = Model::of(&stream.events);
    let steps = model.critical_path().len() + model.stragglers().0.len() + model.slots().len();
    assert!(steps > 0);
}

fn assert_is_contiguous(path: &[Step], until: u64) {
    let mut now = 0;
    for step in path {
        assert_eq!(step.from, now);
        assert!(step.to > now);
        now = step.to;
    }
    assert_eq!(now, until);
}

proptest! {
    #[test]
    fn the_steps_of_the_path_add_up_to_the_whole(events in any_events()) {
        let model = Model::of(&events);
        assert_is_contiguous(&model.critical_path(), model.until());
        let all: usize = model.lanes.iter().map(|lane| model.attempts_of(lane).len()).sum();
        prop_assert_eq!(all, model.attempts().len());
    }
}
