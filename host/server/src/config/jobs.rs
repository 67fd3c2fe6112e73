//! Settings of jobs.

use std::path::PathBuf;
use std::time::Duration;

use frond_app::{Size, Time};
use frond_jobs::store::location::{Location, environment, without_password};
use serde::{Deserialize, Serialize, Serializer};

use super::error::ConfigError;
use super::reload::keep;

/// The shortest allowed lease. A lease is renewed after a third of its time.
const LEAST_LEASE: Duration = Duration::from_secs(1);

/// Settings of jobs, the work that outlives its request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Jobs {
    /// The part that this server plays.
    pub role: JobRole,
    /// The store of jobs: a folder, or the URL of a PostgreSQL database that several servers share.
    /// A relative folder is below the state folder; the default is `jobs`. `${NAME}` is replaced by
    /// an environment variable.
    #[serde(serialize_with = "hidden")]
    pub store: Option<String>,
    /// A file with the database's password.
    pub password_file: Option<PathBuf>,
    /// How long the server waits at its start for a database that is unavailable.
    pub store_wait: Time,
    /// The most jobs that run at once.
    pub at_once: usize,
    /// The most unfinished jobs of one app, and of one token.
    pub waiting: u32,
    /// Lease of a job: if its server is silent for longer, another server takes the job over.
    pub lease: Time,
    /// The longest run time of a job.
    pub timeout: Time,
    /// The longest time for which an answer is kept.
    pub retention: Time,
    /// The most bytes of all jobs: of the folder's size, or, in a database, of queries, plans,
    /// partials and answers.
    /// New jobs are refused when a sixteenth is left; running jobs wait for space.
    pub quota: Size,
    /// The most bytes of one token's jobs, checked at each submission, unless the token has its own
    /// limit.
    pub token_quota: Size,
    /// The most stored jobs of one token, unless the token has its own limit. Tombstones do not
    /// count.
    pub token_jobs: u64,
    /// A job fails after it has lost its server this many times in a row without any result in
    /// between.
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

/// Prints the store without its password, since printed settings may be stored or shared.
fn hidden<S: Serializer>(store: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    store.as_deref().map(without_password).serialize(to)
}

impl Jobs {
    /// Restores from `old` the settings that a running server cannot change, and records their
    /// keys.
    pub(super) fn fix(&mut self, old: &Self, changed: &mut Vec<String>) {
        keep!(
            changed, "jobs.", self, old;
            role store password_file store_wait at_once waiting lease timeout retention quota token_quota token_jobs
            lives
        );
    }

    /// Checks that jobs can run, and that the store's name is valid apart from environment
    /// variables.
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

    /// Checks that servers which share jobs also share a store.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] for a dispatcher or a processor with a store in a folder, which
    /// only one process can open.
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
                "a {role} shares jobs with other servers, and a store in a folder belongs to one server\n\
                 (name a database as `jobs.store`, `postgres://USER@HOST/DATABASE`, or take the role `all`)"
            ))),
        }
    }
}

/// The part that a server plays for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobRole {
    /// No jobs.
    None,
    /// Accepts jobs, and returns their answers.
    Dispatcher,
    /// Runs jobs.
    Processor,
    /// Accepts and runs jobs.
    All,
}

impl JobRole {
    /// True for a server that accepts jobs.
    #[must_use]
    pub fn dispatches(self) -> bool {
        matches!(self, Self::Dispatcher | Self::All)
    }

    /// True for a server that runs jobs.
    #[must_use]
    pub fn processes(self) -> bool {
        matches!(self, Self::Processor | Self::All)
    }
}

#[cfg(test)]
mod tests;
