//! Observed outcome of a case's call: the result or the failure, and the use of limits.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Failure, FailureKind, Reason, Usage};
use frond_sandbox::Trial;
use serde::Serialize;
use serde_json::Value;

use crate::diff::shown;

/// Use of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Headroom {
    /// Name of the limit: `fuel`, `memory`, `output` or `time`.
    pub of: &'static str,
    /// The use: units of fuel, bytes, or microseconds.
    pub used: u64,
    /// The limit, in the same unit.
    pub limit: u64,
}

impl Headroom {
    /// Returns the used share of the limit: 0 to 1, and 0 without a limit.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.limit == 0 { 0.0 } else { self.used as f64 / self.limit as f64 }
    }
}

/// Reason why a call, or a query, has no result.
#[derive(Clone, Debug, PartialEq)]
pub enum NoResult {
    /// A guest call failed.
    Call(Box<Failure>),
    /// A query has no answer.
    Query(Reason),
}

impl NoResult {
    /// Returns the kind of the guest's failure.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Call(failure) => Some(failure.kind),
            Self::Query(Reason::InvalidQuery(failure) | Reason::Split(failure) | Reason::Merge(failure)) => {
                Some(failure.kind)
            }
            Self::Query(_) => None,
        }
    }

    /// Returns the slug of a query's reason.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Call(_) => None,
            Self::Query(reason) => Some(reason.slug()),
        }
    }

    /// Returns the message of the failure or the reason.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Call(failure) => failure.to_string(),
            Self::Query(reason) => reason.to_string(),
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Call(failure) => Some(failure),
            Self::Query(Reason::InvalidQuery(failure) | Reason::Split(failure) | Reason::Merge(failure)) => {
                Some(failure)
            }
            Self::Query(_) => None,
        }
    }
}

/// Observed outcome of a case's call.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The result, or the reason why there is none.
    pub result: Result<Bytes, NoResult>,
    /// The resources used. For a query, the highest use of each resource by any leaf.
    pub usage: Usage,
    /// The last lines of the guest's log.
    pub log: Vec<String>,
    /// Duration of the call.
    pub took: Duration,
    /// The share of the partition that the leaf's last emitted partial covers.
    pub emitted: Option<f64>,
    /// The outcome of a query.
    pub outcome: Option<&'static str>,
    /// Numbers of a query's partitions by state.
    pub partitions: Option<Value>,
    /// The keys that a split returned.
    pub keys: Option<Vec<String>>,
    /// Failed attempts of a query by kind, including those that were retried.
    pub failures: BTreeMap<FailureKind, u64>,
    /// The failure of a query's first missing partition, in words.
    pub(crate) missing: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) time: Duration,
}

impl Observed {
    pub(crate) fn of(trial: Trial, limits: Limits, time: Duration) -> Self {
        Self {
            result: trial.result.map_err(NoResult::Call),
            usage: trial.usage,
            log: trial.log,
            took: trial.took,
            emitted: trial.emitted.map(|emission| emission.share()),
            outcome: None,
            partitions: None,
            keys: None,
            failures: BTreeMap::new(),
            missing: None,
            limits,
            time,
        }
    }

    /// Returns the whole outcome as text, for a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> String {
        let mut text = match &self.result {
            Ok(bytes) => shown(bytes),
            Err(without) => without.text(),
        };
        if let Err(Some(failure)) = self.result.as_ref().map_err(NoResult::failure) {
            let lines = failure.log.iter().map(|line| format!("\n| {line}"));
            text.extend(lines);
        }
        text.push('\n');
        text
    }

    /// Returns the failure that explains a missing or partial answer, unless the result has it.
    pub(crate) fn cause(&self) -> Option<&str> {
        let is_told = matches!(&self.result, Err(without) if without.failure().is_some());
        self.missing.as_deref().filter(|_| !is_told)
    }

    /// Returns the outcome in a phrase.
    pub(crate) fn phrase(&self) -> String {
        let ended = match (&self.result, self.outcome) {
            (Err(without), _) => without.text(),
            (Ok(_), Some(outcome)) => outcome.to_owned(),
            (Ok(bytes), None) => format!("{} bytes", bytes.len()),
        };
        let slugs: Vec<String> = self.failures.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        if slugs.is_empty() { ended } else { format!("{ended}; leaves: {}", slugs.join(", ")) }
    }

    pub(crate) fn headroom(&self) -> Vec<Headroom> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let all = [
            Headroom { of: "fuel", used: self.usage.fuel, limit: self.limits.fuel },
            Headroom { of: "memory", used: self.usage.memory, limit: self.limits.memory },
            Headroom { of: "output", used: self.usage.output, limit: self.limits.output },
            Headroom { of: "time", used: micros(self.took), limit: micros(self.time) },
        ];
        all.into_iter().filter(|one| one.limit > 0).collect()
    }
}
