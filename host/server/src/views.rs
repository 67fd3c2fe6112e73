//! An app as clients see it: what the registry knows, with how its queries went.

use serde::Serialize;
use utoipa::ToSchema;

use crate::apps::AppView;
use crate::metrics::Sums;
use crate::server::Server;

/// An app, and how its queries went.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppStatus {
    #[serde(flatten)]
    app: AppView,
    /// Its queries since the server started.
    queries: Sums,
}

/// The app with its queries.
pub(crate) fn of(server: &Server, app: AppView) -> AppStatus {
    let queries = server.telemetry.metrics.sums(&app.name);
    AppStatus { app, queries }
}
