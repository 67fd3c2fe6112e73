//! The page at `/`: plain files, embedded.

use std::sync::Arc;

use axum::Router;

use crate::server::Server;

/// The addresses of the page's files.
pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
}
