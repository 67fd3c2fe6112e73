//! One try at one partition: claimed by a runner, ended exactly once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::event::Usage;
use crate::failure::{Failure, FailureKind};
use crate::limit::Limit;
use crate::plan::Partition;
use crate::scatter::{Report, Scatter};

/// The least time left for an attempt to start: with less, it could not end in time.
pub const MIN_TIME: Duration = Duration::from_millis(2);

/// Outcome of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// The leaf's partial, or the failure.
    pub result: Result<Bytes, Box<Failure>>,
    /// Resources that the call used.
    pub usage: Usage,
    /// Last log lines of a successful leaf. A failed leaf's lines are in its failure.
    pub log: Vec<String>,
}

impl Outcome {
    /// A success without log lines.
    #[must_use]
    pub fn succeeded(partial: Bytes, usage: Usage) -> Self {
        Self { result: Ok(partial), usage, log: Vec::new() }
    }

    /// A failure of the given kind, without usage or log lines.
    pub fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { result: Err(Box::new(Failure::new(kind, message))), usage: Usage::default(), log: Vec::new() }
    }
}

/// Partial that a leaf emitted before its end; it counts only if the leaf is cut off.
#[derive(Clone, Debug)]
pub struct Emission {
    /// The partial so far.
    pub partial: Bytes,
    /// Share of the partition that the partial covers, 0 to 1.
    pub done: f64,
}

/// RAII guard of a claimed attempt. The runner that holds it runs the leaf and ends it. Dropping it
/// without an end reports the attempt as `lost`.
#[derive(Debug)]
pub struct Attempt {
    scatter: Arc<Scatter>,
    partition: u32,
    number: u32,
    slot: u32,
    started: Instant,
    ended: bool,
}

impl Attempt {
    pub(crate) fn new(scatter: Arc<Scatter>, partition: u32, number: u32, slot: u32, started: Instant) -> Self {
        Self { scatter, partition, number, slot, started, ended: false }
    }

    /// The query's bytes.
    #[must_use]
    pub fn query(&self) -> &Bytes {
        self.scatter.query()
    }

    /// The partition's index in the plan.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.partition
    }

    /// Number of this attempt at the partition, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> Option<&Partition> {
        self.scatter.plan().get(self.partition)
    }

    /// Time by which the leaf must have ended.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.scatter.deadline_of(self.started)
    }

    /// Limit that [`Attempt::deadline`] enforces.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.scatter.limit_of(self.started)
    }

    /// The query's scatter, which tells whether the query is closed.
    #[must_use]
    pub fn scatter(&self) -> &Arc<Scatter> {
        &self.scatter
    }

    /// Stores the emission, replacing an earlier one. It counts if the leaf is cut off later.
    pub fn emit(&self, emission: Emission) {
        self.scatter.emit(self.partition, emission);
    }

    /// Ends the attempt.
    pub fn end(mut self, outcome: Outcome, now: Instant) {
        self.report(outcome, now);
    }

    fn report(&mut self, outcome: Outcome, now: Instant) {
        if !std::mem::replace(&mut self.ended, true) {
            let slot = self.slot;
            let ended = Report::Ended {
                partition: self.partition,
                attempt: self.number,
                slot,
                started: self.started,
                at: now,
                outcome,
            };
            self.scatter.report(slot, ended);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            let lost = Outcome::failed(FailureKind::Lost, "the runner dropped the attempt");
            self.report(lost, Instant::now());
        }
    }
}
