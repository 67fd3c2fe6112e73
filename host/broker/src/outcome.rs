//! Outcomes of attempts as frames.

use std::time::Duration;

use bytes::Bytes;
use frond_root::share::Part;
use frond_root::waits::Waits;
use frond_root::{Failure, FailureKind, Outcome, Usage};
use tokio::time::Instant;

use crate::frames::{AttemptOf, Ended, Took};

/// The most bytes of a failure's texts that a root accepts; beyond them only its kind is known.
pub(crate) const MAX_FAILURE: usize = 1 << 20;
/// The most bytes of log lines of a success that a root accepts.
pub(crate) const MAX_LOG: usize = 1 << 20;

/// Microseconds of a time.
#[must_use]
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Writes a failure.
#[must_use]
pub(crate) fn failure_to_bytes(failure: &Failure) -> Bytes {
    serde_json::to_vec(failure).unwrap_or_default().into()
}

/// Reads a failure. One that cannot be read is a loss: it says nothing about the leaf.
#[must_use]
pub(crate) fn failure_of(bytes: &[u8]) -> Box<Failure> {
    let read = (bytes.len() <= MAX_FAILURE).then(|| serde_json::from_slice(bytes).ok()).flatten();
    Box::new(
        read.unwrap_or_else(|| Failure::new(FailureKind::Lost, "its worker reported a failure that cannot be read")),
    )
}

/// Writes an outcome.
#[must_use]
pub(crate) fn to_frame(of: AttemptOf, outcome: Outcome, part: Option<Part>, now: Instant) -> Ended {
    let Outcome { result, ran, waits, usage, log, earlier, is_worker_lost: _ } = outcome;
    let (partial, failure) = match result {
        Ok(partial) => (partial, None),
        Err(failure) => (Bytes::new(), Some(failure_to_bytes(&failure))),
    };
    let before = |at: Instant| micros(now.saturating_duration_since(at));
    Ended {
        of,
        partial,
        failure,
        ran: micros(ran),
        waited: micros(waits.total()),
        waits: waits.spans().iter().flat_map(|(from, to)| [before(*from), before(*to)]).collect(),
        fuel: usage.fuel,
        memory: usage.memory,
        output: usage.output,
        logged: usage.log,
        log,
        earlier,
        took: part.map(|part| Took { taken: part.taken, is_skipped: part.skipped, has_asked: part.asked }),
    }
}

/// Reads an outcome.
#[must_use]
pub(crate) fn from_frame(ended: Ended, now: Instant) -> Outcome {
    let Ended { partial, failure, ran, waited, waits, fuel, memory, output, logged, log, earlier, .. } = ended;
    let at = |before: u64| now.checked_sub(Duration::from_micros(before)).unwrap_or(now);
    let spans = waits.chunks_exact(2).filter_map(|span| match span {
        [from, to] if from >= to => Some((at(*from), at(*to))),
        _ => None,
    });
    let size = log.iter().map(String::len).sum::<usize>();
    Outcome {
        result: match failure {
            None => Ok(partial),
            Some(failure) => Err(failure_of(&failure)),
        },
        ran: Duration::from_micros(ran),
        waits: Waits::summed(Duration::from_micros(waited), spans),
        usage: Usage { fuel, memory, output, log: logged },
        log: if size <= MAX_LOG { log } else { Vec::new() },
        earlier,
        is_worker_lost: false,
    }
}
