//! Copies of shares that cannot be cut any more: they start from what was kept.
#![allow(clippy::single_range_in_vec_init, reason = "a list of ranges may have one")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use frond_root::policy::retry::Retry;
use frond_root::{
    Answer, CancellationToken, CopySettings, EventKind, Events, FailureKind, MergeOrder, Request, Services, flow,
};
use frond_testkit::pieces::{PieceLeaves, Step, integers, joined};
use frond_testkit::{Merges, Record, ms, request};
use proptest::prelude::*;

/// Runs a query of leaves that take pieces, with copies.
async fn ask(workers: PieceLeaves, counts: &[u64]) -> (Answer, Record) {
    let record = Record::default();
    let services = Services {
        runner: Arc::new(workers),
        merger: Arc::new(Merges::joined()),
        events: Events::new(vec![Arc::new(record.clone())]),
        journal: None,
        memory: None,
    };
    // Slots take the partitions in order, and retries need no budget.
    let request = Request {
        deadline: Duration::from_secs(600),
        order: MergeOrder::Partition,
        retry: Retry::JOB,
        copies: CopySettings::ON,
        ..request()
    };
    let plan = integers(counts);
    let answer = flow::run(request, async { Ok(plan) }, services, CancellationToken::new()).await.unwrap();
    (answer, record)
}

/// Copies: the partition, and the units if they are not all of it.
fn copies(record: &Record) -> Vec<(u32, Option<(u64, u64)>)> {
    record.all(|event| match event.kind {
        EventKind::AttemptStarted { partition, units, copy_of: Some(_), .. } => Some((partition, units)),
        _ => None,
    })
}

/// Ten slots, of which the first takes this time for a unit.
fn speeds(first: Duration) -> Vec<Duration> {
    (0..10).map(|slot| if slot == 0 { first } else { ms(1) }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_share_that_can_be_cut_is_not_copied() {
    let (answer, record) = ask(PieceLeaves::new(&speeds(ms(5)), |_, _| Step::Go), &[400; 10]).await;
    assert!(answer.coverage().complete && answer.coverage().attempts.cuts > 0);
    assert_eq!(copies(&record), []);
}

#[tokio::test(start_paused = true)]
async fn a_copy_starts_from_what_was_kept_and_both_count() {
    let counts = [2, 20, 20, 20, 20, 20, 20, 20, 20, 20];
    for deaf in [false, true] {
        // The leaf of partition 0 is the first one to have a unit. One is left: too little for a cut.
        let is_first = AtomicBool::new(true);
        let step = move |_: u32, _: &Range<u64>| {
            if is_first.swap(false, Ordering::SeqCst) { Step::Stall(Duration::from_secs(60)) } else { Step::Go }
        };
        let leaves = PieceLeaves::new(&[ms(1); 10], step).deaf(deaf);
        let (answer, record) = ask(leaves, &counts).await;
        assert!(answer.coverage().complete, "{:?}", answer.coverage());
        assert!(copies(&record).contains(&(0, Some((1, 2)))), "{:?}", copies(&record));
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_never_asked_is_copied_whole() {
    let times: Vec<_> = (0..10).map(|slot| if slot == 0 { ms(2000) } else { ms(20) }).collect();
    let leaves = PieceLeaves::new(&times, |_, _| Step::Go);
    let (answer, record) = ask(leaves, &[1; 10]).await;
    assert!(answer.coverage().complete);
    assert_eq!(copies(&record), [(0, None)]);
    assert!(answer.coverage().timings.gather < 70.0, "{:?}", answer.coverage().timings);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Go),
        8 => Just(Step::Keep),
        1 => Just(Step::Return),
        1 => Just(Step::Fail(FailureKind::Unavailable)),
        1 => Just(Step::Vanish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_unit_is_counted_twice_or_lost_beside_copies(
        counts in prop::collection::vec(1_u64..6, 8..30),
        slots in prop::collection::vec(prop_oneof![4 => 1_u64..5, 1 => 50_u64..200], 2..30),
        steps in prop::collection::vec(step(), 1..40),
        deaf: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let times: Vec<_> = slots.iter().map(|millis| ms(*millis)).collect();
        let turn = AtomicUsize::new(0);
        let leaves = PieceLeaves::new(&times, move |attempt, _| {
            let step = steps[turn.fetch_add(1, Ordering::SeqCst) % steps.len()];
            // Every partition is done in the end.
            if attempt > 1 && !matches!(step, Step::Keep) { Step::Go } else { step }
        });
        let (answer, _) = runtime.block_on(ask(leaves.deaf(deaf), &counts));
        prop_assert!(answer.coverage().complete, "{:?}", answer.coverage());
        prop_assert!(answer.coverage().partitions.is_closed());
        let joined = joined(answer.body().unwrap());
        for (index, count) in (0_u32..).zip(&counts) {
            prop_assert_eq!(&joined[&index], &vec![0..*count]);
        }
    }
}
