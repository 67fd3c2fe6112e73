//! What a server is told of jobs.

use std::path::PathBuf;
use std::time::Duration;

use frond_jobs::store::location::{Location, environment, without_password};
use serde::{Deserialize, Serialize, Serializer};

use super::{ConfigError, Size, Time, keep};

/// The shortest lease: it is renewed after a third.
const LEAST_LEASE: Duration = Duration::from_secs(1);

/// Work that outlives its request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Jobs {
    /// What this server does of it.
    pub role: JobRole,
    /// Where jobs are kept: a folder, within the state's if it is not a whole path, or the URL of a PostgreSQL database
    /// that several servers share. `jobs` unless given. `${NAME}` stands for a variable of the environment.
    #[serde(serialize_with = "hidden")]
    pub store: Option<String>,
    /// A file with the password for that database.
    pub password_file: Option<PathBuf>,
    /// How long a database that is away when the server starts is waited for.
    pub store_wait: Time,
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
    pub quota: Size,
    /// The most bytes that the jobs of one token may take when it submits another, unless the token says otherwise.
    pub token_quota: Size,
    /// The most jobs that are kept of one token, unless it says otherwise. Tombstones do not count.
    pub token_jobs: u64,
    /// How often in a row a job may be lost with its server, without a result in between, before it fails.
    pub lives: u32,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            role: JobRole::All,
            store: None,
            password_file: None,
            store_wait: Time(Duration::from_secs(60)),
            at_once: 2,
            waiting: 1000,
            lease: Time(Duration::from_secs(30)),
            timeout: Time(Duration::from_secs(24 * 3600)),
            retention: Time(Duration::from_secs(7 * 24 * 3600)),
            quota: Size(64 << 30),
            token_quota: Size(1 << 30),
            token_jobs: 10_000,
            lives: frond_jobs::processor::LIVES,
        }
    }
}

/// The store without its password: what is printed may be kept and sent around.
fn hidden<S: Serializer>(store: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    store.as_deref().map(without_password).serialize(to)
}

impl Jobs {
    /// Takes what a running server cannot change from `old`, and notes the keys that would have changed.
    pub(super) fn fix(&mut self, old: &Self, keys: &mut Vec<&'static str>) {
        keep(keys, "jobs.role", &mut self.role, &old.role);
        keep(keys, "jobs.store", &mut self.store, &old.store);
        keep(keys, "jobs.password-file", &mut self.password_file, &old.password_file);
        keep(keys, "jobs.store-wait", &mut self.store_wait, &old.store_wait);
        keep(keys, "jobs.at-once", &mut self.at_once, &old.at_once);
        keep(keys, "jobs.waiting", &mut self.waiting, &old.waiting);
        keep(keys, "jobs.lease", &mut self.lease, &old.lease);
        keep(keys, "jobs.timeout", &mut self.timeout, &old.timeout);
        keep(keys, "jobs.retention", &mut self.retention, &old.retention);
        keep(keys, "jobs.quota", &mut self.quota, &old.quota);
        keep(keys, "jobs.token-quota", &mut self.token_quota, &old.token_quota);
        keep(keys, "jobs.token-jobs", &mut self.token_jobs, &old.token_jobs);
        keep(keys, "jobs.lives", &mut self.lives, &old.lives);
    }

    /// Checks that jobs can run, and what the store is called, but for what the environment adds to it.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let none = [("at-once", self.at_once == 0), ("lives", self.lives == 0), ("timeout", self.timeout.0.is_zero())];
        if let Some((key, _)) = none.iter().find(|(_, is_none)| *is_none) {
            return Err(ConfigError::Refused(format!("jobs.{key} must be more than 0: no job could run")));
        }
        if self.lease.0 < LEAST_LEASE {
            let text = "jobs.lease must be at least 1s: a server that is busy for a moment would lose its jobs";
            return Err(ConfigError::Refused(text.to_owned()));
        }
        let anything = |_: &str| Some("x".to_owned());
        let named = self.store.as_deref().map(|store| Location::parse(store, &anything)).transpose();
        named.map(drop).map_err(|error| ConfigError::Refused(error.to_string()))
    }

    /// Checks that servers which share their work share their jobs.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] for a dispatcher or a processor whose jobs are in a folder, which one process has open.
    pub fn check_shared(&self) -> Result<(), ConfigError> {
        let role = match self.role {
            JobRole::None | JobRole::All => return Ok(()),
            JobRole::Dispatcher => "dispatcher",
            JobRole::Processor => "processor",
        };
        let location = Location::parse(self.store.as_deref().unwrap_or("jobs"), &environment);
        match location.map_err(|error| ConfigError::Refused(error.to_string()))? {
            Location::Database(_) => Ok(()),
            Location::Folder(_) => Err(ConfigError::Refused(format!(
                "a {role} shares jobs with other servers, and a store in a folder is one server's\n\
                 (name a database as `jobs.store`, `postgres://USER@HOST/DATABASE`, or take the role `all`)"
            ))),
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

#[cfg(test)]
mod tests;
