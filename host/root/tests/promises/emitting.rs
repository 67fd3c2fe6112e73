//! Tests of emissions: they count, with their share, only if the leaf is cut off.

use std::sync::Arc;

use bytes::Bytes;
use frond_root::{Answer, FailureKind, Floor, MergeOrder, Reason};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, plan_weighing, request};

use crate::{parts, reason, words};

fn best_effort() -> frond_root::Request {
    let mut request = request();
    request.floor = Floor::BestEffort;
    request
}

#[tokio::test(start_paused = true)]
async fn the_last_emission_counts_when_the_leafs_time_is_up() {
    let leaf = Turn::never().emitting(ms(100), "70", 0.25).emitting(ms(200), "70 71", 0.5);
    let stage = Stage::new(Script::all(Turn::succeed()).at(1, leaf));
    let answer = stage.ask(best_effort(), plan_weighing(&[100, 50, 100])).await;
    assert!(matches!(answer, Answer::Partial { .. }));
    assert_eq!(words(&answer), [0, 2, 70, 71]);
    let coverage = answer.coverage();
    assert_eq!(parts(coverage), [2, 1, 0, 0, 0, 0]);
    assert_eq!((coverage.covered, coverage.weight.degraded), (225, 50));
    assert_eq!(coverage.fraction, 0.9);
    let missing = &coverage.missing[0];
    assert_eq!((missing.share, missing.slug), (0.5, Some(FailureKind::OutOfTime)));
    let (_, covered) = stage.merges.finishes()[0].clone();
    assert!(covered.planned == 250 && covered.covered == 225 && !covered.complete);
}

#[tokio::test(start_paused = true)]
async fn it_counts_when_the_leaf_never_says_that_it_stopped() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let leaf = Turn::never().deaf().emitting(ms(100), "70", 0.5);
        let stage = Stage::with(Script::all(Turn::succeed()).at(1, leaf), Merges::joined());
        let mut request = best_effort();
        request.order = order;
        let answer = stage.ask(request, plan(4)).await;
        let mut got = words(&answer);
        got.sort_unstable();
        assert_eq!(got, [0, 2, 3, 70], "{order:?}");
        assert_eq!(parts(answer.coverage()), [3, 1, 0, 0, 0, 0]);
        assert_eq!(answer.coverage().missing[0].slug, Some(FailureKind::OutOfTime));
    }
}

