//! A server's settings: `frond-server.toml`, with its defaults.
//! Sizes are written like `16MiB`, times like `30s`.

mod error;
mod jobs;
mod limits;
mod reload;
mod tls;
mod tokens;
mod workers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use frond_run::WaitLimits;
use frond_tls::Trust;
use serde::{Deserialize, Serialize};

use reload::keep;
use tokens::without_tokens;

pub use error::ConfigError;
pub use frond_app::{Size, Time};
pub use jobs::{JobRole, Jobs};
pub use limits::Limits;
pub use tls::Tls;
pub(crate) use tokens::digest;
pub use tokens::{Role, Token, fresh_token};
pub use workers::Workers;

/// A server's settings. Every key has a default; an unknown key is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// Allows a server without tokens to listen on an address that other machines can reach.
    pub insecure: bool,
    /// The number of concurrent leaves; by default the number of cores, but at least two.
    pub slots: usize,
    /// The most leaves for each slot that wait for something outside, such as an answer of an API,
    /// while the slot runs another one; 0 lets them wait in their slots.
    pub waiting: usize,
    /// Growth of the process's resident memory up to which further leaves may wait without a slot,
    /// in bytes.
    pub waiting_memory: Size,
    /// Runs slot threads at a lower priority, so that health checks stay fast while leaves keep
    /// every core busy.
    pub leaves_step_back: bool,
    /// The state folder, with uploaded components and the versions of apps; by default `.frond` in
    /// the served folder.
    pub state: Option<PathBuf>,
    /// Whether changed files are picked up while serving.
    pub watch: bool,
    /// Limits of requests, queries and connections.
    pub limits: Limits,
    /// Settings of jobs, the work that outlives its request.
    pub jobs: Jobs,
    /// Settings of workers, which run leaves in other processes.
    pub workers: Workers,
    /// The tokens of callers. Without any, everybody on this machine has access.
    // Omitted if empty: the lines of `frond token` can then follow the output of `--print-config`.
    #[serde(rename = "token", skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
    /// A certificate and its key, for HTTPS.
    pub tls: Option<Tls>,
    /// Root certificates in PEM format for outgoing TLS: to hosts that guests call, and to trace
    /// collectors.
    /// By default those in `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the system's.
    pub roots: Option<PathBuf>,
    /// Origins of other web pages that have access (CORS), such as `https://example.com`.
    pub cors: Vec<String>,
    /// Destination of traces: the base URL of an OTLP receiver over HTTP, such as
    /// `http://127.0.0.1:4318`.
    pub traces: Option<String>,
    /// Level and format of the log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7300)),
            insecure: false,
            slots: frond_run::usual_slots(),
            waiting: WaitLimits::default().leaves,
            waiting_memory: Size(WaitLimits::default().memory),
            leaves_step_back: true,
            state: None,
            watch: true,
            limits: Limits::default(),
            jobs: Jobs::default(),
            workers: Workers::default(),
            tokens: Vec::new(),
            tls: None,
            roots: None,
            cors: Vec::new(),
            traces: None,
            log: Log::default(),
        }
    }
}

/// Settings of the log, which goes to stderr.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// `text`, or `json`: one object a line.
    pub format: LogFormat,
    /// The lowest level that is logged.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

/// Format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// JSON for machines.
    Json,
}

/// Level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Problems that need attention.
    Warn,
    /// One line for each query.
    Info,
    /// Events of connections as well.
    Debug,
}

