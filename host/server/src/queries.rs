//! `/v1/queries`: recent and running queries.

pub(crate) mod events;

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use frond_root::QueryId;
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Action, Principal};
use crate::params::{Named, Params};
use crate::recent::{Detail, QueryRecord, Summary};
use crate::reply::Problem;
use crate::server::Server;

/// Default length of a list.
const LIST: u32 = 50;
/// The longest list.
const MOST: u32 = 1000;

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
    let params = Params::read(uri.query(), &["app", "outcome", "limit"])?;
    let app = params.parsed("app", |value| Ok(value.to_owned()))?;
    let known = |value: &str| StateFilter::WORDS.into_iter().find(|word| *word == value);
    let outcome = params.one("outcome", "running, complete, partial or failed", known)?;
    let limit = params.limit(MOST)?;
    let of = principal.limited(Action::Read);
    Ok(Json(Queries { queries: server.recent.list(of, app.as_deref(), outcome, limit.unwrap_or(LIST) as usize) }))
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
