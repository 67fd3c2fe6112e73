//! Tests of outcomes: they arrive as they are, or bounded.

use frond_root::waits::MAX_WAITS;
use proptest::prelude::*;

use super::*;
use crate::frames::{Said, decoded, encoded};

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Bytes of a failure's texts.
fn texts(failure: &Failure) -> usize {
    failure.message.len() + failure.backtrace.iter().chain(&failure.log).map(String::len).sum::<usize>()
}

/// The outcome as a root reads it, of an attempt that was claimed `since`.
fn sent(outcome: Outcome, since: Instant, now: Instant) -> Outcome {
    sent_with(outcome, &LeafTimes { began: since, ended: now, code: None, pulls: None })
}

/// The outcome as a root reads it that hears of it at once.
fn sent_with(outcome: Outcome, times: &LeafTimes) -> Outcome {
    let frame = encoded(Said::Ended(to_frame(AttemptOf::default(), outcome, None, times)));
    let Ok(Some(Said::Ended(ended))) = decoded(frame) else { panic!("is the end of an attempt") };
    from_frame(ended, &heard(times.began, times.ended))
}

fn heard(since: Instant, now: Instant) -> HeardTimes {
    HeardTimes { claimed: since, received: None, ended: now, heard: now }
}

#[test]
fn an_outcome_arrives_as_it_is() {
    let since = Instant::now();
    let now = since + ms(100);
    let usage = Usage { fuel: 1, memory: 2, output: 3, log: 4 };
    let mut outcome = Outcome::succeeded(Bytes::from_static(b"partial"), ms(20), usage);
    outcome.log = vec!["one".to_owned(), "two".to_owned()];
    outcome.waits.add(now - ms(50), now - ms(40));
    let arrived = sent(outcome, since, now);
    assert_eq!(arrived.result, Ok(Bytes::from_static(b"partial")));
    assert_eq!((arrived.ran, arrived.usage, arrived.log), (ms(20), usage, vec!["one".to_owned(), "two".to_owned()]));
    assert_eq!(arrived.waits.spans(), [(now - ms(50), now - ms(40))]);
    let failure = Failure { log: vec!["line".to_owned()], ..Failure::new(FailureKind::Trap, "a trap") }.after(&[1, 2]);
    let failed = Outcome { result: Err(Box::new(failure.clone())), ..Outcome::failed(FailureKind::Trap, ms(1), "") };
    assert_eq!(sent(failed, since, now).result, Err(Box::new(failure)));
}

#[test]
fn huge_texts_arrive_bounded_with_their_kind() {
    let since = Instant::now();
    let failure = Failure {
        message: "\u{1}".repeat(10 << 20),
        backtrace: vec!["\u{1}".repeat(1 << 20); 100],
        log: vec!["\u{1}".repeat(1000); 10_000],
        omitted: u64::MAX,
        ..Failure::new(FailureKind::InvalidPartition, "")
    }
    .after(&[7; 10_000]);
    let log: Vec<_> = (0..1_000_000).map(|line| line.to_string()).collect();
    let failed = Outcome { result: Err(Box::new(failure)), log, ..Outcome::failed(FailureKind::Trap, ms(1), "") };
    let arrived = sent(failed, since, since);
    let failure = arrived.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::InvalidPartition);
    let texts = texts(&failure);
    assert!((MAX_LOG / 2..MAX_LOG + MAX_MESSAGE + MAX_BACKTRACE * MAX_BACKTRACE_LINE).contains(&texts), "{texts}");
    assert!(failure.omitted > 100 << 20 && failure.omitted < u64::MAX / 2);
    // The last lines count.
    assert_eq!(arrived.log.last().map(String::as_str), Some("999999"));
    assert!(arrived.log.iter().map(|line| line.len() + LINE).sum::<usize>() <= MAX_LOG);
}

#[test]
fn times_and_waits_are_within_those_of_the_attempt() {
    let since = Instant::now();
    let now = since + ms(100);
    let span = |began, ended| Span { began, ended };
    let waits: Vec<_> = (0..1000).map(|_| span(u64::MAX, 0)).chain([span(1, 2)]).collect();
    let most = u64::MAX;
    let ended = Ended { ran: most, waited: most, waits, fuel: most, memory: most, output: most, ..Ended::default() };
    let outcome = from_frame(ended, &heard(since, now));
    assert_eq!((outcome.ran, outcome.waits.total()), (ms(100), ms(100)));
    assert_eq!(outcome.waits.spans(), vec![(since, now); MAX_WAITS]);
    assert_eq!(outcome.usage, Usage { fuel: MAX_NUMBER, memory: MAX_NUMBER, output: MAX_NUMBER, log: 0 });
    // Before the first instant there is none.
    assert_eq!(from_frame(Ended { ran: most, ..Ended::default() }, &heard(now, since)).ran, Duration::ZERO);
}

#[test]
fn times_of_code_and_content_arrive_as_they_are() {
    let since = Instant::now();
    let at = |time: u64| since + ms(time);
    let pulls = PullTimes { from: at(20), to: at(60), waited: 15_000, reads: 3, bytes: 4096 };
    let times = LeafTimes { began: since, ended: at(100), code: Some((at(5), at(15))), pulls: Some(pulls) };
    let arrived = sent_with(Outcome::succeeded(Bytes::new(), ms(1), Usage::default()), &times);
    let on_worker = *arrived.on_worker.unwrap();
    assert_eq!((on_worker.code, on_worker.pulls), (Some((at(5), at(15))), Some(pulls)));
    assert_eq!((on_worker.claimed, on_worker.received, on_worker.heard), (since, None, at(100)));
    // Of a longer time only that within the attempt counts, and nothing of a time that runs backwards.
    let most = u64::MAX;
    let long = frames::Pulls { span: Span { began: most, ended: 0 }, waited: most, reads: most, bytes: most };
    let lie = Ended { pulls: Some(long), code: Some(Span { began: 1, ended: most }), ..Ended::default() };
    let on_worker = *from_frame(lie, &heard(since, at(100))).on_worker.unwrap();
    let bounded = PullTimes { from: since, to: at(100), waited: 100_000, reads: MAX_NUMBER, bytes: MAX_NUMBER };
    assert_eq!((on_worker.code, on_worker.pulls), (None, Some(bounded)));
}

proptest! {
    #[test]
    fn any_bytes_are_a_failure_or_a_loss(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(failure_of(&bytes).kind, FailureKind::Lost);
    }
}
