//! `/metrics`: counters and histograms for Prometheus.
//! Every query is counted from its events, whatever its outcome, and even if its client is gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frond_root::{Answer, Event, EventKind, FailureKind, Listener, Progress, Request};
use frond_run::RunError;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

mod counts;
mod gauges;
mod gone;
mod jobs;
mod kinds;
mod register;
pub(crate) mod text;
mod traces;
mod workers;

pub(crate) use counts::Counts;
use gauges::Gauges;
pub use gauges::LostLines;
use jobs::JobMetrics;
use kinds::{KINDS, kind};
use traces::TraceMetrics;
use workers::WorkerMetrics;

/// Upper bounds of histograms of durations, in seconds.
const TIMES: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Upper bounds of the histogram of deadline overshoot, in seconds.
const LATE: [f64; 9] = [0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 1.0];

/// Label of an app.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct App {
    app: String,
}

/// Labels of an ended query.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    app: String,
    outcome: &'static str,
    reason: &'static str,
}

/// Labels of a failure of an app.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Slug {
    app: String,
    slug: &'static str,
}

/// Labels of a response.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reply {
    route: String,
    method: &'static str,
    status: u16,
}

/// Histograms by app.
type Histograms = Family<App, Histogram, fn() -> Histogram>;

/// All metrics of the server.
pub(crate) struct Metrics {
    registry: Registry,
    queries: Family<Outcome, Counter>,
    begun: Family<App, Counter>,
    /// Refused requests for queries.
    pub(crate) refused: Counts,
    query_seconds: Histograms,
    overshoot: Histograms,
    leaves: Family<Slug, Counter>,
    warm_leaves: Family<App, Counter>,
    cuts: Family<App, Counter>,
    dropped_units: Family<App, Counter>,
    leaf_seconds: Histograms,
    folds: Family<Slug, Counter>,
    partitions: Family<Slug, Counter>,
    events: Counts,
    replies: Family<Reply, Counter>,
    gauges: Gauges,
    /// Connections that the server closed.
    pub(crate) closed: Counts,
    pub(crate) failed_logins: Counts,
    /// Queries that were not admitted.
    pub(crate) not_admitted: Counts,
    jobs: JobMetrics,
    traces: TraceMetrics,
    workers: WorkerMetrics,
    apps: Mutex<HashMap<String, Arc<Counted>>>,
    /// Apps with metrics but no folder, and the time since when.
    gone: Mutex<BTreeMap<String, Instant>>,
}

/// One app's counters, looked up once.
struct Counted {
    app: String,
    begun: Counter,
    query_seconds: Histogram,
    overshoot: Histogram,
    leaf_seconds: Histogram,
    succeeded: Counter,
    warm: Counter,
    cuts: Counter,
    dropped: Counter,
    failed: [Counter; FailureKind::ALL.len()],
    folds: Counter,
    ends: Mutex<Sums>,
}

/// Counts of an app's queries by outcome.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Sums {
    /// Admitted queries.
    total: u64,
    /// Running queries.
    running: u64,
    /// Queries with a complete answer.
    complete: u64,
    /// Queries with a partial answer, at or above the floor.
    partial: u64,
    /// Queries without an answer.
    failed: u64,
}

/// Counts one query's events.
pub(crate) struct Metering {
    counted: Arc<Counted>,
    queries: Family<Outcome, Counter>,
    folds: Family<Slug, Counter>,
    partitions: Family<Slug, Counter>,
    kinds: Counts,
    state: Mutex<Tally>,
}

