//! Tests of failures that end a query early, and of the account that they leave.

use frond_root::failure::{MAX_ACCOUNT_TEXTS, MAX_EVENT_TEXTS};
use frond_root::{EventKind, Failure, FailureKind, Floor, Limit, Reason, Request, Scope, Status};
use frond_testkit::{Script, Stage, Turn, ms, plan, request};
use tokio::time::Instant;

use crate::{parts, reason};

#[tokio::test(start_paused = true)]
async fn a_query_that_needs_all_fails_at_the_first_loss() {
    let stage =
        Stage::new(Script::all(Turn::succeed().after(ms(200))).at(1, Turn::fail(FailureKind::Trap).after(ms(50))));
    let start = Instant::now();
    let answer = stage.ask(request(), plan(12)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert!(start.elapsed() < ms(80), "{:?}", start.elapsed());
    // One trapped, four run (one of them began in its place), seven are queued: all stop.
    assert_eq!(parts(answer.coverage()), [0, 0, 1, 0, 11, 0]);
    assert_eq!(stage.leaves.counts().stopped, 4);
    assert_eq!(stage.leaves.running(), 0);
    assert_eq!(stage.leaves.counts().begun.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_floor_out_of_reach_ends_the_query_at_once() {
    let stage = Stage::new(Script::by(|index, _| {
        if index < 4 {
            Turn::fail(FailureKind::OutOfMemory).after(ms(10 * u64::from(index + 1)))
        } else {
            Turn::succeed().after(ms(500))
        }
    }));
    let mut request = request();
    request.floor = Floor::AtLeast(0.7);
    let stage = stage.on_slots(10);
    let start = Instant::now();
    let answer = stage.ask(request, plan(10)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert!((ms(40)..ms(70)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(parts(answer.coverage()), [0, 0, 4, 0, 6, 0]);
    assert_eq!(answer.coverage().failures[&FailureKind::OutOfMemory], 4);
}

#[tokio::test(start_paused = true)]
async fn a_required_partition_that_is_lost_ends_the_query_whatever_the_floor() {
    let stage =
        Stage::new(Script::all(Turn::succeed().after(ms(300))).at(2, Turn::fail(FailureKind::Trap).after(ms(20))));
    let mut request = request();
    request.floor = Floor::BestEffort;
    request.required = vec!["p2".into(), "p0".into()];
    let start = Instant::now();
    let answer = stage.ask(request, plan(6)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert!(start.elapsed() < ms(50));
    let missing: Vec<_> = answer.coverage().required_missing.iter().map(|key| key.as_str()).collect();
    assert_eq!(missing, ["p0", "p2"]);
}

#[tokio::test(start_paused = true)]
async fn a_required_partition_is_waited_for_beyond_the_floor() {
    let stage = Stage::new(Script::all(Turn::succeed()).at(0, Turn::succeed().after(ms(700))));
    let mut request = request();
    request.floor = Floor::AtLeast(0.5);
    request.required = vec!["p0".into()];
    let answer = stage.ask(request, plan(10)).await;
    assert!(answer.coverage().complete);
    assert!(answer.coverage().required_missing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_required_partition_that_is_late_makes_a_failure() {
    let stage = Stage::new(Script::all(Turn::succeed()).at(0, Turn::never()));
    let mut request = request();
    request.floor = Floor::BestEffort;
    request.required = vec!["p0".into()];
    let answer = stage.ask(request, plan(10)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert_eq!(answer.coverage().required_missing, ["p0".into()]);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_a_leaf_calls_wrong_ends_at_once() {
    let stage = Stage::new(Script::all(Turn::never()).at(1, Turn::fail(FailureKind::InvalidQuery).after(ms(30))));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let start = Instant::now();
    let answer = stage.ask(request, plan(100)).await;
    let Reason::InvalidQuery(failure) = reason(&answer) else {
        panic!("{answer:?}");
    };
    assert_eq!(failure.kind, FailureKind::InvalidQuery);
    assert!(start.elapsed() < ms(60));
    assert_eq!(stage.leaves.running(), 0);
    assert_eq!(stage.leaves.counts().begun.len(), 5);
    assert_eq!(parts(answer.coverage()), [0, 0, 1, 0, 99, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_does_not_stop_is_waited_for_no_longer_than_the_grace() {
    let stage = Stage::new(Script::all(Turn::never().deaf()).at(0, Turn::fail(FailureKind::Trap).after(ms(50))));
    let start = Instant::now();
    let answer = stage.ask(request(), plan(4)).await;
    assert!((ms(50)..ms(62)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(parts(answer.coverage()), [0, 0, 1, 0, 3, 0]);
}

#[tokio::test(start_paused = true)]
async fn missing_partitions_are_named_up_to_a_limit_that_is_told() {
    let stage = Stage::new(Script::by(|index, _| match index % 2 {
        0 => Turn::fail(FailureKind::Trap),
        _ => Turn::succeed(),
    }));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan(500)).await;
    let coverage = answer.coverage();
    assert_eq!(coverage.missing.len(), 100);
    assert_eq!(coverage.missing_omitted, 150);
    let indexes: Vec<u32> = coverage.missing.iter().map(|one| one.index).collect();
    assert_eq!(indexes, Vec::from_iter((0..200).step_by(2)));
    assert!(coverage.missing.iter().all(|one| one.failure.is_some()));
    assert_eq!(coverage.failures[&FailureKind::Trap], 250);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_full_is_that_of_the_last_attempt_though_that_was_not_heard_of() {
    // The second attempt is cut off at the end: the first one's failure is not why it is missing.
    let stage = Stage::new(Script::all(Turn::succeed()).at(0, Turn::never().deaf()).at_attempt(
        0,
        1,
        Turn::lost().after(ms(10)),
    ));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan(4)).await;
    let missing = &answer.coverage().missing[0];
    assert_eq!((missing.attempts, missing.slug), (2, Some(FailureKind::OutOfTime)));
    let failure = missing.failure.as_ref().unwrap();
    assert_eq!(
        (failure.kind, &*failure.message),
        (FailureKind::OutOfTime, "still running when its time was up: query.deadline is 1 s")
    );
}

#[tokio::test(start_paused = true)]
async fn every_missing_partition_is_told_as_an_event_once() {
    let stage = Stage::new(Script::all(Turn::never()).at(0, Turn::succeed()).at(1, Turn::fail(FailureKind::Trap)));
    let mut request = request();
    request.floor = Floor::BestEffort;
    stage.ask(request, plan(8)).await;
    let mut missing = stage.record.all(|event| match &event.kind {
        EventKind::PartitionMissing { partition, .. } => Some(*partition),
        _ => None,
    });
    missing.sort_unstable();
    assert_eq!(missing, Vec::from_iter(1..8));
}

#[tokio::test(start_paused = true)]
async fn the_account_names_what_failed_before_what_was_stopped_for_it() {
    let slow = Script::all(Turn::succeed().after(ms(900)));
    let stage = Stage::new(slow.at(500, Turn::fail(FailureKind::Trap).after(ms(50))));
    let mut request = request();
    let stage = stage.on_slots(1000);
    request.partials_memory = 16 << 20;
    let answer = stage.ask(request, plan(900)).await;
    let coverage = answer.coverage();
    assert_eq!((coverage.missing.len(), coverage.missing_omitted), (100, 800));
    let named: Vec<_> = coverage.missing.iter().map(|one| (one.index, one.slug)).collect();
    assert_eq!(named[0], (500, Some(FailureKind::Trap)));
    assert_eq!(coverage.missing[0].failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Trap));
    let stopped: Vec<_> = (0..99).map(|index| (index, Some(FailureKind::Cancelled))).collect();
    assert_eq!(named[1..], stopped);
}

#[tokio::test(start_paused = true)]
async fn what_was_late_comes_after_what_failed_and_before_what_did_not_begin() {
    let stage = Stage::new(Script::all(Turn::never()).at(1, Turn::fail(FailureKind::InvalidPartition).after(ms(5))));
    let mut request = request();
    let stage = stage.on_slots(2);
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan(5)).await;
    let named: Vec<_> = answer.coverage().missing.iter().map(|one| (one.index, one.status)).collect();
    let late = [(0, Status::TimedOut), (2, Status::TimedOut)];
    let rest = [(3, Status::NotStarted), (4, Status::NotStarted)];
    assert_eq!(named, [&[(1, Status::Failed)], &late[..], &rest[..]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_time_ends_names_the_deadline() {
    let stage = Stage::new(Script::all(Turn::never().deaf()));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let deadline = Limit::time(Scope::Query, request.deadline);
    let answer = stage.ask(request.clone(), plan(1)).await;
    let failure = answer.coverage().missing[0].failure.clone().unwrap();
    assert_eq!(failure.kind, FailureKind::OutOfTime);
    assert_eq!(failure.limit, Some(deadline), "{failure}");
    // A job's deadline is its timeout.
    request.limit = Some(Limit::time(Scope::Job, ms(60_000)));
    let answer = stage.ask(request, plan(1)).await;
    let failure = answer.coverage().missing[0].failure.clone().unwrap();
    assert!(failure.message.ends_with(": job.timeout is 1 min"), "{failure}");
}

/// Bytes of a failure's texts.
fn texts(failure: &Failure) -> u64 {
    let lines = failure.backtrace.iter().chain(&failure.log).chain([&failure.message]);
    lines.map(|line| line.len() as u64).sum()
}

#[tokio::test(start_paused = true)]
async fn however_much_failures_say_an_account_and_its_events_are_bounded() {
    let wordy = Failure {
        backtrace: vec!["f".repeat(256); 32],
        log: vec!["l".repeat(1024); 20],
        ..Failure::new(FailureKind::Trap, "m".repeat(4096))
    };
    let whole = texts(&wordy);
    let partitions = 2000;
    let stage = Stage::new(Script::all(Turn::fail_as(wordy)));
    let answer = stage.ask(Request { floor: Floor::BestEffort, ..request() }, plan(partitions)).await;
    let coverage = answer.coverage();
    // Counters stay exact.
    assert_eq!(coverage.failures[&FailureKind::Trap], partitions as u64);
    assert_eq!(coverage.missing.len() as u64 + coverage.missing_omitted, partitions as u64);
    let named: Vec<&Failure> = coverage.missing.iter().map(|one| one.failure.as_ref().unwrap()).collect();
    assert!(named.iter().all(|failure| failure.kind == FailureKind::Trap));
    let in_full = named.iter().filter(|failure| failure.omitted == 0).count() as u64;
    assert_eq!(in_full, MAX_ACCOUNT_TEXTS / whole);
    assert!(named.iter().filter(|failure| failure.omitted > 0).all(|failure| failure.message.contains("left out")));
    let account = serde_json::to_string(coverage).unwrap().len() as u64;
    assert!(account < MAX_ACCOUNT_TEXTS + 100 * 1000, "{account}");
    let ended: Vec<Failure> = stage
        .record
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::AttemptEnded { failure, .. } => failure,
            _ => None,
        })
        .collect();
    assert_eq!(ended.len(), partitions);
    let in_full = ended.iter().filter(|failure| failure.omitted == 0).count() as u64;
    assert_eq!(in_full, MAX_EVENT_TEXTS / whole);
    assert!(ended.iter().all(|failure| texts(failure) + failure.omitted >= whole));
    let events: u64 = ended.iter().map(texts).sum();
    assert!(events < MAX_EVENT_TEXTS + partitions as u64 * 500, "{events}");
}
