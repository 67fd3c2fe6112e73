//! The page at `/`: embedded static files, without secrets. The page gets its data like any other
//! client.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use crate::reply::{Problem, set};
use crate::server::Server;

/// Content security policy: only the server's own files and API, and no framing.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The routes of the page's files.
pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new().route("/", get(file)).route("/page/{*file}", get(file))
}

async fn file(uri: Uri, headers: HeaderMap) -> Response {
    let Some(asset) = frond_page::asset(uri.path()) else {
        return Problem::not_found("the page has no such file").into_response();
    };
    let known = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.etag.as_bytes());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { asset.bytes.into_response() };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Revalidated at each use, since a new server has a new page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    set(headers, ETAG, asset.etag);
    response
}
