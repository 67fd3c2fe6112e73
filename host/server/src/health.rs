//! Health checks: liveness and readiness.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::JobRole;
use crate::recent::unix_ms;
use crate::server::Server;

/// True for the paths of health checks.
pub(crate) fn is_check(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/readyz/jobs")
}

/// Reports that the process is alive (liveness).
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "The process is alive", body = String, content_type = "text/plain")), tag = "server")]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Reports whether the server accepts queries: its apps have been checked, a leaf can run
/// somewhere, and it is not stopping (readiness).
///
/// A server whose leaves run on workers only is not ready without a worker; a second line says so.
/// Likewise, a second line reports that the store of jobs cannot be reached. Queries do not need
/// the store, so then only a dispatcher or a processor is not ready.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "The server accepts queries", body = String, content_type = "text/plain"),
        (status = 503, description = "The server does not accept queries; the body says why", body = String, content_type = "text/plain"),
    ),
    tag = "server"
)]
pub(crate) async fn readyz(State(server): State<Arc<Server>>) -> Response {
    if server.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if !server.apps.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "loading apps\n").into_response();
    }
    if let Some(absence) = server.slots.absence() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{absence}\n")).into_response();
    }
    match &server.jobs {
        Some(jobs) if !jobs.is_reached() => {
            let is_for_queries = jobs.config.role == JobRole::All;
            let status = if is_for_queries { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let first = if is_for_queries { "ready" } else { "not ready" };
            (status, format!("{first}\nthe store of jobs cannot be reached\n")).into_response()
        }
        _ => "ready\n".into_response(),
    }
}

/// Reports whether the server accepts or runs jobs.
///
/// The conditions are those of `/readyz`, that the server has jobs, and that it can reach their
/// store.
#[utoipa::path(
    get,
    path = "/readyz/jobs",
    responses(
        (status = 200, description = "The server accepts or runs jobs", body = String, content_type = "text/plain"),
        (status = 503, description = "The server neither accepts nor runs jobs; the body says why", body = String, content_type = "text/plain"),
    ),
    tag = "server"
)]
pub(crate) async fn jobs_readyz(State(server): State<Arc<Server>>) -> Response {
    match &server.jobs {
        None => (StatusCode::SERVICE_UNAVAILABLE, "no jobs here\n").into_response(),
        Some(jobs) if !jobs.is_reached() => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\nthe store of jobs cannot be reached\n").into_response()
        }
        Some(_) => readyz(State(server)).await,
    }
}

/// The server.
#[derive(Serialize, ToSchema)]
pub(crate) struct About {
    /// Version of Frond.
    version: &'static str,
    /// Time of the server's start, in Unix milliseconds.
    started_unix_ms: u64,
    /// The number of slots: leaves that run at once.
    slots: usize,
    /// The number of apps.
    apps: usize,
    /// Counts of queries.
    queries: QueryCounts,
    /// Whether requests need a token.
    auth: bool,
}

/// Counts of queries.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryCounts {
    /// Queries that are running.
    running: usize,
    /// Queries since the start.
    total: u64,
}

/// Returns the server's version and state.
#[utoipa::path(get, path = "/v1/server", responses((status = 200, description = "The server", body = About)), tag = "server")]
pub(crate) async fn about(State(server): State<Arc<Server>>) -> Json<About> {
    let settings = server.settings();
    Json(About {
        version: env!("CARGO_PKG_VERSION"),
        started_unix_ms: unix_ms(server.started),
        slots: settings.config.slots,
        apps: server.apps.apps().len(),
        queries: QueryCounts { running: server.recent.running(), total: server.recent.total() },
        auth: settings.authenticator.is_closed(),
    })
}
