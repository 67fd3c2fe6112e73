//! `/openapi.json`: the description of the API, made of the handlers themselves, and of what every request may be told on
//! its way to one. Types of other crates are described by hand, in `openapi/schemas.json`; tests hold real answers to it.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// What is described by hand.
const SCHEMAS: &str = include_str!("openapi/schemas.json");
/// What any request may be told.
const ANY: [(&str, &str); 2] =
    [("403", "The token allows less, or a page or a name elsewhere asks"), ("431", "The request's head is too large")];
/// What requests may be told that ask for a token.
const GUARDED: [(&str, &str); 2] = [("401", "A token is missing, or unknown"), ("429", "This client asks too much")];

/// Stand for types of other crates.
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

/// The whole description, as text.
///
/// # Errors
/// None but those of `schemas.json`, which a test reads.
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
            on_its_way(operation, guarded);
        }
    }
    serde_json::to_string(&whole)
}

/// Adds what every request may be told before its handler is reached.
fn on_its_way(operation: &mut Value, guarded: bool) {
    let Some(operation) = operation.as_object_mut() else { return };
    if guarded {
        // Without tokens in its settings the server asks for none.
        operation.insert("security".to_owned(), json!([{}, { "token": [] }]));
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let told = ANY.iter().chain(GUARDED.iter().filter(|_| guarded));
    for (status, text) in told {
        let problem = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        let mut response = json!({ "description": text });
        // hyper tells of a head that is too large without a word.
        if let Some(response) = response.as_object_mut().filter(|_| *status != "431") {
            response.insert("content".to_owned(), problem);
        }
        responses.entry(*status).or_insert(response);
    }
}

/// The whole description, to be sent.
pub(crate) async fn json(described: Arc<str>) -> Response {
    ([(CONTENT_TYPE, "application/json")], described.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_described_by_hand_refers_to_what_is_there() {
        let by_hand: Map<String, Value> = serde_json::from_str(SCHEMAS).unwrap();
        let mut refers = SCHEMAS.split("\"$ref\": \"#/components/schemas/").skip(1);
        assert!(refers.all(|rest| by_hand.contains_key(rest.split('"').next().unwrap())));
        for name in [Coverage::name(), Envelope::name(), Event::name()] {
            assert!(by_hand.contains_key(&*name), "{name}");
        }
    }

    #[test]
    fn failures_are_those_that_there_are() {
        let by_hand: Value = serde_json::from_str(SCHEMAS).unwrap();
        let slugs: Vec<_> = frond_root::FailureKind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(by_hand["FailureKind"]["enum"], json!(slugs));
    }
}
