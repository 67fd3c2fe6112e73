//! Settings of workers: processes on this machine and on other hosts that run leaves for the
//! server.

use std::path::{Path, PathBuf};

use frond_run::crew::password;
use frond_run::{BrokerOptions, CrewSettings, read_secret};
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reload::keep;

/// The most worker processes of a server.
const MAX_PROCESSES: usize = 1024;

/// Settings of workers, which run leaves in other processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workers {
    /// Whether leaves also run in the server's own process; by default only without worker
    /// processes.
    pub local: Option<bool>,
    /// The number of worker processes on this machine, each with one slot behind a second wall.
    pub processes: usize,
    /// The URL of the NATS server that workers of other hosts join, such as `nats://host:4222` or
    /// `tls://host:4222`; several of one cluster are separated by commas.
    pub nats: Option<String>,
    /// The pool: leaves run on its workers only.
    pub pool: String,
    /// The server's NATS user.
    pub user: Option<String>,
    /// A file with the password of the NATS user; by default the environment variable
    /// `FROND_NATS_PASSWORD` has it.
    pub password_file: Option<PathBuf>,
    /// A file with the credentials of the NATS user, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// A file with the root certificates of the NATS server in PEM format. It makes TLS mandatory.
    pub ca: Option<PathBuf>,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            local: None,
            processes: 0,
            nats: None,
            pool: BrokerOptions::default().pool,
            user: None,
            password_file: None,
            credentials: None,
            ca: None,
        }
    }
}

impl Workers {
    /// Resolves relative paths below `folder`.
    pub(super) fn below(self, folder: &Path) -> Self {
        let below = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        let Self { password_file, credentials, ca, .. } = self.clone();
        Self { password_file: below(password_file), credentials: below(credentials), ca: below(ca), ..self }
    }

    /// Restores from `old` the settings that a running server cannot change, and records their
    /// keys.
    pub(super) fn fix(&mut self, old: &Self, changed: &mut Vec<String>) {
        keep!(changed, "workers.", self, old; local processes nats pool user password_file credentials ca);
    }

    /// True if leaves also run in the server's own process.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local.unwrap_or(self.processes == 0)
    }

    /// Checks that leaves can run somewhere, and that each setting has an effect.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.processes > MAX_PROCESSES {
            return Err(ConfigError::Refused(format!("workers.processes is more than {MAX_PROCESSES}")));
        }
        self.crew_with(None).check().map_err(|error| ConfigError::Refused(error.to_string()))?;
        let needless = [
            ("user", self.user.is_some()),
            ("password-file", self.password_file.is_some()),
            ("credentials", self.credentials.is_some()),
            ("ca", self.ca.is_some()),
        ];
        match needless.iter().find(|(_, is_set)| *is_set && self.nats.is_none()) {
            Some((key, _)) => Err(ConfigError::Refused(format!(
                "workers.{key} has no effect without workers.nats\n(name the NATS server, or leave workers.{key} out)"
            ))),
            None => Ok(()),
        }
    }

    /// The workers to start or to find.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] for the password file.
    pub fn crew(&self) -> Result<CrewSettings, ConfigError> {
        let read =
            |path: &PathBuf| read_secret(path).map_err(|cause| ConfigError::Unreadable { path: path.clone(), cause });
        let from_file = self.password_file.as_ref().map(read).transpose()?;
        let from_file = from_file.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        Ok(self.crew_with(from_file.or_else(password)))
    }

    fn crew_with(&self, password: Option<String>) -> CrewSettings {
        let broker = self.nats.clone().map(|url| BrokerOptions {
            url,
            pool: self.pool.clone(),
            user: self.user.clone(),
            password: password.filter(|_| self.user.is_some()),
            credentials: self.credentials.clone(),
            ca: self.ca.clone(),
        });
        CrewSettings { processes: self.processes, broker, is_local: self.is_local() }
    }
}