/// Numbers of one query's events by kind, and the starts of its running attempts.
#[derive(Default)]
struct Tally {
    /// Events by kind.
    kinds: [u64; KINDS.len()],
    progress: Progress,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("frond");
        let times: fn() -> Histogram = || Histogram::new(TIMES);
        let late: fn() -> Histogram = || Histogram::new(LATE);
        let to = &mut registry;
        Self {
            gauges: Gauges::new(to),
            closed: Counts::new(to, "http_connections_closed", "Connections that the server closed, by reason"),
            failed_logins: Counts::new(to, "logins_failed", "Requests without a known token, by reason"),
            not_admitted: Counts::new(to, "queries_not_admitted", "Queries that were not admitted, by reason"),
            jobs: JobMetrics::new(to),
            traces: TraceMetrics::new(to),
            workers: WorkerMetrics::new(to),
            queries: register::new(to, "queries", "Queries that ended, by outcome and reason"),
            begun: register::new(to, "queries_begun", "Queries that began"),
            refused: Counts::new(to, "requests_refused", "Refused requests for queries, by slug"),
            query_seconds: register::seconds(
                to,
                "query",
                "Time from a query's start to its answer",
                Family::new_with_constructor(times),
            ),
            overshoot: register::seconds(
                to,
                "deadline_overshoot",
                "Time from a query's deadline to its end; 0 for queries in time",
                Family::new_with_constructor(late),
            ),
            leaves: register::new(to, "leaves", "Leaf attempts that ended, of queries and jobs, by slug, or ok"),
            warm_leaves: register::new(
                to,
                "warm_leaves",
                "Leaf attempts that ended in an instance that had served earlier partitions of the query",
            ),
            cuts: register::new(to, "cuts", "Leaf attempts that took the second half of a running attempt's rest"),
            dropped_units: register::new(
                to,
                "dropped_units",
                "Bytes, or integers of a range, that failed leaves had been handed out and had not kept",
            ),
            leaf_seconds: register::seconds(
                to,
                "leaf",
                "Run time of a leaf attempt, of a query or a job",
                Family::new_with_constructor(times),
            ),
            folds: register::new(to, "folds", "Merges that ended, of queries and jobs, by slug, or ok"),
            partitions: register::new(to, "partitions", "Partitions of ended queries, by final state"),
            events: Counts::new(to, "events", "Events of queries and jobs, by kind"),
            replies: register::new(to, "http_replies", "Replies over HTTP"),
            apps: Mutex::default(),
            gone: Mutex::default(),
            registry,
        }
    }

    /// Counts a reply.
    pub(crate) fn replied(&self, route: &str, method: &http::Method, status: u16) {
        let method = match *method {
            http::Method::GET => "GET",
            http::Method::POST => "POST",
            http::Method::PUT => "PUT",
            http::Method::DELETE => "DELETE",
            http::Method::HEAD => "HEAD",
            _ => "other",
        };
        self.replies.get_or_create(&Reply { route: route.to_owned(), method, status }).inc();
    }

    /// Changes the number of open connections.
    pub(crate) fn connections(&self, by: i64) {
        self.gauges.connections.inc_by(by);
    }

    /// Counts of an app's queries by outcome.
    pub(crate) fn sums(&self, app: &str) -> Sums {
        let apps = self.apps.lock();
        let Some(counted) = apps.get(app).cloned() else { return Sums::default() };
        drop(apps);
        let ends = counted.ends.lock();
        let total = counted.begun.get();
        Sums { total, running: total.saturating_sub(ends.complete + ends.partial + ends.failed), ..*ends }
    }

    /// Starts to count an admitted query.
    pub(crate) fn query(&self, request: &Request) -> Arc<Metering> {
        let counted = self.counted(&request.app);
        counted.begun.inc();
        Arc::new(self.metering(counted))
    }

    fn metering(&self, counted: Arc<Counted>) -> Metering {
        Metering {
            counted,
            queries: self.queries.clone(),
            folds: self.folds.clone(),
            partitions: self.partitions.clone(),
            kinds: self.events.clone(),
            state: Mutex::default(),
        }
    }

    /// Starts to count a job of an app.
    pub(crate) fn job(&self, app: &str) -> Arc<Metering> {
        Arc::new(self.metering(self.counted(app)))
    }

    fn counted(&self, app: &str) -> Arc<Counted> {
        let mut apps = self.apps.lock();
        if let Some(counted) = apps.get(app) {
            return counted.clone();
        }
        let label = App { app: app.to_owned() };
        let slug = |slug| Slug { app: app.to_owned(), slug };
        let counted = Arc::new(Counted {
            app: app.to_owned(),
            begun: self.begun.get_or_create_owned(&label),
            query_seconds: self.query_seconds.get_or_create_owned(&label),
            overshoot: self.overshoot.get_or_create_owned(&label),
            leaf_seconds: self.leaf_seconds.get_or_create_owned(&label),
            warm: self.warm_leaves.get_or_create_owned(&label),
            cuts: self.cuts.get_or_create_owned(&label),
            dropped: self.dropped_units.get_or_create_owned(&label),
            succeeded: self.leaves.get_or_create_owned(&slug("ok")),
            failed: FailureKind::ALL.map(|kind| self.leaves.get_or_create_owned(&slug(kind.slug()))),
            folds: self.folds.get_or_create_owned(&slug("ok")),
            ends: Mutex::default(),
        });
        apps.insert(app.to_owned(), counted.clone());
        counted
    }

    /// The counter of log lines that could not be written.
    pub(crate) fn lost_log_lines(&self) -> LostLines {
        self.gauges.lost_lines.clone()
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Listener for Metering {
    fn event(&self, event: &Event) {
        let mut tally = self.state.lock();
        if let Some(count) = tally.kinds.get_mut(kind(&event.kind)) {
            *count += 1;
        }
        if let Some(ended) = tally.progress.add(event) {
            self.counted.leaf_seconds.observe(ended.took.as_secs_f64());
        }
        match &event.kind {
            EventKind::AttemptStarted { cut_from: Some(_), .. } => {
                self.counted.cuts.inc();
            }
            EventKind::AttemptEnded { failure, earlier, part, beaten, .. } => {
                self.counted.warm.inc_by(u64::from(*earlier > 0));
                self.counted.dropped.inc_by(part.map_or(0, |part| part.dropped));
                match failure {
                    // It was stopped, because another attempt was done first.
                    Some(_) if *beaten => 0,
                    None => self.counted.succeeded.inc(),
                    Some(failure) => self.counted.failed.get(failure.kind as usize).map_or(0, Counter::inc),
                };
            }
            EventKind::FoldEnded { failure: None, .. } => {
                self.counted.folds.inc();
            }
            EventKind::FoldEnded { failure: Some(failure), .. } => {
                self.folds.get_or_create(&Slug { app: self.counted.app.clone(), slug: failure.kind.slug() }).inc();
            }
            _ => {}
        }
    }
}

impl Metering {
    /// Counts the end of a query.
    pub(crate) fn ended(&self, outcome: Option<&Result<Answer, RunError>>, deadline: Duration) {
        let app = &self.counted.app;
        let (word, reason) = match outcome {
            Some(Ok(Answer::Failed { reason, .. })) => ("failed", reason.slug()),
            Some(Ok(answer)) => (answer.outcome(), ""),
            Some(Err(_)) => ("failed", "refused"),
            None => ("failed", "lost"),
        };
        {
            let mut ends = self.counted.ends.lock();
            match word {
                "complete" => ends.complete += 1,
                "partial" => ends.partial += 1,
                _ => ends.failed += 1,
            }
        }
        self.queries.get_or_create(&Outcome { app: app.clone(), outcome: word, reason }).inc();
        if let Some(Ok(answer)) = outcome {
            let coverage = answer.coverage();
            let took = coverage.timings.total / 1e3;
            self.counted.query_seconds.observe(took);
            self.counted.overshoot.observe((took - deadline.as_secs_f64()).max(0.0));
            let of = &coverage.partitions;
            let parts = [
                ("succeeded", of.succeeded),
                ("skipped", of.skipped),
                ("degraded", of.degraded),
                ("failed", of.failed),
                ("timed-out", of.timed_out),
                ("cancelled", of.cancelled),
                ("not-started", of.not_started),
            ];
            for (slug, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
                self.partitions.get_or_create(&Slug { app: app.clone(), slug }).inc_by(count);
            }
        }
        self.told();
    }

    /// Adds the counts of events by kind to the metrics.
    pub(crate) fn told(&self) {
        let mut tally = self.state.lock();
        let kinds = std::mem::take(&mut tally.kinds);
        for (kind, count) in KINDS.iter().zip(kinds).filter(|(_, count)| *count > 0) {
            self.kinds.add(kind, count);
        }
    }
}

/// The counters of failures are indexed in the order of [`FailureKind::ALL`].
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_their_place() {
        for (place, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
