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

/// With less time than this left, an attempt is not started: it could not end in time.
pub const MIN_TIME: Duration = Duration::from_millis(2);

/// How an attempt ended.
#[derive(Debug)]
pub struct Outcome {
    /// The leaf's partial, or why there is none.
    pub result: Result<Bytes, Box<Failure>>,
    /// What the call used.
    pub usage: Usage,
    /// The last lines that a leaf wrote which succeeded; those of one that failed are in its failure.
    pub log: Vec<String>,
}

impl Outcome {
    /// A partial of a leaf that wrote nothing.
    #[must_use]
    pub fn succeeded(partial: Bytes, usage: Usage) -> Self {
        Self { result: Ok(partial), usage, log: Vec::new() }
    }

    /// A failure of the given kind that used nothing.
    pub fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { result: Err(Box::new(Failure::new(kind, message))), usage: Usage::default(), log: Vec::new() }
    }
}

/// What a leaf handed over before it was cut off.
#[derive(Clone, Debug)]
pub struct Emission {
    /// The partial so far.
    pub partial: Bytes,
    /// The share of the partition that it stands for, 0 to 1.
    pub done: f64,
}

/// A claimed attempt. Whoever holds it runs the leaf and ends it; dropped without an end, it is reported as `lost`.
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

    /// Which try at the partition this is, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> Option<&Partition> {
        self.scatter.plan().get(self.partition)
    }

    /// When the leaf must have ended.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.scatter.deadline_of(self.started)
    }

    /// The limit that this moment stands for.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.scatter.limit_of(self.started)
    }

    /// The query's other half: to ask whether it was closed.
    #[must_use]
    pub fn scatter(&self) -> &Arc<Scatter> {
        &self.scatter
    }

    /// Keeps the last emission, which counts if the leaf is then cut off.
    pub fn emit(&self, emission: Emission) {
        self.scatter.emit(self.partition, emission);
    }

    /// Ends the attempt.
    pub fn end(mut self, outcome: Outcome, now: Instant) {
        self.report(outcome, now);
    }

    fn report(&mut self, outcome: Outcome, now: Instant) {
        if !std::mem::replace(&mut self.ended, true) {
            let (partition, attempt, slot, started) = (self.partition, self.number, self.slot, self.started);
            self.scatter.report(slot, Report::Ended { partition, attempt, slot, started, at: now, outcome });
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
