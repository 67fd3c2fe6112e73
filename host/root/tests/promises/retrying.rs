//! Tests of retries: transient failures are retried within limits, deterministic ones never.

use std::time::Duration;

use frond_root::policy::retry::{MIN_RETRIES, Retry};
use frond_root::{Answer, EventKind, Failure, FailureKind, Floor, Reason};
use frond_testkit::{Script, Stage, Turn, ms, plan, request};
use tokio::time::Instant;

use crate::{parts, reason, words};

const PASSING: [FailureKind; 3] = [FailureKind::Unavailable, FailureKind::Overloaded, FailureKind::Lost];

fn first_two_fail(kind: FailureKind) -> Script {
    let fail = Turn::fail(kind).after(ms(5));
    Script::all(Turn::succeed()).at_attempt(0, 1, fail.clone()).at_attempt(0, 2, fail)
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_tried_again() {
    for kind in PASSING {
        let stage = Stage::new(first_two_fail(kind));
        let answer = stage.ask(request(), plan(4)).await;
        assert!(matches!(answer, Answer::Complete { .. }), "{kind}: {answer:?}");
        assert_eq!(words(&answer), [0, 1, 2, 3]);
        assert_eq!(stage.leaves.counts().attempts_at(0), 3);
        let coverage = answer.coverage();
        assert_eq!((coverage.attempts.started, coverage.attempts.retries), (6, 2));
        assert_eq!(coverage.failures[&kind], 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_its_runner_dropped_is_lost_and_tried_again() {
    let stage = Stage::new(Script::all(Turn::succeed()).at_attempt(1, 1, Turn::lost().after(ms(5))));
    let answer = stage.ask(request(), plan(3)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    assert_eq!(answer.coverage().failures[&FailureKind::Lost], 1);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_longer_each_time() {
    let stage = Stage::new(first_two_fail(FailureKind::Unavailable));
    stage.ask(request(), plan(1)).await;
    let begun = stage.leaves.counts().begun;
    let pauses: Vec<Duration> = begun.windows(2).map(|pair| pair[1].at - pair[0].at - ms(5)).collect();
    // 10 ms and 20 ms, each with a jitter down to one half, and the resolution of timers.
    assert!((ms(5)..=ms(12)).contains(&pauses[0]), "{pauses:?}");
    assert!((ms(10)..=ms(22)).contains(&pauses[1]), "{pauses:?}");
    let scheduled = stage.record.all(|event| match event.kind {
        EventKind::RetryScheduled { attempt, start, .. } => Some((attempt, start > event.at)),
        _ => None,
    });
    assert_eq!(scheduled, [(2, true), (3, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_third_failure_is_the_last() {
    let stage = Stage::new(Script::all(Turn::fail(FailureKind::Unavailable)));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan(2)).await;
    assert_eq!(reason(&answer), &Reason::BelowFloor);
    assert!(stage.leaves.counts().attempts().values().all(|attempts| *attempts == Retry::QUERY.attempts));
    assert_eq!(parts(answer.coverage()), [0, 0, 2, 0, 0, 0]);
    assert!(answer.coverage().missing.iter().all(|one| one.attempts == Retry::QUERY.attempts));
}

#[tokio::test(start_paused = true)]
async fn a_deterministic_failure_is_never_tried_again() {
    let deterministic = FailureKind::ALL.into_iter().filter(|kind| !kind.is_passing());
    for kind in deterministic {
        let stage = Stage::new(Script::all(Turn::succeed()).at(0, Turn::fail(kind)));
        let mut request = request();
        request.floor = Floor::BestEffort;
        let answer = stage.ask(request, plan(4)).await;
        assert_eq!(stage.leaves.counts().attempts_at(0), 1, "{kind}");
        assert_eq!(answer.coverage().attempts.retries, 0, "{kind}");
        assert_eq!(answer.coverage().missing[0].slug, Some(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_tenth_of_the_attempts_or_a_few() {
    let ask = async |partitions| {
        let stage = Stage::new(Script::all(Turn::fail(FailureKind::Unavailable)));
        let mut request = request();
        request.floor = Floor::BestEffort;
        stage.ask(request, plan(partitions)).await.coverage().attempts.retries
    };
    assert_eq!(ask(50).await, MIN_RETRIES);
    // All within one window: a tenth of all attempts.
    let many = ask(1000).await;
    assert!((100..=111).contains(&many), "{many}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_when_it_could_not_end_in_time() {
    // Leaves have until 0.885 s of a second.
    let stage =
        Stage::new(Script::all(Turn::succeed()).at_attempt(0, 1, Turn::fail(FailureKind::Unavailable).after(ms(880))));
    let start = Instant::now();
    let answer = stage.ask(request(), plan(2)).await;
    assert_eq!(stage.leaves.counts().attempts_at(0), 1);
    assert_eq!(parts(answer.coverage()), [1, 0, 1, 0, 0, 0]);
    assert!(start.elapsed() < ms(900));
}

#[tokio::test(start_paused = true)]
async fn a_retry_finds_its_place_when_all_slots_are_idle() {
    // All other leaves have ended when the retry becomes due: only the nudge can start it.
    let stage = Stage::new(Script::all(Turn::succeed()).at_attempt(0, 1, Turn::fail(FailureKind::Lost).after(ms(100))));
    let start = Instant::now();
    let answer = stage.ask(request(), plan(8)).await;
    assert!(answer.coverage().complete);
    assert!(start.elapsed() < ms(130), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_recovered_is_not_among_the_missing() {
    let stage = Stage::new(first_two_fail(FailureKind::Unavailable).at(1, Turn::fail(FailureKind::Trap)));
    let mut request = request();
    request.floor = Floor::BestEffort;
    let answer = stage.ask(request, plan(4)).await;
    let missing: Vec<u32> = answer.coverage().missing.iter().map(|one| one.index).collect();
    assert_eq!(missing, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_for_minutes_and_all_of_it_is_tried_again() {
    // More retries than the budget grants to short pauses.
    let partitions = 40;
    let mut script = Script::all(Turn::succeed());
    for attempt in 1..=4 {
        script = (0..partitions).fold(script, |script, index| {
            script.at_attempt(index, attempt, Turn::fail(FailureKind::Unavailable).after(ms(1)))
        });
    }
    let stage = Stage::new(script);
    let mut request = request();
    (request.retry, request.deadline) = (Retry::JOB, Duration::from_secs(3600));
    let start = Instant::now();
    let answer = stage.ask(request, plan(partitions as usize)).await;
    assert!(answer.coverage().complete, "{answer:?}");
    assert_eq!(answer.coverage().attempts.retries, 4 * u64::from(partitions));
    // 1, 2, 4 and 8 seconds, each down to one half.
    assert!(
        (Duration::from_millis(7500)..=Duration::from_secs(16)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn retries_end_when_the_rules_say_so() {
    let ask = async |retry: Retry| {
        let stage = Stage::new(Script::all(Turn::fail(FailureKind::Unavailable)));
        let mut request = request();
        (request.retry, request.deadline) = (retry, Duration::from_secs(3600));
        let start = Instant::now();
        let answer = stage.ask(request, plan(1)).await;
        assert!(!answer.coverage().complete);
        (answer.coverage().attempts.started, start.elapsed())
    };
    let (attempts, _) = ask(Retry { attempts: 5, within: None, ..Retry::JOB }).await;
    assert_eq!(attempts, 5);
    let within = Duration::from_secs(20);
    let (attempts, took) = ask(Retry { within: Some(within), ..Retry::JOB }).await;
    assert!((4..=7).contains(&attempts) && took <= within + ms(50), "{attempts} in {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_long_as_the_failure_asks_for() {
    let asks = |ms: u64| Failure { retry_after_ms: Some(ms), ..Failure::new(FailureKind::Unavailable, "full") };
    let ask = async |after: u64| {
        let turn = Turn::fail_as(asks(after)).after(ms(1));
        let stage = Stage::new(Script::all(Turn::succeed()).at_attempt(0, 1, turn));
        let mut request = request();
        request.deadline = Duration::from_secs(60);
        let start = Instant::now();
        let answer = stage.ask(request, plan(1)).await;
        (answer.coverage().complete, start.elapsed())
    };
    let (complete, took) = ask(7000).await;
    assert!(complete && took >= Duration::from_secs(7) && took < Duration::from_secs(8), "{took:?}");
    let (complete, took) = ask(120_000).await;
    assert!(!complete && took < Duration::from_secs(1), "what would come too late is not waited for: {took:?}");
}
