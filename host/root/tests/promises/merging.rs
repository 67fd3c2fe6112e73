//! Tests of merges in the whole flow: their times, order and bounds, and that a failure ends only
//! its own query.

use frond_root::{Answer, FailureKind, Floor, MergeOrder, Reason};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, request};
use tokio::time::Instant;

use crate::{parts, reason, words};

#[tokio::test(start_paused = true)]
async fn a_merge_that_fails_ends_the_query_with_its_coverage() {
    let stage = Stage::with(
        Script::by(|index, _| if index < 8 { Turn::succeed().after(ms(50)) } else { Turn::never() }),
        Merges::sorted().failing_at(0, FailureKind::Trap),
    );
    let mut request = request();
    let stage = stage.on_slots(12);
    request.floor = Floor::BestEffort;
    let start = Instant::now();
    let answer = stage.ask(request, plan(20)).await;
    let Reason::Merge(failure) = reason(&answer) else {
        panic!("{answer:?}");
    };
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(start.elapsed() < ms(80), "{:?}", start.elapsed());
    assert!(!answer.coverage().complete);
    assert_eq!(parts(answer.coverage())[0], 8);
    assert!(stage.leaves.all_closed());
    assert_eq!((stage.leaves.running(), stage.merges.live()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_merge_may_call_the_query_wrong() {
    let stage = Stage::with(Script::all(Turn::succeed()), Merges::sorted().failing_at(0, FailureKind::InvalidQuery));
    let answer = stage.ask(request(), plan(4)).await;
    assert!(matches!(reason(&answer), Reason::InvalidQuery(_)));
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_hangs_does_not_keep_the_answer_beyond_the_deadline() {
    for merges in [Merges::sorted().hanging_at(0), Merges::sorted().finish_hanging()] {
        let stage = Stage::with(Script::all(Turn::succeed().after(ms(10))), merges);
        let start = Instant::now();
        let answer = stage.ask(request(), plan(16)).await;
        let Reason::Merge(failure) = reason(&answer) else {
            panic!("{answer:?}");
        };
        assert_eq!(failure.kind, FailureKind::OutOfTime);
        assert!(start.elapsed() < ms(1000));
        assert_eq!(parts(answer.coverage())[0], 16);
        assert_eq!(stage.merges.live(), 0);
    }
}

/// Both a merge that panics at its first poll and one that waits first.
#[tokio::test(start_paused = true)]
async fn a_merge_that_panics_is_a_failure_with_coverage() {
    for takes in [ms(0), ms(5)] {
        let merges = Merges::by(|_| panic!("on purpose")).taking(takes);
        let stage = Stage::with(Script::all(Turn::succeed()), merges);
        let answer = stage.ask(request(), plan(4)).await;
        assert!(matches!(reason(&answer), Reason::Merge(failure) if failure.kind == FailureKind::Lost));
        assert_eq!(parts(answer.coverage())[0], 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_finish_that_fails_is_a_failure_with_coverage() {
    let stage = Stage::with(Script::all(Turn::succeed()), Merges::sorted().finish_failing(FailureKind::OutOfMemory));
    let answer = stage.ask(request(), plan(4)).await;
    assert!(matches!(reason(&answer), Reason::Merge(failure) if failure.kind == FailureKind::OutOfMemory));
    assert_eq!(parts(answer.coverage())[0], 4);
}

#[tokio::test(start_paused = true)]
async fn partials_are_folded_while_leaves_still_run() {
    let stage = Stage::new(Script::by(|index, _| Turn::succeed().after(ms(1 + u64::from(index) % 4))));
    let answer = stage.ask(request(), plan(1000)).await;
    assert_eq!(words(&answer), Vec::from_iter(0..1000));
    let last_leaf = stage.leaves.counts().begun.last().unwrap().at;
    let early = stage.merges.folds().iter().filter(|fold| fold.began < last_leaf).count();
    assert!(early >= 10, "{early} folds began before the last leaf did");
}

#[tokio::test(start_paused = true)]
async fn a_pair_is_folded_when_nothing_else_arrives() {
    let stage = Stage::new(Script::all(Turn::succeed().after(ms(10))).at(2, Turn::succeed().after(ms(500))));
    stage.ask(request(), plan(3)).await;
    let folds = stage.merges.folds();
    assert_eq!(folds.len(), 2);
    assert_eq!(folds[0].inputs.len(), 2);
    assert!(folds[1].began - folds[0].began > ms(400), "the first fold should not have waited for the last leaf");
}

#[tokio::test(start_paused = true)]
async fn large_partials_are_folded_while_the_last_leaves_run() {
    let large = |after| Turn::give(vec![b'x'; 64 << 10]).after(after);
    let stage =
        Stage::with(Script::all(large(ms(10))).at(3, large(ms(15))), Merges::by(|partials| partials[0].clone()));
    stage.ask(request(), plan(4)).await;
    let folds = stage.merges.folds();
    assert_eq!(folds.iter().map(|fold| fold.inputs.len()).collect::<Vec<_>>(), [3, 2]);
    assert!(folds[0].began < folds[1].began, "the first fold did not wait for the last leaf");
}

#[tokio::test(start_paused = true)]
async fn the_tree_is_as_deep_as_its_fan_in_makes_it() {
    for (order, fan_in, folds) in [(MergeOrder::Any, 64, 8 + 1), (MergeOrder::Partition, 8, 64 + 8 + 1)] {
        let stage = Stage::with(Script::all(Turn::succeed()), Merges::sorted());
        let mut request = request();
        request.order = order;
        let answer = stage.ask(request, plan(512)).await;
        assert_eq!(words(&answer), Vec::from_iter(0..512));
        let seen = stage.merges.folds();
        assert!(seen.iter().all(|fold| (2..=fan_in).contains(&fold.inputs.len())));
        assert_eq!(seen.iter().map(|fold| fold.depth).max(), Some(if fan_in == 64 { 2 } else { 3 }), "{order:?}");
        assert_eq!(seen.len(), folds, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn folds_of_one_query_run_side_by_side_within_bounds() {
    let stage = Stage::with(Script::all(Turn::succeed()), Merges::sorted().taking(ms(10)));
    let answer = stage.ask(request(), plan(256)).await;
    assert_eq!(words(&answer), Vec::from_iter(0..256));
    let folds = stage.merges.folds();
    let at_once = |at| folds.iter().filter(|fold| fold.began <= at && fold.ended.unwrap() > at).count();
    let most = folds.iter().map(|fold| at_once(fold.began)).max();
    assert_eq!(most, Some(4));
}

#[tokio::test(start_paused = true)]
async fn an_ordered_merge_sees_partials_in_the_order_of_partitions() {
    // Leaves end in reverse order, and some in the middle fail.
    let gone = |index: u32| index % 7 == 3 || (20..29).contains(&index);
    let stage = Stage::with(
        Script::by(move |index, _| {
            if gone(index) {
                Turn::fail(FailureKind::Trap).after(ms(3))
            } else {
                Turn::succeed().after(ms(u64::from(100 - index)))
            }
        }),
        Merges::joined().taking(ms(1)),
    );
    let mut request = request();
    let stage = stage.on_slots(60);
    request.floor = Floor::BestEffort;
    request.order = MergeOrder::Partition;
    let answer = stage.ask(request, plan(60)).await;
    let there: Vec<u32> = (0..60).filter(|index| !gone(*index)).collect();
    assert_eq!(words(&answer), there);
}

#[tokio::test(start_paused = true)]
async fn an_ordered_merge_with_a_gap_waits_without_spinning() {
    // Partials 0 and 2 are not adjacent: there is nothing to fold, and nothing to do until 1
    // arrives.
    let stage = Stage::with(Script::all(Turn::succeed()).at(1, Turn::succeed().after(ms(800))), Merges::joined());
    let mut request = request();
    request.order = MergeOrder::Partition;
    let answer = stage.ask(request, plan(3)).await;
    assert_eq!(words(&answer), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_partial_is_finished_without_a_fold() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let answer = stage.ask(request(), plan(1)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    assert!(stage.merges.folds().is_empty());
    assert_eq!(stage.merges.finishes()[0].0.as_deref(), Some(&b"0"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_merge_within_its_reserve_keeps_the_answer() {
    let stage = Stage::with(
        Script::all(Turn::succeed().after(ms(10))).at(3, Turn::never()),
        Merges::sorted().taking(ms(25)).finishing_after(ms(25)),
    );
    let mut request = request();
    request.floor = Floor::BestEffort;
    let start = Instant::now();
    let answer = stage.ask(request, plan(20)).await;
    assert!(matches!(answer, Answer::Partial { .. }));
    assert!(start.elapsed() < ms(1000));
    assert_eq!(parts(answer.coverage()), [19, 0, 0, 1, 0, 0]);
}