impl Config {
    /// Reads settings from a file. Paths in them are relative to its folder.
    ///
    /// # Errors
    /// If the file cannot be read, or a key is invalid (with its line).
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = frond_files::read_text(path, frond_files::SETTINGS)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_path_buf(), cause })?;
        Self::parse(&text, path)
    }

    /// Parses the text of a settings file at `path`.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |text: String| ConfigError::Wrong { path: path.to_path_buf(), text };
        // The error shows the invalid line, which may contain a token.
        let mut config: Self =
            toml::from_str(text).map_err(|error| wrong(without_tokens(error.to_string().trim_end())))?;
        // Absolute paths: the output of `--print-config` is valid in any folder.
        let whole =
            std::path::absolute(path).map_err(|cause| ConfigError::Unreadable { path: path.to_path_buf(), cause })?;
        let folder = whole.parent().unwrap_or(Path::new("/")).to_path_buf();
        config.state = config.state.map(|path| folder.join(path));
        config.tls = config.tls.map(|tls| tls.below(&folder));
        config.roots = config.roots.map(|path| folder.join(path));
        config.workers = config.workers.below(&folder);
        config.jobs.password_file = config.jobs.password_file.map(|path| folder.join(path));
        Ok(config)
    }

    /// Restores from `old` the settings that a running server cannot change.
    /// Returns the keys that would have changed.
    pub(crate) fn fix(&mut self, old: &Self) -> Vec<String> {
        let mut changed = Vec::new();
        keep!(changed, "", self, old; listen slots waiting waiting_memory leaves_step_back state watch);
        // The certificate can change, but HTTPS cannot be turned on or off.
        if self.tls.is_some() != old.tls.is_some() {
            keep!(changed, "", self, old; tls);
        }
        keep!(changed, "", self, old; roots traces log);
        self.jobs.fix(&old.jobs, &mut changed);
        self.workers.fix(&old.workers, &mut changed);
        self.limits.fix(&old.limits, &mut changed);
        changed
    }

    /// Checks the settings as a whole.
    ///
    /// # Errors
    /// If other machines can reach the address and there are no tokens, or if tokens or limits are
    /// invalid.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Refused(text));
        if !self.listen.ip().is_loopback() && self.tokens.is_empty() && !self.insecure {
            return refuse(format!(
                "{} can be reached from other machines, and there are no tokens: anybody could run queries and replace plugins\n\
                 (make a token with `frond token NAME`, listen on 127.0.0.1, or allow it with --insecure)",
                self.listen
            ));
        }
        for (index, token) in self.tokens.iter().enumerate() {
            if digest(&token.sha256).is_none() {
                return refuse(format!(
                    "the token `{}` has a sha256 that is not 64 hexadecimal digits\n(`frond token NAME` makes one)",
                    token.name
                ));
            }
            if token.concurrency == 0 || token.rate == 0 {
                return refuse(format!("the token `{}` allows nothing: its concurrency or rate is 0", token.name));
            }
            let same = |other: &&Token| other.sha256.eq_ignore_ascii_case(&token.sha256);
            if let Some(other) = self.tokens.iter().take(index).find(same) {
                return refuse(format!(
                    "`{}` and `{}` have the same token: the server could not tell them apart\n\
                     (`frond token NAME` makes one for each)",
                    other.name, token.name
                ));
            }
        }
        self.jobs.check()?;
        self.workers.check(self.slots)?;
        if self.slots == 0 {
            return refuse("slots is 0: nothing could be served".to_owned());
        }
        if self.slots > usize::from(frond_run::MAX_SLOTS) {
            return refuse(format!("slots is more than {}: each is a thread", frond_run::MAX_SLOTS));
        }
        self.limits.check()
    }

    /// The bounds on waiting leaves.
    pub(crate) fn wait_limits(&self) -> WaitLimits {
        WaitLimits { leaves: self.waiting, memory: self.waiting_memory.0 }
    }

    /// The trusted roots for outgoing connections.
    ///
    /// # Errors
    /// If the file contains no roots.
    pub fn trust(&self) -> Result<Trust, ConfigError> {
        let Some(path) = &self.roots else {
            return Ok(Trust::system());
        };
        Trust::file(path).map_err(|error| ConfigError::Refused(format!("`roots`: {error}")))
    }
}

#[cfg(test)]
mod tests;
