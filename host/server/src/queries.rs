//! `/v1/queries`: recent and running queries, and their events.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use frond_root::QueryId;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Action, Principal};
use crate::params::{LINES, Named, pairs, wants_stream};
use crate::recent::{Detail, QueryRecord, Summary};
use crate::reply::{Problem, nothing_more};
use crate::server::Server;
use crate::stream::events as event_stream;

/// Default length of a list.
const LIST: usize = 50;
/// The longest list.
const MOST: usize = 1000;
/// Events that are written at once.
const BATCH: usize = 500;

/// State of a query, as a parameter.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "it only describes what addresses may say")]
enum StateFilter {
    Running,
    Complete,
    Partial,
    Failed,
}

impl StateFilter {
    const WORDS: [&str; 4] = ["running", "complete", "partial", "failed"];
}

/// A list of recent queries.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queries {
    /// The queries, newest first.
    queries: Vec<Summary>,
}

/// Lists recent and running queries, newest first.
///
/// A token with the role `query` sees only its own queries; `observer` and `admin` see everybody's.
#[utoipa::path(
    get,
    path = "/v1/queries",
    params(
        ("app" = Option<String>, Query, description = "Only queries of this app"),
        ("outcome" = Option<StateFilter>, Query, description = "Only running queries, or only queries with this outcome"),
        ("limit" = Option<u32>, Query, description = "Largest number of queries to list; 50 by default", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "The queries", body = Queries),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "queries"
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
) -> Result<Json<Queries>, Problem> {
    let mut app = None;
    let mut outcome = None;
    let mut limit = None;
    for (name, value) in pairs(uri.query())? {
        match name.as_str() {
            "app" if app.is_none() => app = Some(value),
            "outcome" if outcome.is_none() && StateFilter::WORDS.contains(&value.as_str()) => outcome = Some(value),
            "outcome" => {
                let text = "`outcome` must be running, complete, partial or failed, given once";
                return Err(Problem::bad_request(text));
            }
            "limit" if limit.is_none() => {
                let number = value.parse::<usize>().ok().filter(|number| (1..=MOST).contains(number));
                let wrong = || Problem::bad_request(format!("`limit` must be a number from 1 to {MOST}"));
                limit = Some(number.ok_or_else(wrong)?);
            }
            _ => return Err(Problem::bad_request("the parameters are app, outcome and limit, each at most once")),
        }
    }
    let of = principal.limited(Action::Read);
    Ok(Json(Queries { queries: server.recent.list(of, app.as_deref(), outcome.as_deref(), limit.unwrap_or(LIST)) }))
}

/// Returns one query: its text, its progress, and what is missing from its answer.
#[utoipa::path(
    get,
    path = "/v1/queries/{id}",
    params(("id" = String, Path, description = "The query's id")),
    responses(
        (status = 200, description = "The query", body = Detail),
        (status = 404, description = "The query is not known, or no longer", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "queries"
)]
pub(crate) async fn get(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
) -> Result<Json<Detail>, Problem> {
    Ok(Json(known(&server, &principal, Action::Read, &id)?.detail()))
}

/// Returns a query's events.
///
/// The format is one JSON object a line, as written by `frond query --record`, or a live stream of
/// server-sent events.
#[utoipa::path(
    get,
    path = "/v1/queries/{id}/events",
    params(
        ("id" = String, Path, description = "The query's id"),
        ("last-event-id" = Option<String>, Header, description = "Number of the last event that the client has: the stream continues after that event"),
    ),
    responses(
        (status = 200, description = "The events: one a line, or each as the data of an event of the stream", content(
            (crate::openapi::Event = "application/x-ndjson"),
            (crate::openapi::Event = "text/event-stream"),
        )),
        (status = 204, description = "The query has ended, and the client has its last event"),
        (status = 404, description = "The query is not known, or no longer", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "queries"
)]
pub(crate) async fn events(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let recorded = known(&server, &principal, Action::Read, &id)?;
    if wants_stream(&headers) {
        let from = unseen(&headers);
        // A browser that has seen the end would reconnect every few seconds: only this status stops
        // it.
        if headers.contains_key(LAST_EVENT_ID) && recorded.is_over_before(from) {
            return Ok(nothing_more());
        }
        return Ok(event_stream(recorded, from, principal.listen()?));
    }
    let lines = stream::unfold((recorded, 0), |(recorded, from)| async move {
        let (events, _, _) = recorded.events(from, BATCH);
        if events.is_empty() {
            return None;
        }
        let next = from + events.len();
        Some((Ok::<_, std::convert::Infallible>(lines(&events)), (recorded, next)))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    Ok(response)
}

/// Header with the number of the client's last event.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

/// The number of the first event that the client does not have, where a broken stream resumes.
pub(crate) fn unseen(headers: &HeaderMap) -> usize {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    last.map_or(0, |last| last.saturating_add(1))
}

fn lines(events: &[frond_root::Event]) -> Bytes {
    let mut text = Vec::new();
    for event in events {
        // Serializing an event cannot fail.
        let _ = serde_json::to_writer(&mut text, event);
        text.push(b'\n');
    }
    text.into()
}

/// The query with this `id`, if `principal` may access it.
/// Other callers' queries are reported as unknown.
pub(crate) fn known(
    server: &Server,
    principal: &Principal,
    action: Action,
    id: &str,
) -> Result<Arc<QueryRecord>, Problem> {
    let parsed = Some(id).filter(|id| id.len() == 32).and_then(|id| u128::from_str_radix(id, 16).ok());
    parsed.and_then(|id| server.recent.get(principal.limited(action), QueryId::from(id))).ok_or_else(|| {
        Problem::not_found("this query is not known here, or no longer\n(GET /v1/queries lists the recent ones)")
    })
}

/// Streams changes of all apps, and of the caller's queries, as server-sent events.
///
/// With the role `observer` or `admin` the stream includes everybody's queries.
#[utoipa::path(
    get,
    path = "/v1/events",
    responses((status = 200, description = "Events `query`, `app` and `missed`", content_type = "text/event-stream")),
    tag = "server"
)]
pub(crate) async fn news(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Result<Response, Problem> {
    let permit = principal.listen()?;
    Ok(crate::stream::news(server, principal, permit))
}
