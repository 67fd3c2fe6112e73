//! What a server tells of jobs, and the exit code that a job stands for.

use frond_jobs::{JobId, JobState};
use frond_root::{Coverage, Reason};
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;

/// A job. What a newer server tells beyond this is left out here, and stays in what `--format json` prints.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) app: String,
    #[serde(default)]
    pub(crate) version: String,
    pub(crate) state: JobState,
    pub(crate) created_unix_ms: u64,
    pub(crate) started_unix_ms: Option<u64>,
    pub(crate) finished_unix_ms: Option<u64>,
    pub(crate) expires_unix_ms: Option<u64>,
    pub(crate) partitions: Partitions,
    pub(crate) fraction: f64,
    pub(crate) eta: Option<Eta>,
    pub(crate) eta_missing: Option<String>,
    pub(crate) poll_after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) cancelling: bool,
    /// How often somebody took it on: more than once after an interruption.
    #[serde(default)]
    pub(crate) epoch: u64,
    reason: Option<Value>,
    coverage: Option<Value>,
    pub(crate) caller: Option<String>,
}

/// Partitions, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Partitions {
    pub(crate) planned: u64,
    pub(crate) done: u64,
    pub(crate) degraded: u64,
    pub(crate) failed: u64,
}

/// When a job is likely to end, from the time of the reply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Eta {
    pub(crate) p50_ms: u64,
    pub(crate) p90_ms: u64,
    #[serde(default)]
    pub(crate) basis: String,
}

/// Jobs, and the one to go on after.
#[derive(Debug, Deserialize)]
pub(crate) struct List {
    pub(crate) jobs: Vec<Job>,
    pub(crate) next: Option<JobId>,
}

impl Job {
    /// The account, once there is one.
    pub(crate) fn coverage(&self) -> Option<Coverage> {
        self.coverage.clone().and_then(|told| serde_json::from_value(told).ok())
    }

    /// Why it has no answer, or not a whole one, as a query would say it.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason.clone().and_then(|told| serde_json::from_value(told).ok())
    }

    /// The same in words, also where no query would end like that.
    pub(crate) fn why(&self) -> Option<String> {
        if let Some(reason) = self.reason() {
            return Some(reason.to_string());
        }
        let told = self.reason.as_ref()?;
        let text = told.get("detail").or_else(|| told.get("reason"))?.as_str()?;
        Some(text.to_owned())
    }

    /// The code that `frond query` would end with.
    pub(crate) fn exit(&self) -> Exit {
        match self.state {
            JobState::Succeeded => Exit::Whole,
            JobState::Partial => Exit::Partial,
            JobState::Failed => self.reason().as_ref().map_or_else(|| self.other_exit(), Exit::from),
            JobState::Cancelled => Exit::BelowFloor,
            // There was an answer; that it is asked for now is the mistake.
            JobState::Expired => Exit::Usage,
            _ => Exit::Unavailable,
        }
    }

    fn other_exit(&self) -> Exit {
        let word = self.reason.as_ref().and_then(|told| told.get("reason")?.as_str());
        match word {
            // The app changed under it.
            Some("incompatible") => Exit::Usage,
            Some("refused" | "invalid-query") => Exit::InvalidQuery,
            Some("deadline") => Exit::Deadline,
            Some("split" | "merge" | "lost") => Exit::Plugin,
            _ => Exit::BelowFloor,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
