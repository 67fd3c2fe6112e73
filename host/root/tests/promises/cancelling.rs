//! Tests of cancelled and abandoned queries: their answers, and that nothing continues to run.

use frond_root::flow::run;
use frond_root::{Answer, CancellationToken, Floor, Reason};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, request};
use tokio::time::{Instant, sleep};

use crate::{parts, reason, words};

/// A script in which the first four leaves take 100 ms and the others never end.
fn four_then_none() -> Script {
    Script::by(|index, _| if index < 4 { Turn::succeed().after(ms(100)) } else { Turn::never() })
}

#[tokio::test(start_paused = true)]
async fn cancelled_above_the_floor_it_answers_with_what_there_is() {
    let stage = Stage::new(four_then_none());
    let mut request = request();
    request.floor = Floor::BestEffort;
    let start = Instant::now();
    let answer = stage.ask_and_cancel(request, plan(12), ms(300)).await;
    assert!(matches!(answer, Answer::Partial { .. }));
    assert!(start.elapsed() < ms(320), "{:?}", start.elapsed());
    assert_eq!(words(&answer), [0, 1, 2, 3]);
    // Four ran and four were queued: all eight are missing because of the cancel.
    assert_eq!(parts(answer.coverage()), [4, 0, 0, 0, 8, 0]);
    assert_eq!(stage.leaves.counts().stopped, 4);
    assert_eq!(stage.leaves.running(), 0);
    assert_eq!(stage.leaves.counts().begun.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn cancelled_below_the_floor_it_fails_with_its_coverage() {
    let stage = Stage::new(four_then_none());
    let answer = stage.ask_and_cancel(request(), plan(12), ms(300)).await;
    assert_eq!(reason(&answer), &Reason::Cancelled);
    assert_eq!(parts(answer.coverage()), [4, 0, 0, 0, 8, 0]);
    assert_eq!(stage.leaves.running(), 0);
    assert!(stage.merges.finishes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_arrived_at_the_moment_of_the_cancel_counts() {
    // The leaves end together with the cancel, in the pause between two reads of the reports.
    for lead in 0..3 {
        let stage = Stage::new(Script::all(Turn::never()).at(0, Turn::succeed()).at(1, Turn::succeed().after(ms(1))));
        let mut request = request();
        request.floor = Floor::BestEffort;
        let answer = stage.ask_and_cancel(request, plan(3), ms(lead)).await;
        let begun = stage.leaves.counts().begun.len() as u64;
        assert!(parts(answer.coverage())[0] >= u64::from(begun > 0), "{lead}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_before_it_is_planned_it_is_not_scattered() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let answer = run(request(), std::future::pending(), stage.root(), cancel).await.unwrap();
    assert_eq!(reason(&answer), &Reason::Cancelled);
    assert!(stage.leaves.counts().begun.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_is_dropped_stops_its_leaves_and_merges() {
    let stage = Stage::with(four_then_none(), Merges::sorted().hanging_at(0));
    let root = stage.root();
    let query = tokio::spawn(async move {
        let mut request = request();
        request.floor = Floor::BestEffort;
        run(request, async { Ok(plan(12)) }, root, CancellationToken::new()).await
    });
    sleep(ms(300)).await;
    assert_eq!(stage.leaves.running(), 4);
    assert_eq!(stage.merges.live(), 1);
    query.abort();
    sleep(ms(1)).await;
    assert!(stage.leaves.all_closed());
    assert_eq!(stage.leaves.running(), 0);
    assert_eq!(stage.leaves.counts().stopped, 4);
    assert_eq!(stage.leaves.counts().begun.len(), 8);
    assert_eq!(stage.merges.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn leaves_that_are_slow_to_stop_are_waited_for_a_little() {
    // Within the grace of 10 ms the leaves still report their emissions.
    let slow = Turn::never().emitting(ms(10), "70", 0.5).stopping_within(ms(5));
    let stage = Stage::new(Script::all(slow));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask_and_cancel(request, plan(3), ms(100)).await;
    assert_eq!(words(&answer), [70, 70, 70]);
    assert_eq!(parts(answer.coverage()), [0, 3, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn two_queries_on_one_runner_end_each_on_its_own() {
    let script = Script::by(|index, _| Turn::succeed().after(ms(100 + 10 * u64::from(index))));
    let stage = Stage::new(script).on_slots(16);
    let mut other = request();
    other.floor = Floor::BestEffort;
    let (first, second) = tokio::join!(stage.ask(request(), plan(8)), stage.ask_and_cancel(other, plan(8), ms(105)),);
    assert!(matches!(first, Answer::Complete { .. }));
    assert_eq!(words(&second), [0]);
}
