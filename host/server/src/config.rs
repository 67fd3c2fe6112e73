//! A server's settings: `frond-server.toml`, with its defaults.
//! Sizes are written like `16MiB`, times like `30s`.

mod jobs;
mod tls;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use frond_app::size::show_size;
use serde::{Deserialize, Serialize};

use crate::auth::{digest, without_tokens};
use crate::bodies::Budget;

pub use jobs::{JobRole, Jobs};
pub use tls::Tls;
pub use units::{Size, Time};

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
            leaves_step_back: true,
            state: None,
            watch: true,
            limits: Limits::default(),
            jobs: Jobs::default(),
            tokens: Vec::new(),
            tls: None,
            roots: None,
            cors: Vec::new(),
            traces: None,
            log: Log::default(),
        }
    }
}

/// Limits of requests, queries and connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// The largest query in bytes, including partitions that it carries.
    pub query: Size,
    /// The largest uploaded component, in bytes.
    pub component: Size,
    /// Time limit of one load of an app: reading, compiling and all checks.
    pub load: Time,
    /// The largest request head, in bytes.
    pub headers: Size,
    /// The most connections at once. A quarter of them is reserved for clients with an accepted
    /// request.
    pub connections: usize,
    /// The most connections at once of one IPv4 address or IPv6 network (/64).
    pub peer_connections: usize,
    /// Timeout of a connection without a request. In HTTP/1.1 the smaller of this and
    /// `header_time` counts.
    pub idle_time: Time,
    /// Memory for all bodies in flight, in bytes: of requests, and of answers until they have been
    /// sent.
    pub bodies: Size,
    /// Memory for the plans and partials of all running queries, in bytes.
    pub memory: Size,
    /// The most partitions of one query; a job may have more.
    pub partitions: usize,
    /// The most queries at once.
    pub queries: usize,
    /// The longest deadline that a query may request.
    pub deadline: Time,
    /// Timeout of a request's head (slowloris guard).
    pub header_time: Time,
    /// Timeout of a request's body.
    pub body_time: Time,
    /// Timeout of a client that does not read its answer.
    pub read_time: Time,
    /// The number of recent queries that are kept for inspection.
    pub recent: usize,
    /// Memory for the events of recent queries, in bytes.
    pub recent_memory: Size,
    /// The longest that running queries may continue after the server was told to stop.
    pub drain: Time,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            query: Size(16 << 20),
            component: Size(64 << 20),
            load: Time(Duration::from_secs(300)),
            headers: Size(32 << 10),
            connections: 1024,
            peer_connections: 512,
            idle_time: Time(Duration::from_secs(60)),
            bodies: Size(256 << 20),
            memory: Size(1 << 30),
            partitions: 100_000,
            queries: 256,
            deadline: Time(Duration::from_secs(600)),
            header_time: Time(Duration::from_secs(10)),
            body_time: Time(Duration::from_secs(30)),
            read_time: Time(Duration::from_secs(30)),
            recent: 200,
            recent_memory: Size(64 << 20),
            drain: Time(Duration::from_secs(30)),
        }
    }
}

/// A token, which gives its owner access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// The owner's name, in logs and metrics.
    pub name: String,
    /// The token's permissions.
    pub role: Role,
    /// The SHA-256 of the token: 64 hexadecimal digits. The token itself is not stored.
    pub sha256: String,
    /// The most queries at once.
    #[serde(default = "Token::concurrency")]
    pub concurrency: usize,
    /// Sustained requests a second; bursts of twice as many are allowed.
    #[serde(default = "Token::rate")]
    pub rate: u32,
    /// The most bytes of the token's jobs; by default `jobs.token-quota`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_quota: Option<Size>,
    /// The most stored jobs of the token; by default `jobs.token-jobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u64>,
}

impl Token {
    fn concurrency() -> usize {
        64
    }

    fn rate() -> u32 {
        1000
    }
}

/// Permissions of a token. Queries and jobs belong to the token that created them, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Queries, reads apps, and manages the token's queries and jobs.
    Query,
    /// Reads everything, including other callers' queries and jobs.
    Observer,
    /// Everything, including changes of apps and of other callers' queries and jobs.
    Admin,
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

