//! Outcomes of attempts as frames. Both sides bound them: a worker, so that a root takes them, and
//! a root, because it believes nothing.

use std::time::Duration;

use bytes::Bytes;
use frond_root::quote::shortened;
use frond_root::share::Part;
use frond_root::waits::Waits;
use frond_root::{Failure, FailureKind, Outcome, PullTimes, Usage, WorkerTimes};
use tokio::time::Instant;

use crate::frames::{self, AttemptOf, Ended, Span, Took};

/// The most bytes of a failure as JSON. One whose texts are bounded has fewer, also if each of
/// their characters is escaped.
const MAX_FAILURE: usize = 4 << 20;
/// The most bytes of a failure's message.
const MAX_MESSAGE: usize = 16 << 10;
/// The most lines of a failure's backtrace.
const MAX_BACKTRACE: usize = 64;
/// The most bytes of one of them.
const MAX_BACKTRACE_LINE: usize = 1 << 10;
/// The most bytes of log lines of one attempt, of which the last are kept.
const MAX_LOG: usize = 256 << 10;
/// Bytes that a log line counts beyond its own.
const LINE: usize = 32;
/// The largest number that a worker may report: programs that read it as JSON have no larger one.
pub(crate) const MAX_NUMBER: u64 = 1 << 53;

/// Microseconds of a time.
#[must_use]
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time of microseconds, of which no more than [`MAX_NUMBER`] count.
#[must_use]
pub(crate) fn time(micros: u64) -> Duration {
    Duration::from_micros(micros.min(MAX_NUMBER))
}

/// Writes a failure, with bounded texts.
#[must_use]
pub(crate) fn failure_to_bytes(failure: &Failure) -> Bytes {
    serde_json::to_vec(&bounded(failure.clone())).unwrap_or_default().into()
}

/// Reads a failure. One that cannot be read is a loss: it says nothing about the leaf.
#[must_use]
pub(crate) fn failure_of(bytes: &[u8]) -> Box<Failure> {
    let read = (bytes.len() <= MAX_FAILURE).then(|| serde_json::from_slice(bytes).ok()).flatten();
    let unread = || Failure::new(FailureKind::Lost, "its worker reported a failure that cannot be read");
    Box::new(read.map_or_else(unread, bounded))
}

/// Shortens the texts of a failure.
fn bounded(failure: Failure) -> Failure {
    let Failure { message, mut backtrace, log, before, omitted, .. } = failure;
    let bytes = |message: &str, backtrace: &[String], log: &[String]| {
        (message.len() + backtrace.iter().chain(log).map(String::len).sum::<usize>()) as u64
    };
    let all = bytes(&message, &backtrace, &log);
    let message = shortened(message, MAX_MESSAGE);
    backtrace.truncate(MAX_BACKTRACE);
    let backtrace: Vec<_> = backtrace.into_iter().map(|line| shortened(line, MAX_BACKTRACE_LINE)).collect();
    let log = last_lines(log);
    let omitted = omitted.min(MAX_NUMBER) + all.saturating_sub(bytes(&message, &backtrace, &log));
    Failure { message, backtrace, log, omitted, before: Vec::new(), ..failure }.after(&before)
}

/// The last log lines, of at most [`MAX_LOG`] bytes.
fn last_lines(mut log: Vec<String>) -> Vec<String> {
    let mut left = MAX_LOG;
    let fits = |line: &&String| {
        let rest = left.checked_sub(line.len() + LINE);
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    let kept = log.iter().rev().take_while(fits).count();
    log.split_off(log.len() - kept)
}

/// Times of an attempt at its worker.
pub(crate) struct LeafTimes {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Begin and end of the fetching and loading of the leaf's code, if the attempt waited for it.
    pub(crate) code: Option<(Instant, Instant)>,
    /// Reads of its content from the root.
    pub(crate) pulls: Option<PullTimes<Instant>>,
}

/// Writes the outcome of an attempt.
#[must_use]
pub(crate) fn to_frame(of: AttemptOf, outcome: Outcome, part: Option<Part>, times: &LeafTimes) -> Ended {
    let Outcome { result, ran, waits, usage, log, earlier, .. } = outcome;
    let LeafTimes { began, ended: now, code, pulls } = *times;
    let (partial, failure) = match result {
        Ok(partial) => (partial, None),
        Err(failure) => (Bytes::new(), Some(failure_to_bytes(&failure))),
    };
    let before = |at: Instant| micros(now.saturating_duration_since(at));
    let span = |(from, to): &(Instant, Instant)| Span { began: before(*from), ended: before(*to) };
    let pulls = pulls.map(|PullTimes { from, to, waited, reads, bytes }| frames::Pulls {
        span: span(&(from, to)),
        waited,
        reads,
        bytes,
    });
    Ended {
        of,
        partial,
        failure,
        ran: micros(ran),
        waited: micros(waits.total()),
        waits: waits.spans().iter().map(span).collect(),
        fuel: usage.fuel,
        memory: usage.memory,
        output: usage.output,
        logged: usage.log,
        log: last_lines(log),
        earlier,
        lasted: Some(before(began)),
        code: code.as_ref().map(span),
        pulls,
        took: part.map(|part| Took { taken: part.taken, is_skipped: part.skipped, has_asked: part.asked }),
    }
}

/// Times of an attempt on a worker, as its root knows them when it hears of the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeardTimes {
    pub(crate) claimed: Instant,
    /// Time at which the order arrived, if the worker tells it.
    pub(crate) received: Option<Instant>,
    pub(crate) ended: Instant,
    pub(crate) heard: Instant,
}

/// Reads the outcome of an attempt. None of its times is longer than the time from its claim to its
/// end, and none is outside of that.
#[must_use]
pub(crate) fn from_frame(ended: Ended, times: &HeardTimes) -> Outcome {
    let Ended { partial, failure, ran, waited, waits, fuel, memory, output, logged, log, earlier, .. } = ended;
    let HeardTimes { claimed, received, ended: now, heard } = *times;
    let most = now.saturating_duration_since(claimed);
    let time = |micros: u64| time(micros).min(most);
    let at = |before: u64| now.checked_sub(time(before)).unwrap_or(now);
    let between = |span: &Span| (span.began >= span.ended).then(|| (at(span.began), at(span.ended)));
    let number = |number: u64| number.min(MAX_NUMBER);
    let usage = Usage { fuel: number(fuel), memory: number(memory), output: number(output), log: number(logged) };
    let pulls = ended.pulls.and_then(|pulls| {
        let (from, to) = between(&pulls.span)?;
        let waited = micros(time(pulls.waited));
        Some(PullTimes { from, to, waited, reads: number(pulls.reads), bytes: number(pulls.bytes) })
    });
    let code = ended.code.as_ref().and_then(between);
    Outcome {
        result: match failure {
            None => Ok(partial),
            Some(failure) => Err(failure_of(&failure)),
        },
        ran: time(ran),
        waits: Waits::summed(time(waited), waits.iter().filter_map(between)),
        usage,
        log: last_lines(log),
        earlier,
        on_worker: Some(Box::new(WorkerTimes { claimed, received, code, pulls, heard })),
        is_worker_lost: false,
    }
}

#[cfg(test)]
mod tests;
