//! A server's view of jobs, and the exit code of a job.

use frond_jobs::{JobId, JobState};
use frond_root::{Coverage, Reason};
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;

/// Job as the server reports it. Unknown fields of a newer server are ignored here; `--format json`
/// prints them.
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
    /// Lease epoch: how many times a process has taken the job; above 1 after an interruption
    /// or a redrive.
    #[serde(default)]
    pub(crate) epoch: u64,
    reason: Option<Value>,
    coverage: Option<Value>,
    pub(crate) caller: Option<String>,
}

/// Numbers of partitions by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Partitions {
    pub(crate) planned: u64,
    pub(crate) done: u64,
    pub(crate) degraded: u64,
    pub(crate) failed: u64,
}

/// Estimated time to the end of a job, in milliseconds from the time of the reply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Eta {
    pub(crate) p50_ms: u64,
    pub(crate) p90_ms: u64,
    #[serde(default)]
    pub(crate) basis: String,
}

/// A page of jobs, and the cursor of the next page.
#[derive(Debug, Deserialize)]
pub(crate) struct List {
    pub(crate) jobs: Vec<Job>,
    pub(crate) next: Option<JobId>,
}

impl Job {
    /// Returns the coverage report, once there is one.
    pub(crate) fn coverage(&self) -> Option<Coverage> {
        self.coverage.clone().and_then(|coverage| serde_json::from_value(coverage).ok())
    }

    /// Returns the reason for a missing or partial answer, if a query could have it too.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason.clone().and_then(|reason| serde_json::from_value(reason).ok())
    }

    /// Returns the reason in words, including reasons that no query has.
    pub(crate) fn why(&self) -> Option<String> {
        if let Some(reason) = self.reason() {
            return Some(reason.to_string());
        }
        let reason = self.reason.as_ref()?;
        let text = reason.get("detail").or_else(|| reason.get("reason"))?.as_str()?;
        Some(text.to_owned())
    }

    /// Returns the exit code that `frond query` would have.
    pub(crate) fn exit(&self) -> Exit {
        match self.state {
            JobState::Succeeded => Exit::Whole,
            JobState::Partial => Exit::Partial,
            JobState::Failed => self.reason().as_ref().map_or_else(|| self.other_exit(), Exit::from),
            JobState::Cancelled => Exit::BelowFloor,
            // The answer existed once: asking for it after its retention is a usage error.
            JobState::Expired => Exit::Usage,
            _ => Exit::Unavailable,
        }
    }

    fn other_exit(&self) -> Exit {
        let word = self.reason.as_ref().and_then(|reason| reason.get("reason")?.as_str());
        match word {
            // The app changed while the job ran.
            Some("incompatible") => Exit::Usage,
            Some("refused" | "invalid-query") => Exit::InvalidQuery,
            Some("deadline") => Exit::Deadline,
            Some("split" | "merge" | "lost") => Exit::Plugin,
            // There is room once jobs of the token are deleted or expire.
            Some("quota") => Exit::Unavailable,
            _ => Exit::BelowFloor,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