/// Why a server cannot start with its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The file is invalid.
    #[error("{}: {text}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The error, with its line.
        text: String,
    },
    /// The settings cannot be used.
    #[error("{0}")]
    Refused(String),
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
        config.jobs.password_file = config.jobs.password_file.map(|path| folder.join(path));
        Ok(config)
    }

    /// Restores from `old` the settings that a running server cannot change.
    /// Returns the keys that would have changed.
    pub(crate) fn fix(&mut self, old: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let keys = &mut changed;
        keep(keys, "listen", &mut self.listen, &old.listen);
        keep(keys, "slots", &mut self.slots, &old.slots);
        keep(keys, "leaves-step-back", &mut self.leaves_step_back, &old.leaves_step_back);
        keep(keys, "state", &mut self.state, &old.state);
        keep(keys, "watch", &mut self.watch, &old.watch);
        // The certificate can change, but HTTPS cannot be turned on or off.
        if self.tls.is_some() != old.tls.is_some() {
            keep(keys, "tls", &mut self.tls, &old.tls);
        }
        keep(keys, "roots", &mut self.roots, &old.roots);
        keep(keys, "traces", &mut self.traces, &old.traces);
        keep(keys, "log", &mut self.log, &old.log);
        self.jobs.fix(&old.jobs, keys);
        let new = &mut self.limits;
        let old = &old.limits;
        keep(keys, "limits.component", &mut new.component, &old.component);
        keep(keys, "limits.load", &mut new.load, &old.load);
        keep(keys, "limits.headers", &mut new.headers, &old.headers);
        keep(keys, "limits.connections", &mut new.connections, &old.connections);
        keep(keys, "limits.peer-connections", &mut new.peer_connections, &old.peer_connections);
        keep(keys, "limits.idle-time", &mut new.idle_time, &old.idle_time);
        keep(keys, "limits.bodies", &mut new.bodies, &old.bodies);
        keep(keys, "limits.memory", &mut new.memory, &old.memory);
        keep(keys, "limits.header-time", &mut new.header_time, &old.header_time);
        keep(keys, "limits.read-time", &mut new.read_time, &old.read_time);
        keep(keys, "limits.recent", &mut new.recent, &old.recent);
        keep(keys, "limits.recent-memory", &mut new.recent_memory, &old.recent_memory);
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
        let limits = &self.limits;
        let none = [
            ("slots", self.slots == 0),
            ("limits.connections", limits.connections == 0),
            ("limits.peer-connections", limits.peer_connections == 0),
            ("limits.idle-time", limits.idle_time.0.is_zero()),
            ("limits.queries", limits.queries == 0),
            ("limits.recent", limits.recent == 0),
            ("limits.query", limits.query.0 == 0),
            ("limits.deadline", limits.deadline.0.is_zero()),
            ("limits.load", limits.load.0.is_zero()),
            ("limits.memory", limits.memory.0 == 0),
            ("limits.partitions", limits.partitions == 0),
        ];
        if let Some((key, _)) = none.iter().find(|(_, is_none)| *is_none) {
            return refuse(format!("{key} is 0: nothing could be served"));
        }
        if self.slots > usize::from(frond_run::MAX_SLOTS) {
            return refuse(format!("slots is more than {}: each is a thread", frond_run::MAX_SLOTS));
        }
        let largest = limits.query.0.max(limits.component.0);
        if Budget::largest_request(limits.bodies.0) < largest {
            let least = show_size((largest / 5 + 1).saturating_mul(8));
            return refuse(format!(
                "limits.bodies is too small for one body of limits.query or limits.component\n\
                 (set it to at least {least}: three eighths are reserved for small bodies and for answers)"
            ));
        }
        match limits.headers.0 {
            0..8192 => refuse("limits.headers is less than the 8KiB that ordinary clients send".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Restores a value from `old`; records its key if it would have changed.
fn keep<T: PartialEq + Clone>(changed: &mut Vec<&'static str>, key: &'static str, new: &mut T, old: &T) {
    if new != old {
        changed.push(key);
        new.clone_from(old);
    }
}

#[cfg(test)]
mod tests;
