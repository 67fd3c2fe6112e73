//! What a server is told of jobs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Size, Time};

/// Work that outlives its request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Jobs {
    /// What this server does of it.
    pub role: JobRole,
    /// Where jobs are kept: a folder, within the state's if it is not a whole path, or the URL of a PostgreSQL database
    /// that several servers share. `jobs` unless given.
    pub store: Option<String>,
    /// Jobs that run at once.
    pub at_once: usize,
    /// Jobs of one app, and of one token, that have not ended.
    pub waiting: u32,
    /// How long a job stays with a server that is not heard of, before another goes on with it.
    pub lease: Time,
    /// The longest that a job may run.
    pub timeout: Time,
    /// The longest that its answer is kept.
    pub retention: Time,
    /// The most bytes that jobs may take: of the folder, or, in a database, of queries, plans, partials and answers. New
    /// jobs are refused a sixteenth earlier; those that run wait for room.
    pub quota: Option<Size>,
    /// How often in a row a job may be lost with its server, without a result in between, before it fails.
    pub lives: u32,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            role: JobRole::All,
            store: None,
            at_once: 2,
            waiting: 1000,
            lease: Time(Duration::from_secs(30)),
            timeout: Time(Duration::from_secs(24 * 3600)),
            retention: Time(Duration::from_secs(7 * 24 * 3600)),
            quota: Some(Size(64 << 30)),
            lives: frond_jobs::processor::LIVES,
        }
    }
}

/// What a server does of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobRole {
    /// Nothing.
    None,
    /// It accepts them, and gives their answers.
    Dispatcher,
    /// It runs them.
    Processor,
    /// Both.
    All,
}

impl JobRole {
    /// True for a server that accepts jobs.
    #[must_use]
    pub fn dispatches(self) -> bool {
        matches!(self, Self::Dispatcher | Self::All)
    }

    /// True for one that runs them.
    #[must_use]
    pub fn processes(self) -> bool {
        matches!(self, Self::Processor | Self::All)
    }
}
