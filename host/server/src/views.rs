//! An app as clients see it, with counts of its queries.

use frond_deploy::AppView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::metrics::{Metrics, Sums};

/// An app, with counts of its queries.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppStatus {
    #[serde(flatten)]
    app: AppView,
    /// Counts of its queries since the server started.
    queries: Sums,
}

/// Adds the counts of queries to the app.
pub(crate) fn of(metrics: &Metrics, app: AppView) -> AppStatus {
    let queries = metrics.sums(&app.name);
    AppStatus { app, queries }
}
