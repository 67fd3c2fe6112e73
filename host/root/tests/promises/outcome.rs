//! Tests of outcomes: complete, partial or failed, when they come, and with which account.

use bytes::Bytes;
use frond_root::answer::{four_decimals, share};
use frond_root::flow::run;
use frond_root::plan::MAX_WEIGHT;
use frond_root::{
    Answer, CancellationToken, Failure, FailureKind, Floor, MergeOrder, Notes, Partition, Plan, Reason, Request,
    Unreadable,
};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, plan_weighing, request};
use tokio::time::Instant;

use crate::{parts, reason, words};

#[tokio::test(start_paused = true)]
async fn everything_in_time_is_a_complete_answer() {
    let stage = Stage::new(Script::all(Turn::succeed().after(ms(10))));
    let answer = stage.ask(request(), plan(20)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    assert_eq!(words(&answer), Vec::from_iter(0..20));
    let coverage = answer.coverage();
    assert!(coverage.complete && coverage.missing.is_empty());
    assert_eq!(parts(coverage), [20, 0, 0, 0, 0, 0]);
    assert_eq!((coverage.fraction, coverage.covered), (1.0, 20));
    assert_eq!(coverage.attempts.started, 20);
    let (_, covered) = stage.merges.finishes()[0].clone();
    assert!(covered.complete && covered.planned == 20 && covered.covered == 20);
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_partitions_is_what_finish_makes_of_nothing() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let answer = stage.ask(request(), plan(0)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    assert_eq!(answer.coverage().fraction, 1.0);
    assert!(answer.coverage().complete);
    assert_eq!(stage.merges.finishes()[0].0, None);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_leaf_does_not_keep_the_answer_beyond_the_deadline() {
    for stalled in [Turn::never(), Turn::never().deaf()] {
        let stage = Stage::new(Script::all(Turn::succeed().after(ms(10))).at(3, stalled));
        let mut request = request();
        // Best effort gathers until the deadline, without an adaptive wait.
        request.floor = Floor::BestEffort;
        let start = Instant::now();
        let answer = stage.ask(request, plan(8)).await;
        assert!(matches!(answer, Answer::Partial { .. }));
        assert!(start.elapsed() < ms(1000) && start.elapsed() > ms(850), "{:?}", start.elapsed());
        assert_eq!(words(&answer), [0, 1, 2, 4, 5, 6, 7]);
        assert_eq!(parts(answer.coverage()), [7, 0, 0, 1, 0, 0]);
        let missing = &answer.coverage().missing;
        assert_eq!(missing.len(), 1);
        assert_eq!((missing[0].key.as_str(), missing[0].index, missing[0].attempts), ("p3", 3, 1));
        assert_eq!(missing[0].slug, Some(FailureKind::OutOfTime));
        assert!(stage.leaves.all_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_began_is_told_from_what_was_cut_off() {
    let stage = Stage::new(Script::all(Turn::never()).at(0, Turn::succeed()));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan(10)).await;
    assert_eq!(parts(answer.coverage()), [1, 0, 0, 4, 0, 5]);
    let missing = &answer.coverage().missing;
    assert!(missing[..4].iter().all(|one| one.attempts == 1 && one.slug == Some(FailureKind::OutOfTime)));
    assert!(missing[4..].iter().all(|one| one.attempts == 0 && one.slug.is_none()));
}

#[tokio::test(start_paused = true)]
async fn below_the_floor_there_is_no_answer_but_an_account() {
    let stage = Stage::new(Script::by(|index, _| if index < 5 { Turn::succeed() } else { Turn::never() }));
    let mut request = request();
    request.floor = Floor::AtLeast(0.6);
    let stage = stage.on_slots(16);
    let start = Instant::now();
    let answer = stage.ask(request, plan(10)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert!(start.elapsed() < ms(1000));
    assert_eq!(parts(answer.coverage()), [5, 0, 0, 5, 0, 0]);
    assert_eq!(answer.coverage().fraction, 0.5);
    assert!(stage.merges.finishes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_floor_counts_weight_and_not_partitions() {
    let script = || Script::all(Turn::succeed()).at(0, Turn::never());
    let mut request = request();
    request.floor = Floor::AtLeast(0.5);
    let light = Stage::new(script()).ask(request.clone(), plan_weighing(&[10, 5, 5])).await;
    assert!(matches!(light, Answer::Partial { .. }));
    let heavy = Stage::new(script()).ask(request, plan_weighing(&[11, 5, 5])).await;
    assert_eq!(reason(&heavy), &Reason::BelowFloor);
    assert_eq!(heavy.coverage().weight.timed_out, 11);
}

#[tokio::test(start_paused = true)]
async fn a_floor_that_is_met_exactly_is_met() {
    // In binary, products such as 0.7 × 10 and 0.1 × 30 are not integers.
    for (least, missing, all) in [(0.7, 3, 10), (0.1, 27, 30), (0.57, 43, 100), (1.0, 0, 7)] {
        let turn = move |index: u32, _: u32| {
            if index < missing { Turn::fail(FailureKind::Trap) } else { Turn::succeed() }
        };
        let stage = Stage::new(Script::by(turn));
        let mut request = request();
        request.floor = Floor::AtLeast(least);
        let answer = stage.ask(request, plan(all)).await;
        assert!(answer.body().is_some(), "{least} of {all}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_reads_as_all_only_when_nothing_is_missing() {
    // As fractions, a weight of 1 in 2^53 or more is lost to rounding.
    let mut weights = vec![MAX_WEIGHT; 1000];
    weights.push(1);
    let stage = Stage::new(Script::all(Turn::succeed()).at(1000, Turn::fail(FailureKind::Trap)));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan_weighing(&weights)).await;
    let fraction = answer.coverage().fraction;
    assert!(!answer.coverage().complete && fraction < 1.0, "{fraction}");
    assert!(serde_json::to_string(answer.coverage()).unwrap().contains("\"fraction\":0.99"));
}

#[test]
fn a_share_has_four_decimals_that_do_not_lie() {
    let shown = [0.0, 1e-9, 0.25, 2.0 / 3.0, 0.999_949, 0.999_999_999_999_94, 1.0].map(four_decimals);
    assert_eq!(shown, ["0.0000", "0.0001", "0.2500", "0.6667", "0.9999", "0.9999", "1.0000"]);
    assert_eq!((share(0, 0), share(2, 2)), (1.0, 1.0));
    assert!(share(u64::MAX - 1, u64::MAX) < 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_lost_is_tried_first_and_ends_a_query_that_needs_all() {
    let lost = |index: u32| {
        let reason = Failure::new(FailureKind::InvalidPartition, "cannot be read");
        let partitions = (0..12).map(|other| {
            if other == index {
                Partition::new("lost", Unreadable::new(reason.clone(), 0))
            } else {
                Partition::new(format!("p{other}"), Bytes::from_static(b"heavier"))
            }
        });
        Plan::new(partitions.collect()).unwrap()
    };
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let script = Script::all(Turn::succeed().after(ms(10))).at(7, Turn::fail(FailureKind::InvalidPartition));
        let stage = Stage::new(script).on_slots(1);
        let request = Request { order, ..request() };
        let answer = stage.ask(request, lost(7)).await;
        assert_eq!(reason(&answer), &Reason::BelowFloor);
        let begun: Vec<_> = stage.leaves.counts().begun.iter().map(|one| one.index).collect();
        // Another leaf may begin before the query reads the failure.
        assert!(begun.first() == Some(&7) && begun.len() <= 2, "{begun:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn remarks_on_inputs_are_in_the_account() {
    let notes = std::sync::Arc::new(Notes::default());
    let stage = Stage::new(Script::all(Turn::succeed()));
    let answer = stage.ask(request(), plan(2).noting(notes)).await;
    assert!(!serde_json::to_string(answer.coverage()).unwrap().contains("notes"));
    let notes = std::sync::Arc::new(Notes::default());
    notes.add("read as it is", "a.gz");
    let answer = stage.ask(request(), plan(2).noting(notes)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    assert_eq!(answer.coverage().notes, ["`a.gz`: read as it is"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_at_the_deadline_is_a_failure_of_its_own() {
    for floor in [Floor::All, Floor::AtLeast(0.5), Floor::BestEffort] {
        let stage = Stage::new(Script::all(Turn::never()));
        let mut request = request();
        request.floor = floor;
        let answer = stage.ask(request, plan(3)).await;
        assert_eq!(reason(&answer), &Reason::Deadline);
        assert_eq!(parts(answer.coverage()), [0, 0, 0, 3, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn best_effort_takes_what_there_is_and_no_less_than_something() {
    let mut request = request();
    request.floor = Floor::BestEffort;
    let one = Stage::new(Script::all(Turn::fail(FailureKind::Trap)).at(7, Turn::succeed()));
    let answer = one.ask(request.clone(), plan(10)).await;
    assert!(matches!(answer, Answer::Partial { .. }));
    assert_eq!(words(&answer), [7]);
    let none = Stage::new(Script::all(Turn::fail(FailureKind::Trap)));
    let answer = none.ask(request, plan(10)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert_eq!(parts(answer.coverage()), [0, 0, 10, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn planning_that_takes_too_long_is_a_failure_in_time() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let start = Instant::now();
    let planning = std::future::pending();
    let answer = run(request(), planning, stage.root(), CancellationToken::new()).await.unwrap();
    assert_eq!(reason(&answer), &Reason::Deadline);
    assert!(start.elapsed() < ms(1000));
    assert!(!answer.coverage().complete);
    assert_eq!(answer.coverage().fraction, 0.0);
}

#[tokio::test(start_paused = true)]
async fn planning_counts_towards_the_deadline() {
    let stage = Stage::new(Script::all(Turn::never()));
    let start = Instant::now();
    let planning = async {
        tokio::time::sleep(ms(600)).await;
        Ok(plan(2))
    };
    let answer = run(request(), planning, stage.root(), CancellationToken::new()).await.unwrap();
    assert_eq!(reason(&answer), &Reason::Deadline);
    assert!(start.elapsed() < ms(1000));
    let timings = answer.coverage().timings;
    assert!((600.0..602.0).contains(&timings.plan), "{timings:?}");
    assert!(timings.gather < 300.0, "{timings:?}");
}

#[tokio::test(start_paused = true)]
async fn tiny_deadlines_are_answered_and_never_panic() {
    for deadline in [0, 1, 2, 3, 5, 10, 50] {
        for script in [Script::all(Turn::succeed()), Script::all(Turn::never().deaf())] {
            let stage = Stage::with(script, Merges::sorted().taking(ms(1)));
            let mut request = request();
            request.deadline = ms(deadline);
            request.floor = Floor::BestEffort;
            let start = Instant::now();
            let answer = stage.ask(request, plan(9)).await;
            assert!(parts(answer.coverage()).iter().sum::<u64>() == 9);
            // Timers count whole milliseconds.
            let grain = if deadline < 4 { 1 } else { 0 };
            assert!(start.elapsed() <= ms(deadline + grain), "{deadline}: {:?}", start.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stragglers_are_named_slowest_first() {
    let stage = Stage::new(
        Script::all(Turn::succeed().after(ms(20)))
            .at(5, Turn::succeed().after(ms(100)))
            .at(2, Turn::succeed().after(ms(60))),
    );
    let answer = stage.ask(request(), plan(12)).await;
    let stragglers = &answer.coverage().stragglers;
    let named: Vec<_> = stragglers.iter().map(|one| (one.key.as_str(), one.times_median)).collect();
    assert_eq!(named, [("p5", 5.0), ("p2", 3.0)]);
}
