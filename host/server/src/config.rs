//! What a server is told: `frond-server.toml`, with its defaults. Sizes are written as `16MiB`, times as `30s`.

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

/// A server's settings. Every key has a default; an unknown one is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Serves anybody who can reach it, though it can be reached from elsewhere and has no tokens.
    pub insecure: bool,
    /// Leaves at once; by default as many as there are cores, and two at least.
    pub slots: usize,
    /// Leaf threads step back for everything else on the machine: health checks stay fast while leaves keep every core busy.
    pub leaves_step_back: bool,
    /// Where uploaded components and the versions of apps are kept; by default `.frond` in the served folder.
    pub state: Option<PathBuf>,
    /// Whether changed files are picked up while serving.
    pub watch: bool,
    /// What clients may take.
    pub limits: Limits,
    /// Work that outlives its request.
    pub jobs: Jobs,
    /// Who may ask. Without any, anybody on this machine.
    // Left out when there are none: the lines of `frond token` can follow what `--print-config` wrote.
    #[serde(rename = "token", skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
    /// A certificate and its key, for HTTPS.
    pub tls: Option<Tls>,
    /// Root certificates in PEM form that prove whom this server connects to: hosts that guests ask, receivers of traces. By
    /// default those in `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the system's.
    pub roots: Option<PathBuf>,
    /// Web pages elsewhere that may ask, by their origins, such as `https://example.com`.
    pub cors: Vec<String>,
    /// Where traces go: the base address of an OTLP receiver over HTTP, such as `http://127.0.0.1:4318`.
    pub traces: Option<String>,
    /// How much is logged, and in which form.
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

/// What clients may take: each of it bounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// A query's bytes, partitions that it brings along included.
    pub query: Size,
    /// An uploaded component's bytes.
    pub component: Size,
    /// How long one load of an app may take: reading, compiling and all checks.
    pub load: Time,
    /// A request's head, in bytes.
    pub headers: Size,
    /// Connections at once. A quarter of them is kept for clients whose requests were let in.
    pub connections: usize,
    /// Connections at once of one address; of IPv6, of one network (/64).
    pub peer_connections: usize,
    /// How long a connection may stand without a request.
    pub idle_time: Time,
    /// Memory for all bodies in flight: those of requests, and of answers until they have been sent.
    pub bodies: Size,
    /// Queries at once.
    pub queries: usize,
    /// The longest deadline that a query may ask for.
    pub deadline: Time,
    /// How long a client may take to send a request's head.
    pub header_time: Time,
    /// How long a client may take to send a request's body.
    pub body_time: Time,
    /// How long a client may leave what it is sent unread.
    pub read_time: Time,
    /// Recent queries that are kept to be looked at.
    pub recent: usize,
    /// Memory for the events of recent queries, in bytes.
    pub recent_memory: Size,
    /// How long queries may go on after the server was told to stop.
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

/// Somebody who may ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// Who it was given to; in logs and metrics.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The SHA-256 of the token: 64 hexadecimal digits. The token itself is kept nowhere.
    pub sha256: String,
    /// Queries at once.
    #[serde(default = "Token::concurrency")]
    pub concurrency: usize,
    /// Requests a second, over time; twice as many at once.
    #[serde(default = "Token::rate")]
    pub rate: u32,
    /// Bytes that its jobs may take; by default `jobs.token-quota`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_quota: Option<Size>,
    /// Jobs that are kept of it; by default `jobs.token-jobs`.
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

/// What a token allows. Queries and jobs belong to the caller who asked: the token's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Asking, looking at apps, and all that can be done with the token's own queries and jobs.
    Query,
    /// Looking at everything, at others' queries and jobs too. Nothing else.
    Observer,
    /// Everything: changing apps, and others' queries and jobs.
    Admin,
}

/// Logs go to stderr.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// `text`, or `json`: an object a line.
    pub format: LogFormat,
    /// How much: each level with those above it.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

/// The form of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// A line for each query.
    Info,
    /// What connections do, too.
    Debug,
}

/// Why a server cannot be started as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {text}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        text: String,
    },
    /// The settings do not go together.
    #[error("{0}")]
    Refused(String),
}