#[tokio::test(start_paused = true)]
async fn in_order_it_stands_where_its_partition_does() {
    let leaf = || Turn::never().emitting(ms(100), "70", 0.5);
    let stage = Stage::with(Script::all(Turn::succeed()).at(1, leaf()).at(2, leaf().deaf()), Merges::joined());
    let mut request = best_effort();
    request.order = MergeOrder::Partition;
    let answer = stage.ask(request, plan(5)).await;
    assert_eq!(words(&answer), [0, 70, 70, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_runs_out_of_fuel_leaves_what_it_had() {
    let leaf = Turn::fail(FailureKind::OutOfFuel).after(ms(50)).emitting(ms(10), "70", 0.75);
    let stage = Stage::new(Script::all(Turn::succeed()).at(0, leaf));
    let answer = stage.ask(best_effort(), plan(2)).await;
    assert_eq!(words(&answer), [1, 70]);
    assert_eq!(answer.coverage().missing[0].slug, Some(FailureKind::OutOfFuel));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_broke_leaves_nothing() {
    for kind in [FailureKind::Trap, FailureKind::InvalidPartition, FailureKind::OutOfMemory] {
        let leaf = Turn::fail(kind).after(ms(50)).emitting(ms(10), "70", 0.75);
        let stage = Stage::new(Script::all(Turn::succeed()).at(0, leaf));
        let answer = stage.ask(best_effort(), plan(2)).await;
        assert_eq!(words(&answer), [1], "{kind}");
        assert_eq!(parts(answer.coverage()), [1, 0, 1, 0, 0, 0], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_emission_of_an_attempt_that_failed_is_not_that_of_the_next() {
    let stage = Stage::new(Script::all(Turn::succeed()).at(0, Turn::never()).at_attempt(
        0,
        1,
        Turn::fail(FailureKind::Unavailable).after(ms(20)).emitting(ms(10), "70", 0.9),
    ));
    let answer = stage.ask(best_effort(), plan(2)).await;
    assert_eq!(words(&answer), [1]);
    assert_eq!(parts(answer.coverage()), [1, 0, 0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_success_replaces_what_was_emitted_before_it() {
    let leaf = Turn::succeed().after(ms(20)).emitting(ms(10), "70", 0.9);
    let stage = Stage::new(Script::all(leaf));
    let answer = stage.ask(best_effort(), plan(3)).await;
    assert_eq!(words(&answer), [0, 1, 2]);
    assert!(answer.coverage().complete);
}

#[tokio::test(start_paused = true)]
async fn what_was_emitted_before_a_success_is_not_held_on_to() {
    /// Bytes that show when they are dropped.
    struct DropProbe(#[expect(dead_code, reason = "it is counted")] Arc<()>);
    impl AsRef<[u8]> for DropProbe {
        fn as_ref(&self) -> &[u8] {
            b"70"
        }
    }
    let alive = Arc::new(());
    let kept = alive.clone();
    let script = Script::by(move |index, attempt| match (index, attempt) {
        (0, 1) => Turn::succeed().after(ms(20)).emitting(ms(10), Bytes::from_owner(DropProbe(kept.clone())), 0.9),
        _ => Turn::succeed().after(ms(500)),
    });
    let stage = Stage::new(script);
    let later = alive.clone();
    let count = tokio::spawn(async move {
        tokio::time::sleep(ms(15)).await;
        let before = Arc::strong_count(&later);
        tokio::time::sleep(ms(100)).await;
        (before, Arc::strong_count(&later))
    });
    stage.ask(best_effort(), plan(2)).await;
    // Three references belong to the test, and one to the emission while it is stored.
    assert_eq!(count.await.unwrap(), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn shares_reach_the_floor_but_do_not_replace_a_required_partition() {
    let script = || Script::all(Turn::succeed()).at(1, Turn::never().emitting(ms(10), "70", 0.5));
    let mut request = request();
    request.floor = Floor::AtLeast(0.7);
    let answer = Stage::new(script()).ask(request.clone(), plan_weighing(&[10, 10])).await;
    assert_eq!(answer.coverage().fraction, 0.75);
    assert!(answer.body().is_some());
    request.required = vec!["p1".into()];
    let answer = Stage::new(script()).ask(request, plan_weighing(&[10, 10])).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_not_everything_however_much_of_it_came() {
    let stage = Stage::new(Script::all(Turn::succeed()).at(1, Turn::never().emitting(ms(10), "70", 1.0)));
    let answer = stage.ask(request(), plan(3)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert_eq!(parts(answer.coverage()), [2, 1, 0, 0, 0, 0]);
    assert!(!answer.coverage().complete);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_no_share_is_brought_within_bounds() {
    for (done, share) in [(f64::NAN, 0.0), (-3.0, 0.0), (7.0, 1.0), (f64::INFINITY, 1.0)] {
        let stage = Stage::new(Script::all(Turn::succeed()).at(1, Turn::never().emitting(ms(10), "70", done)));
        let answer = stage.ask(best_effort(), plan_weighing(&[10, 10])).await;
        let coverage = answer.coverage();
        assert_eq!(coverage.missing[0].share, share, "{done}");
        assert_eq!(coverage.covered, 10 + (10.0 * share) as u64);
        assert!(!coverage.complete);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leafs_own_limit_cuts_it_off_before_the_deadline() {
    let stage = Stage::new(Script::all(Turn::never().emitting(ms(10), "70", 0.5)));
    let mut request = best_effort();
    request.leaf_time = Some(ms(50));
    let start = tokio::time::Instant::now();
    let answer = stage.ask(request, plan(8)).await;
    assert!(start.elapsed() < ms(150), "{:?}", start.elapsed());
    assert_eq!(parts(answer.coverage()), [0, 8, 0, 0, 0, 0]);
    // Each weighs 1: the shares are summed before they are truncated.
    assert_eq!((answer.coverage().covered, answer.coverage().fraction), (4, 0.5));
    assert_eq!(stage.leaves.counts().overran, 8);
}
