//! Whether the server is there, and whether it is ready.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::recent::unix_ms;
use crate::server::Server;

/// The process lives and answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does", body = String, content_type = "text/plain")), tag = "server")]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The server takes queries on: its apps have been looked at, and it is not about to stop.
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
    match (server.is_stopping(), server.apps.is_ready()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "loading apps\n").into_response(),
        (false, true) => "ready\n".into_response(),
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
    queries: Asked,
    /// Whether tokens are asked for.
    auth: bool,
}

/// Queries, counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asked {
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
        queries: Asked { running: server.recent.running(), total: server.recent.total() },
        auth: settings.gate.is_closed(),
    })
}
