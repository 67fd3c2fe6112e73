//! Whether the server is there, and whether it is ready.

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

/// True for the addresses of health checks.
pub(crate) fn is_check(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/readyz/jobs")
}

/// The process lives and answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does", body = String, content_type = "text/plain")), tag = "server")]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The server takes queries on: its apps have been looked at, and it is not about to stop. A second line says so when the
/// store of jobs cannot be reached. Queries do not need it: only a dispatcher or a processor is not ready then.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "It does not, and says why", body = String, content_type = "text/plain"),
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

/// The server takes jobs on, or runs them: it is ready, has jobs, and their store can be reached.
#[utoipa::path(
    get,
    path = "/readyz/jobs",
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "It does not, and says why", body = String, content_type = "text/plain"),
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
    /// Frond's version.
    version: &'static str,
    /// When it started, in Unix milliseconds.
    started_unix_ms: u64,
    /// Leaves at once.
    slots: usize,
    /// Apps that there are.
    apps: usize,
    /// Its queries.
    queries: QueryCounts,
    /// Whether tokens are asked for.
    auth: bool,
}

/// Queries, counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueryCounts {
    /// Under way.
    running: usize,
    /// Since the start.
    total: u64,
}

/// What the server is.
#[utoipa::path(get, path = "/v1/server", responses((status = 200, description = "What it is", body = About)), tag = "server")]
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
