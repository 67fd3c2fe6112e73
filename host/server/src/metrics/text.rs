//! `/metrics` as text: OpenMetrics, or the older format of Prometheus if the client prefers it.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::gauges::Gauges;
use crate::accept::preferred;
use crate::server::Server;

/// OpenMetrics 1.0.
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The text format of Prometheus, 0.0.4.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the metrics, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "OpenMetrics text, or with `Accept: text/plain` the text format 0.0.4", content(
        (String = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (String = "text/plain; version=0.0.4; charset=utf-8"),
    ))),
    tag = "server"
)]
pub(crate) async fn metrics(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let text = scraped(&server).await.unwrap_or_default();
    match preferred(&headers, &[OPEN, PLAIN]) {
        Some(1) => ([(CONTENT_TYPE, PLAIN)], plain(&text)).into_response(),
        _ => ([(CONTENT_TYPE, OPEN)], text).into_response(),
    }
}

/// Reads the state of the server into its metrics, and returns them as OpenMetrics text.
async fn scraped(server: &Server) -> Result<String, std::fmt::Error> {
    let metrics = &server.telemetry.metrics;
    metrics.forget_gone(|app| server.apps.has(app), Instant::now());
    read(&metrics.gauges, server);
    if let Some(jobs) = &server.jobs {
        metrics.jobs.read(&*jobs.store, &jobs.tally).await;
    }
    if let Some(traces) = &server.telemetry.traces {
        metrics.traces.read(traces);
    }
    if let Some(crew) = &server.slots.crew {
        metrics.workers.read(crew);
    }
    metrics.text()
}

fn read(gauges: &Gauges, server: &Server) {
    let int = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    gauges.running.set(int(server.recent.running()));
    gauges.leaves_running.set(int(server.slots.running()));
    gauges.leaves_waiting.set(int(server.slots.waiting()));
    gauges.slots.set(int(server.settings().config.slots));
    gauges.compiling.set(int(server.apps.compiling()));
    let (ahead, tenants) = server.admission.ahead();
    gauges.ahead.set(ahead.as_secs_f64());
    gauges.tenants.set(int(tenants));
    gauges.recent_bytes.set(int(server.recent.memory()));
    gauges.bodies.set(i64::try_from(server.sending.budget().used()).unwrap_or(i64::MAX));
    gauges.read_process();
}

/// Converts OpenMetrics text to the format 0.0.4.
/// There a family is named like its samples: a counter's name ends with `_total`.
fn plain(open: &str) -> String {
    let kinds = open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let counters: HashSet<&str> = kinds.filter(|(_, kind)| *kind == "counter").map(|(name, _)| name).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let described = line.strip_prefix("# ").map(|rest| rest.splitn(3, ' ').collect::<Vec<_>>());
        // Writing to a string cannot fail.
        let _ = match described.as_deref() {
            None => writeln!(text, "{line}"),
            Some([keyword @ ("HELP" | "TYPE"), name, rest]) => {
                let suffix = if counters.contains(name) { "_total" } else { "" };
                writeln!(text, "# {keyword} {name}{suffix} {rest}")
            }
            // The format has no units and no end marker.
            Some(_) => Ok(()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_their_samples_are() {
        let open = "# HELP a_seconds A time.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_sum 1.0\n\
                    a_seconds_count 2\na_seconds_bucket{le=\"+Inf\"} 2\n# HELP b B # b.\n# TYPE b counter\nb_total{x=\"# y\"} 3\n# EOF\n";
        let expected = "# HELP a_seconds A time.\n# TYPE a_seconds histogram\na_seconds_sum 1.0\na_seconds_count 2\n\
                        a_seconds_bucket{le=\"+Inf\"} 2\n# HELP b_total B # b.\n# TYPE b_total counter\nb_total{x=\"# y\"} 3\n";
        assert_eq!(plain(open), expected);
        assert_eq!(plain("# EOF\n"), "");
    }
}
