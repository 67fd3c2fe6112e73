//! `/openapi.json`: the description of the API.
//! The description is generated from the handlers, and extended by the replies that any request may
//! get before its handler. Types of other crates are described by hand in `openapi/schemas.json`;
//! tests check real replies against them.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// The schemas that are described by hand.
const SCHEMAS: &str = include_str!("openapi/schemas.json");
/// Replies to any request.
const ANY: [(&str, &str); 2] = [
    ("403", "The token's role does not allow the request, or its `Origin` or `Host` is not allowed"),
    ("431", "The request's head is too large"),
];
/// Replies to requests that need a token.
const GUARDED: [(&str, &str); 2] =
    [("401", "A token is missing, or unknown"), ("429", "The client has reached one of its limits")];

/// Defines placeholders for types of other crates.
macro_rules! elsewhere {
    ($($name:ident),*) => {$(
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Ref::from_schema_name(stringify!($name)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

elsewhere!(Coverage, Envelope, Event);

/// The description without its paths.
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

/// Serializes the whole description.
///
/// # Errors
/// Only if `schemas.json` is invalid, which a test rules out.
pub(crate) fn text(described: &OpenApi) -> serde_json::Result<String> {
    let mut whole = serde_json::to_value(described)?;
    let by_hand: Map<String, Value> = serde_json::from_str(SCHEMAS)?;
    if let Some(schemas) = whole.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.extend(by_hand);
    }
    let paths = whole.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        let guarded = path.starts_with("/v1/") || path == "/metrics";
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            add_common_replies(operation, guarded);
        }
    }
    serde_json::to_string(&whole)
}

/// Adds the replies that any request may get before its handler.
fn add_common_replies(operation: &mut Value, guarded: bool) {
    let Some(operation) = operation.as_object_mut() else { return };
    if guarded {
        // The empty requirement stands for a server without tokens.
        operation.insert("security".to_owned(), json!([{}, { "token": [] }]));
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let common = ANY.iter().chain(GUARDED.iter().filter(|_| guarded));
    for (status, text) in common {
        let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        let mut response = json!({ "description": text });
        // hyper replies to a head that is too large without a body.
        if let Some(response) = response.as_object_mut().filter(|_| *status != "431") {
            response.insert("content".to_owned(), problem);
        }
        responses.entry(*status).or_insert(response);
    }
}

/// Replies with the whole description.
pub(crate) async fn json(described: Arc<str>) -> Response {
    ([(CONTENT_TYPE, "application/json")], described.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_by_hand_refer_to_existing_schemas() {
        let by_hand: Map<String, Value> = serde_json::from_str(SCHEMAS).unwrap();
        let mut refers = SCHEMAS.split("\"$ref\": \"#/components/schemas/").skip(1);
        assert!(refers.all(|rest| by_hand.contains_key(rest.split('"').next().unwrap())));
        for name in [Coverage::name(), Envelope::name(), Event::name()] {
            assert!(by_hand.contains_key(&*name), "{name}");
        }
    }

    #[test]
    fn the_failure_kinds_are_complete() {
        let by_hand: Value = serde_json::from_str(SCHEMAS).unwrap();
        let slugs: Vec<_> = frond_root::FailureKind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(by_hand["FailureKind"]["enum"], json!(slugs));
    }
}
