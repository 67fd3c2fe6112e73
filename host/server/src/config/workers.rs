//! Settings of workers: processes on this machine and on other hosts that run leaves for the
//! server.

use std::path::{Path, PathBuf};

use frond_run::crew::password;
use frond_run::{BrokerOptions, CrewSettings, USUAL_SPARES, check_pool, read_secret};
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reload::keep;

/// The most worker processes of a server.
const MAX_PROCESSES: usize = 1024;
/// The most processes of one kind that stand ready.
const MAX_SPARES: usize = 64;

/// Settings of workers, which run leaves in other processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Workers {
    /// Whether leaves also run in the server's own process; by default only without worker
    /// processes.
    pub local: Option<bool>,
    /// The most leaves that also run in the server's own process, if it has workers; 0 is the same
    /// as `local = false`. By default `slots`, and 0 with worker processes.
    pub local_slots: Option<usize>,
    /// The number of worker processes on this machine, each with one slot behind a second wall.
    pub processes: usize,
    /// The number of further processes that stand ready to replace one that ends: of `processes`,
    /// and of the processes of apps with `isolation = "process"`.
    pub spare_processes: usize,
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
            local_slots: None,
            processes: 0,
            spare_processes: USUAL_SPARES,
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
        keep!(changed, "workers.", self, old; local local_slots processes spare_processes nats pool user password_file credentials ca);
    }

    /// The most leaves that run in the server's own process, which has so many `slots`.
    #[must_use]
    pub fn local_slots(&self, slots: usize) -> usize {
        let are_there = self.local.unwrap_or(self.processes == 0);
        self.local_slots.unwrap_or(if are_there { slots } else { 0 })
    }

    /// Checks that leaves can run somewhere, and that each setting has an effect. The process has
    /// so many `slots`.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] with the reason and the remedy.
    pub fn check(&self, slots: usize) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Refused(text));
        if self.processes > MAX_PROCESSES {
            return refuse(format!("workers.processes is more than {MAX_PROCESSES}"));
        }
        if self.spare_processes > MAX_SPARES {
            return refuse(format!("workers.spare-processes is more than {MAX_SPARES}"));
        }
        let crew = self.crew_with(None, slots);
        crew.check().map_err(|error| ConfigError::Refused(error.to_string()))?;
        self.check_local(slots, crew.is_any())?;
        check_pool(&self.pool).map_err(|error| ConfigError::Refused(format!("workers.pool: {error}")))?;
        let needless = [
            ("pool", self.pool != BrokerOptions::default().pool),
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

    /// Checks the number of leaves that run in this process.
    fn check_local(&self, slots: usize, has_workers: bool) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Refused(text));
        match self.local_slots {
            Some(local) if self.local.is_some_and(|are_there| are_there != (local > 0)) => {
                refuse("workers.local and workers.local-slots contradict each other (leave one of them out)".to_owned())
            }
            Some(local) if local > slots => refuse(format!(
                "workers.local-slots, or --local-slots, is more than slots, which is {slots}\n(raise slots, or lower it)"
            )),
            Some(_) if !has_workers => refuse(
                "workers.local-slots, or --local-slots, has no effect without workers\n\
                     (--workers N or --nats URL adds workers, as do `processes` and `nats` of [workers])"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// The workers to start or to find, of a process that has so many `slots`.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] for the password file.
    pub fn crew(&self, slots: usize) -> Result<CrewSettings, ConfigError> {
        let read =
            |path: &PathBuf| read_secret(path).map_err(|cause| ConfigError::Unreadable { path: path.clone(), cause });
        let from_file = self.password_file.as_ref().map(read).transpose()?;
        let from_file = from_file.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        Ok(self.crew_with(from_file.or_else(password), slots))
    }

    fn crew_with(&self, password: Option<String>, slots: usize) -> CrewSettings {
        let broker = self.nats.clone().map(|url| BrokerOptions {
            url,
            pool: self.pool.clone(),
            user: self.user.clone(),
            password: password.filter(|_| self.user.is_some()),
            credentials: self.credentials.clone(),
            ca: self.ca.clone(),
        });
        CrewSettings {
            processes: self.processes,
            spares: self.spare_processes,
            broker,
            local_slots: self.local_slots(slots),
        }
    }
}
