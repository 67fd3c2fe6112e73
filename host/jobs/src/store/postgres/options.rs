//! Settings of the store.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::SetClock;
use crate::store::{EVENTS_KEPT, TOMBSTONES_KEPT};

/// Settings of the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most connections of this process, at least 1.
    pub connections: usize,
    /// Timeout of a statement and of its wait for locks. A call may take several statements.
    pub statement_timeout: Duration,
    /// Timeout of a response to a small statement. Other statements get the statement timeout, plus
    /// 5 s and a second per 4 MiB.
    pub patience: Duration,
    /// Timeout of the server's response to a new connection, and of the wait for a free one.
    pub connect_timeout: Duration,
    /// File with the password, read for each new connection.
    pub password_file: Option<PathBuf>,
    /// Most bytes that jobs may take, without their events; `None` is unlimited. New jobs are
    /// refused a little earlier, so that existing jobs can end.
    pub max_bytes: Option<u64>,
    /// Events kept per job.
    pub events_kept: u64,
    /// Tombstones kept per caller.
    pub tombstones_kept: u64,
    /// Clock of a test; `None` uses the database server's clock.
    pub clock: Option<SetClock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 8,
            statement_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            password_file: None,
            max_bytes: None,
            events_kept: EVENTS_KEPT,
            tombstones_kept: TOMBSTONES_KEPT,
            clock: None,
        }
    }
}
