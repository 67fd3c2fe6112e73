//! Gauges that are read at each scrape: running work, and resources of the process.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::server::Server;

/// Counts log lines that could not be written.
#[derive(Clone, Debug, Default)]
pub struct LostLines(Counter);

impl LostLines {
    /// Adds lost lines.
    pub fn add(&self, lines: u64) {
        self.0.inc_by(lines);
    }
}

impl Metrics {
    /// The counter of log lines that could not be written.
    pub(crate) fn lost_log_lines(&self) -> LostLines {
        self.gauges.lost_lines.clone()
    }
}

/// The gauges.
pub(super) struct Gauges {
    running: Gauge,
    leaves_running: Gauge,
    slots: Gauge,
    compiling: Gauge,
    ahead: Gauge<f64, AtomicU64>,
    tenants: Gauge,
    recent_bytes: Gauge,
    bodies: Gauge,
    resident: Gauge,
    files: Gauge,
    threads: Gauge,
    file_threads: Gauge,
    file_calls: Gauge,
    file_calls_stuck: Gauge,
    lost_lines: LostLines,
    pub(super) connections: Gauge<i64, AtomicI64>,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let gauges = Self {
            running: Gauge::default(),
            leaves_running: Gauge::default(),
            slots: Gauge::default(),
            compiling: Gauge::default(),
            ahead: Gauge::default(),
            tenants: Gauge::default(),
            recent_bytes: Gauge::default(),
            bodies: Gauge::default(),
            resident: Gauge::default(),
            files: Gauge::default(),
            threads: Gauge::default(),
            file_threads: Gauge::default(),
            file_calls: Gauge::default(),
            file_calls_stuck: Gauge::default(),
            lost_lines: LostLines::default(),
            connections: Gauge::default(),
        };
        registry.register("queries_running", "Running queries", gauges.running.clone());
        registry.register("leaves_running", "Running leaves", gauges.leaves_running.clone());
        registry.register("slots", "Number of leaves that can run at once", gauges.slots.clone());
        registry.register(
            "compile_queue",
            "Components that are compiled, or wait for the compiler",
            gauges.compiling.clone(),
        );
        registry.register("admission_ahead_seconds", "Expected slot time of the running queries", gauges.ahead.clone());
        registry.register(
            "admission_tenants",
            "Tenants with running queries: they share the slot threads equally",
            gauges.tenants.clone(),
        );
        registry.register("recent_bytes", "Memory of the events of recent queries", gauges.recent_bytes.clone());
        registry.register("bodies_bytes", "Bodies of requests and answers in flight", gauges.bodies.clone());
        registry.register("resident_bytes", "The process's resident memory", gauges.resident.clone());
        registry.register("open_files", "The process's open file descriptors", gauges.files.clone());
        registry.register("threads", "The process's threads", gauges.threads.clone());
        registry.register("file_threads", "Threads for file calls and name lookups", gauges.file_threads.clone());
        let under_way = "Running calls on granted folders and remote partitions, and running name lookups";
        registry.register("file_calls_running", under_way, gauges.file_calls.clone());
        let stuck = "Running file calls and name lookups that nobody waits for any more";
        registry.register("file_calls_stuck", stuck, gauges.file_calls_stuck.clone());
        registry.register("log_lines_lost", "Log lines that could not be written", gauges.lost_lines.0.clone());
        registry.register("http_connections", "Connections", gauges.connections.clone());
        gauges
    }

    pub(super) fn read(&self, server: &Server) {
        let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.running.set(int(server.recent.running()));
        self.leaves_running.set(int(server.leaves_running()));
        self.slots.set(int(server.settings().config.slots));
        self.compiling.set(int(server.apps.compiling()));
        let (ahead, tenants) = server.admission.ahead();
        self.ahead.set(ahead.as_secs_f64());
        self.tenants.set(int(tenants));
        self.recent_bytes.set(int(server.recent.memory()));
        let calls = frond_run::file_calls();
        self.file_threads.set(int(calls.threads));
        self.file_calls.set(int(calls.running));
        self.file_calls_stuck.set(int(calls.stuck));
        self.bodies.set(i64::try_from(server.sending.budget().used()).unwrap_or(i64::MAX));
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
