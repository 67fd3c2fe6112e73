//! Metrics of jobs.
//! Metrics of the store are read at each scrape, and are the same on every server that shares it;
//! the others are of this server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use frond_jobs::{JobStore, Tally};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register;

/// Timeout of the store at a scrape.
const PATIENCE: Duration = Duration::from_secs(2);

/// Label of a job's state.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Labels of a call of the store.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    call: &'static str,
    error: &'static str,
}

/// The metrics of jobs.
pub(super) struct JobMetrics {
    jobs: Family<State, Gauge>,
    oldest: Gauge<f64, AtomicU64>,
    bytes: Gauge,
    up: Gauge,
    accepted: Counter,
    late: Counter,
    resumed: Counter,
    lost: Counter,
    errors: Family<Call, Counter>,
}

impl JobMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        let waiting = "Waiting time of the job that has waited longest for a processor; 0 when none waits";
        let lost = "Jobs lost while running: to another owner, or because the lease could not be renewed";
        let errors = "Failed calls to the store of jobs; fenced ones are refused writes of a former owner";
        Self {
            jobs: register::new(to, "jobs", "Jobs in the store, by state; none while the store is unreachable"),
            oldest: register::seconds(to, "jobs_oldest_waiting", waiting, Gauge::default()),
            bytes: register::new(to, "jobs_store_bytes", "Size of the store of jobs on disk"),
            up: register::new(to, "jobs_store_up", "1 while the store of jobs is reachable, else 0"),
            accepted: register::new(to, "jobs_partials_accepted", "Partials that were stored and accepted"),
            late: register::new(to, "jobs_results_late", "Dropped results of partitions that already had one"),
            resumed: register::new(to, "jobs_resumed", "Jobs resumed where an earlier owner had left them"),
            lost: register::new(to, "jobs_leases_lost", lost),
            errors: register::new(to, "jobs_store_errors", errors),
        }
    }

    pub(super) async fn read(&self, store: &dyn JobStore, tally: &Tally) {
        let set = |counter: &Counter, value: u64| counter.inner().store(value, Ordering::Relaxed);
        let usage = tokio::time::timeout(PATIENCE, store.usage()).await;
        self.jobs.clear();
        self.oldest.set(0.0);
        self.up.set(i64::from(matches!(usage, Ok(Ok(_)))));
        if let Ok(Ok(usage)) = usage {
            let int = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            for (state, count) in &usage.states {
                self.jobs.get_or_create(&State { state: state.slug() }).set(int(*count));
            }
            self.oldest.set(usage.oldest_queued.map_or(0.0, |since| usage.now.since(since) as f64 / 1e3));
            self.bytes.set(int(usage.bytes));
        }
        set(&self.accepted, tally.accepted());
        set(&self.late, tally.late());
        set(&self.resumed, tally.resumed());
        set(&self.lost, tally.lost());
        for ((call, error), count) in tally.errors() {
            set(&self.errors.get_or_create(&Call { call, error }), count);
        }
    }
}
