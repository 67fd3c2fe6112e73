//! Limits of requests, queries and connections.

use std::time::Duration;

use frond_app::size::show_size;
use frond_app::{Size, Time};
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reload::keep;
use crate::budget::Budget;

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

impl Limits {
    /// Restores from `old` the limits that a running server cannot change, and records their keys.
    pub(super) fn fix(&mut self, old: &Self, changed: &mut Vec<String>) {
        keep!(
            changed, "limits.", self, old;
            component load headers connections peer_connections idle_time bodies memory header_time read_time recent
            recent_memory
        );
    }

    /// Checks that requests can be served within the limits.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::Refused(text));
        let none = [
            ("limits.connections", self.connections == 0),
            ("limits.peer-connections", self.peer_connections == 0),
            ("limits.idle-time", self.idle_time.0.is_zero()),
            ("limits.queries", self.queries == 0),
            ("limits.recent", self.recent == 0),
            ("limits.query", self.query.0 == 0),
            ("limits.deadline", self.deadline.0.is_zero()),
            ("limits.load", self.load.0.is_zero()),
            ("limits.memory", self.memory.0 == 0),
            ("limits.partitions", self.partitions == 0),
        ];
        if let Some((key, _)) = none.iter().find(|(_, is_none)| *is_none) {
            return refuse(format!("{key} is 0: nothing could be served"));
        }
        let largest = self.query.0.max(self.component.0);
        if Budget::largest_request(self.bodies.0) < largest {
            let least = show_size((largest / 5 + 1).saturating_mul(8));
            return refuse(format!(
                "limits.bodies is too small for one body of limits.query or limits.component\n\
                 (set it to at least {least}: three eighths are reserved for small bodies and for answers)"
            ));
        }
        match self.headers.0 {
            0..8192 => refuse("limits.headers is less than the 8KiB that ordinary clients send".to_owned()),
            _ => Ok(()),
        }
    }
}
