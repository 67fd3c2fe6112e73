//! Tests of the memory for partials: backpressure bounds it, and never waits without end.

use bytes::Bytes;
use frond_root::{Answer, EventKind, Floor, MergeOrder, Request};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, request};

const PARTIAL: usize = 1000;

/// A merge whose result has the size of one input.
fn shrinking() -> Merges {
    Merges::by(|partials| partials[0].clone())
}

/// A merge whose result is as large as its inputs together.
fn growing() -> Merges {
    Merges::by(|partials| Bytes::from(partials.concat()))
}

/// A request with memory for eight partials, charged at 1.5 times their size.
fn tight() -> Request {
    let mut request = request();
    request.leaf_output = PARTIAL as u64;
    request.partials_memory = 12_000;
    request
}

fn big() -> Turn {
    Turn::give(vec![b'x'; PARTIAL])
}

fn holds(stage: &Stage) -> Vec<(bool, u64)> {
    stage.record.all(|event| match event.kind {
        EventKind::Held { held, bytes } => Some((held, bytes)),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn leaves_are_held_back_until_folds_have_made_room() {
    let stage = Stage::with(Script::all(big().after(ms(2))), shrinking().taking(ms(20)));
    let mut request = tight();
    request.deadline = ms(60_000);
    let answer = stage.ask(request, plan(300)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    let holds = holds(&stage);
    assert!(holds.len() >= 4, "{holds:?}");
    for pair in holds.chunks(2) {
        assert!(pair[0].0 && pair.get(1).is_none_or(|release| !release.0), "{holds:?}");
    }
    // The excess over the limit is bounded by the leaves that ran when it was passed, and by those
    // that ended before the next read.
    let most = holds.iter().map(|(_, bytes)| *bytes).max().unwrap();
    assert!(most <= 8000 + 2 * 4 * PARTIAL as u64, "{most}");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_stays_bounded_while_merges_are_slow() {
    let stage = Stage::with(Script::all(big().after(ms(1))), shrinking().taking(ms(50))).on_slots(8);
    let mut request = tight();
    request.deadline = ms(600_000);
    stage.ask(request, plan(500)).await;
    let folds = stage.merges.folds();
    let mut held: Vec<u64> = Vec::new();
    let mut now = 0_i64;
    let mut changes: Vec<_> =
        folds.iter().flat_map(|fold| [(fold.began, 0), (fold.ended.unwrap(), 1 - fold.inputs.len() as i64)]).collect();
    let begun = stage.leaves.counts().begun;
    changes.extend(begun.iter().map(|leaf| (leaf.at + ms(1), 1)));
    changes.sort();
    for (_, change) in changes {
        now += change;
        held.push(now.try_into().unwrap());
    }
    assert!(*held.iter().max().unwrap() <= 8 + 2 * 8, "{:?}", held.iter().max());
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_does_not_shrink_is_never_waited_for_in_vain() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let stage = Stage::with(Script::all(big().after(ms(2))), growing());
        let mut request = tight();
        request.order = order;
        let answer = stage.ask(request, plan(40)).await;
        assert!(matches!(answer, Answer::Complete { .. }), "{order:?}: {answer:?}");
        assert_eq!(answer.body().unwrap().len(), 40 * PARTIAL);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_an_ordered_merge_is_never_held_back_for_its_own_sake() {
    // The partitions between the held partials are retried when the memory is full: backpressure
    // would then wait for exactly the leaves that it holds back.
    let stage = Stage::with(
        Script::by(|index, attempt| match (index % 2, attempt) {
            (1, 1) if index < 20 => Turn::fail(frond_root::FailureKind::Unavailable).after(ms(1)),
            _ => big().after(ms(1)),
        }),
        shrinking(),
    );
    let mut request = tight();
    request.order = MergeOrder::Partition;
    let answer = stage.ask(request, plan(40)).await;
    assert!(matches!(answer, Answer::Complete { .. }), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn leaves_are_let_go_on_when_a_fold_is_over_however_late() {
    let stage = Stage::with(Script::all(big()), shrinking().taking(ms(100))).on_slots(8);
    let mut request = tight();
    request.floor = Floor::BestEffort;
    request.deadline = ms(5000);
    let answer = stage.ask(request, plan(100)).await;
    assert!(matches!(answer, Answer::Complete { .. }), "{:?}", answer.coverage());
    let holds = holds(&stage);
    assert!(holds.iter().filter(|(held, _)| *held).count() >= 2, "{holds:?}");
}
