//! Gauges that are set at each scrape: running work, and resources of the process.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register;

/// Counts log lines that could not be written.
#[derive(Clone, Debug, Default)]
pub struct LostLines(Counter);

impl LostLines {
    /// Adds lost lines.
    pub fn add(&self, lines: u64) {
        self.0.inc_by(lines);
    }
}

/// Gauges of the server: running queries, memory in use, connections.
pub(super) struct Gauges {
    pub(super) running: Gauge,
    pub(super) leaves_running: Gauge,
    pub(super) leaves_waiting: Gauge,
    pub(super) slots: Gauge,
    pub(super) compiling: Gauge,
    pub(super) ahead: Gauge<f64, AtomicU64>,
    pub(super) tenants: Gauge,
    pub(super) recent_bytes: Gauge,
    pub(super) bodies: Gauge,
    resident: Gauge,
    files: Gauge,
    threads: Gauge,
    file_threads: Gauge,
    file_calls: Gauge,
    file_calls_stuck: Gauge,
    pub(super) lost_lines: LostLines,
    pub(super) connections: Gauge<i64, AtomicI64>,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            running: register::new(registry, "queries_running", "Running queries"),
            leaves_running: register::new(registry, "leaves_running", "Running leaves"),
            leaves_waiting: register::new(
                registry,
                "leaves_waiting",
                "Leaves that wait for something outside, without a slot",
            ),
            slots: register::new(registry, "slots", "Number of leaves that can run at once"),
            compiling: register::new(
                registry,
                "compile_queue",
                "Components that are compiled, or wait for the compiler",
            ),
            ahead: register::new(registry, "admission_ahead_seconds", "Expected slot time of the running queries"),
            tenants: register::new(
                registry,
                "admission_tenants",
                "Tenants with running queries: they share the slot threads equally",
            ),
            recent_bytes: register::new(registry, "recent_bytes", "Memory of the events of recent queries"),
            bodies: register::new(registry, "bodies_bytes", "Bodies of requests and answers in flight"),
            resident: register::new(registry, "resident_bytes", "The process's resident memory"),
            files: register::new(registry, "open_files", "The process's open file descriptors"),
            threads: register::new(registry, "threads", "The process's threads"),
            file_threads: register::new(registry, "file_threads", "Threads for file calls and name lookups"),
            file_calls: register::new(
                registry,
                "file_calls_running",
                "Running calls on granted folders and remote partitions, and running name lookups",
            ),
            file_calls_stuck: register::new(
                registry,
                "file_calls_stuck",
                "Running file calls and name lookups that nobody waits for any more",
            ),
            lost_lines: LostLines(register::new(registry, "log_lines_lost", "Log lines that could not be written")),
            connections: register::new(registry, "http_connections", "Connections"),
        }
    }

    /// Reads the resources of the process.
    pub(super) fn read_process(&self) {
        let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let calls = frond_run::file_calls();
        self.file_threads.set(int(calls.threads));
        self.file_calls.set(int(calls.running));
        self.file_calls_stuck.set(int(calls.stuck));
        // These files exist on Linux; elsewhere the gauges stay 0.
        if let Ok(status) = frond_files::read_text(Path::new("/proc/self/status"), frond_files::SETTINGS) {
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.split_whitespace().next()?.parse::<i64>().ok()
            };
            self.resident.set(field("VmRSS:").unwrap_or(0) * 1024);
            self.threads.set(field("Threads:").unwrap_or(0));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.files.set(int(files.count()));
        }
    }
}
