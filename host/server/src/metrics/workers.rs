//! Metrics of workers, read at each scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use frond_run::{Crew, WorkerTally};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register;

/// Label of a worker; `other` beyond a bound on names.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Worker {
    worker: String,
}

/// The metrics of workers.
pub(super) struct WorkerMetrics {
    workers: Gauge,
    slots: Gauge,
    attempts: Gauge,
    ended: Family<Worker, Counter>,
    joined: Counter,
    lost: Counter,
    attempts_lost: Counter,
}

impl WorkerMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        let ended = "Leaf attempts that ended on a worker";
        Self {
            workers: register::new(to, "workers", "Workers that have joined the server"),
            slots: register::new(to, "workers_slots", "Slots of the workers that take attempts"),
            attempts: register::new(to, "workers_attempts", "Leaf attempts that workers have"),
            ended: register::new(to, "workers_attempts_ended", ended),
            joined: register::new(to, "workers_joined", "Workers that joined the server"),
            lost: register::new(to, "workers_lost", "Workers that were lost without a drain"),
            attempts_lost: register::new(
                to,
                "workers_attempts_lost",
                "Started leaf attempts that were lost with their worker",
            ),
        }
    }

    pub(super) fn read(&self, crew: &Crew) {
        let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let set = |counter: &Counter<u64, AtomicU64>, value: u64| counter.inner().store(value, Ordering::Relaxed);
        let workers = crew.workers();
        let list = workers.list();
        self.workers.set(int(list.len()));
        self.slots.set(int(workers.slots()));
        self.attempts.set(int(list.iter().map(|worker| worker.attempts).sum()));
        let WorkerTally { joined, lost, attempts_lost, attempts } = workers.tally();
        set(&self.joined, joined);
        set(&self.lost, lost);
        set(&self.attempts_lost, attempts_lost);
        for (worker, ended) in attempts {
            set(&self.ended.get_or_create(&Worker { worker }), ended);
        }
    }
}
