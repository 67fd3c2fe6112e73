//! `/openapi.json`: the description of the API, made of the handlers themselves.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};

/// The description without its addresses.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new().title("Frond").version(env!("CARGO_PKG_VERSION")).description(Some(
        "Scatter-gather over WebAssembly leaves: queries, apps, and an exact account of what is missing.",
    ));
    let mut described = OpenApiBuilder::new().info(info.build()).build();
    let mut components = described.components.take().unwrap_or_default();
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    described.components = Some(components);
    described
}

/// The whole description.
pub(crate) async fn json(described: Arc<str>) -> Response {
    ([(CONTENT_TYPE, "application/json")], described.to_string()).into_response()
}