impl Config {
    /// Reads settings from a file. Paths in them are relative to its folder.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is wrong: with its line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = frond_files::read_text(path, frond_files::SETTINGS)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_path_buf(), cause })?;
        Self::parse(&text, path)
    }

    /// The settings that a file at `path` has as its text.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |text: String| ConfigError::Wrong { path: path.to_path_buf(), text };
        // The line that is wrong is shown, and may be one with a token in it.
        let mut config: Self =
            toml::from_str(text).map_err(|error| wrong(without_tokens(error.to_string().trim_end())))?;
        // Whole paths: what `--print-config` writes means the same wherever it is kept.
        let whole =
            std::path::absolute(path).map_err(|cause| ConfigError::Unreadable { path: path.to_path_buf(), cause })?;
        let folder = whole.parent().unwrap_or(Path::new("/")).to_path_buf();
        config.state = config.state.map(|path| folder.join(path));
        config.tls = config.tls.map(|tls| tls.below(&folder));
        config.roots = config.roots.map(|path| folder.join(path));
        config.jobs.password_file = config.jobs.password_file.map(|path| folder.join(path));
        Ok(config)
    }

    /// What a running server cannot change is taken from `old` again. Returns the keys that would have changed.
    pub(crate) fn fix(&mut self, old: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let keys = &mut changed;
        keep(keys, "listen", &mut self.listen, &old.listen);
        keep(keys, "slots", &mut self.slots, &old.slots);
        keep(keys, "leaves-step-back", &mut self.leaves_step_back, &old.leaves_step_back);
        keep(keys, "state", &mut self.state, &old.state);
        keep(keys, "watch", &mut self.watch, &old.watch);
        // Another certificate is taken; whether there is one cannot change.
        if self.tls.is_some() != old.tls.is_some() {
            keep(keys, "tls", &mut self.tls, &old.tls);
        }
        keep(keys, "roots", &mut self.roots, &old.roots);
        keep(keys, "traces", &mut self.traces, &old.traces);
        keep(keys, "log", &mut self.log, &old.log);
        self.jobs.fix(&old.jobs, keys);
        let (new, old) = (&mut self.limits, &old.limits);
        keep(keys, "limits.component", &mut new.component, &old.component);
        keep(keys, "limits.load", &mut new.load, &old.load);
        keep(keys, "limits.headers", &mut new.headers, &old.headers);
        keep(keys, "limits.connections", &mut new.connections, &old.connections);
        keep(keys, "limits.peer-connections", &mut new.peer_connections, &old.peer_connections);
        keep(keys, "limits.idle-time", &mut new.idle_time, &old.idle_time);
        keep(keys, "limits.bodies", &mut new.bodies, &old.bodies);
        keep(keys, "limits.header-time", &mut new.header_time, &old.header_time);
        keep(keys, "limits.read-time", &mut new.read_time, &old.read_time);
        keep(keys, "limits.recent", &mut new.recent, &old.recent);
        keep(keys, "limits.recent-memory", &mut new.recent_memory, &old.recent_memory);
        changed
    }

    /// Checks what no key can say by itself.
    ///
    /// # Errors
    /// An address that others can reach, without tokens; tokens and limits that make no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Refused(text));
        if !self.listen.ip().is_loopback() && self.tokens.is_empty() && !self.insecure {
            return refuse(format!(
                "{} can be reached from other machines, and there are no tokens: anybody could ask, and replace plugins\n\
                 (make one with `frond token NAME`, listen on 127.0.0.1, or say --insecure and let anybody do so)",
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
                    "`{}` and `{}` have one token: who asks could not be told\n(`frond token NAME` makes one for each)",
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
                "limits.bodies is too little for one body of limits.query or limits.component\n\
                 (give it {least} at least: three eighths are kept for small bodies and for answers)"
            ));
        }
        match limits.headers.0 {
            0..8192 => refuse("limits.headers is less than the 8KiB that ordinary clients send".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Takes a value from `old`; notes its key if it would have changed.
fn keep<T: PartialEq + Clone>(changed: &mut Vec<&'static str>, key: &'static str, new: &mut T, old: &T) {
    if new != old {
        changed.push(key);
        new.clone_from(old);
    }
}

#[cfg(test)]
mod tests;
