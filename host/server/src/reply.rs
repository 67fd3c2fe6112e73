//! Replies to clients: the only file with status codes.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use frond_jobs::StoreError;
use frond_jobs::store::OverBound;
use frond_root::answer::four_decimals;
use frond_root::quote::{clipped, shortened};
use frond_root::{Answer, Coverage, Error, Failure, FailureKind, QueryId, Reason};
use frond_run::RunError;
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, IntoHeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::log_limit::LogLimit;
use crate::recent::Slowest;

/// The most characters of a partition's key in a header.
const MAX_KEY: usize = 64;

/// The most bytes of a problem's detail.
const MAX_DETAIL: usize = 8 << 10;
/// The most bytes of an error with its causes.
const MAX_CHAIN: usize = 4 << 10;

/// The media type of problems: RFC 9457.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// Reason why there is no answer: a problem as in RFC 9457, with members of Frond.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`; `slug` distinguishes problems.
    #[serde(rename = "type")]
    kind: Kind,
    /// The status in words.
    title: &'static str,
    /// The status code.
    status: u16,
    /// The error, where it is, and how to fix it.
    detail: String,
    /// The failure's slug, or another word for the kind of problem.
    slug: &'static str,
    /// The query's id, if one began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    query: Option<Box<QueryId>>,
    /// Why the query has no answer: `below-floor`, `deadline`, `cancelled`, `invalid-query`,
    /// `split` or `merge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The account of covered and missing partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::openapi::Coverage>)]
    coverage: Option<Box<Coverage>>,
    /// Seconds for the header `retry-after`.
    #[serde(skip)]
    retry_after: Option<u32>,
    #[serde(skip)]
    slowest: Option<Box<Slowest>>,
}

/// The type of all problems.
#[derive(Debug, Serialize, ToSchema)]
enum Kind {
    #[serde(rename = "about:blank")]
    Blank,
}

/// Rounds up to whole seconds, at least 1.
fn seconds(time: Duration) -> u32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(whole.max(1)).unwrap_or(u32::MAX)
}

/// Defines constructors of problems that have a detail only.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $status:ident $slug:literal;)+) => {$(
        $(#[$doc])*
        pub(crate) fn $name(detail: impl Into<String>) -> Self {
            Self::new(StatusCode::$status, $slug, detail)
        }
    )+};
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: Kind::Blank,
            title: status.canonical_reason().unwrap_or("error"),
            status: status.as_u16(),
            detail: shortened(detail.into(), MAX_DETAIL),
            slug,
            query: None,
            reason: None,
            coverage: None,
            retry_after: None,
            slowest: None,
        }
    }

    problems! {
        bad_request: BAD_REQUEST "bad-request";
        unauthorized: UNAUTHORIZED "unauthorized";
        forbidden: FORBIDDEN "forbidden";
        not_found: NOT_FOUND "not-found";
        timed_out: REQUEST_TIMEOUT "slow-client";
        too_large: PAYLOAD_TOO_LARGE "too-large";
        unsupported: UNSUPPORTED_MEDIA_TYPE "unsupported";
        conflict: CONFLICT "conflict";
        refused: UNPROCESSABLE_ENTITY "incompatible";
        /// The job kept more than its token may.
        over_quota: INSUFFICIENT_STORAGE "quota";
        /// A job that failed because it lost its server repeatedly.
        given_up: BAD_GATEWAY "lost";
    }

    pub(crate) fn no_app(app: &str) -> Self {
        let app = clipped(app);
        Self::not_found(format!("there is no app `{}`\n(GET /v1/apps lists those that there are)", app.escape_debug()))
    }

    /// A job that was cancelled without an answer.
    pub(crate) fn cancelled() -> Self {
        Self { reason: Some("cancelled"), ..Self::not_found("the job was cancelled, without an answer") }
    }

    pub(crate) fn not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "not-allowed",
            "this address does not support this method\n(/openapi.json lists the methods)",
        )
    }

    /// One client exceeds its limits.
    pub(crate) fn too_many(detail: impl Into<String>, after: Duration) -> Self {
        Self { retry_after: Some(seconds(after)), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail) }
    }

    /// The server is overloaded by all clients together.
    pub(crate) fn overloaded(detail: impl Into<String>, after: Duration) -> Self {
        Self { retry_after: Some(seconds(after)), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail) }
    }

    /// Answers in flight exceed their memory.
    pub(crate) fn crowded() -> Self {
        let text = "answers in flight use all of their memory\n(`limits.bodies` in the server's settings)";
        Self::overloaded(text, Duration::from_secs(1))
    }

    /// The app exists, but no version of it can serve.
    pub(crate) fn broken(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }

    /// The job has not ended.
    pub(crate) fn not_ended(detail: impl Into<String>, after: Duration) -> Self {
        Self { retry_after: Some(seconds(after)), ..Self::new(StatusCode::CONFLICT, "not-ended", detail) }
    }

    /// A merge outside a query failed, such as one of a job's partials.
    pub(crate) fn unmerged(failure: &Failure) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, failure.kind.slug(), failure.to_string())
    }

    /// The query's task was lost.
    pub(crate) fn lost() -> Self {
        Self::internal("lost", "the query was lost\n(this is a bug in Frond, or a machine without memory)")
    }

    /// A bug in Frond.
    pub(crate) fn bug(detail: impl Into<String>) -> Self {
        Self::internal("internal", detail)
    }

    fn internal(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, slug, detail)
    }

    pub(crate) fn about(self, query: QueryId) -> Self {
        Self { query: Some(Box::new(query)), ..self }
    }

    /// A query without an answer.
    pub(crate) fn unanswered(reason: &Reason, coverage: &Coverage) -> Self {
        let (status, slug) = match reason {
            Reason::InvalidQuery(failure) => (StatusCode::UNPROCESSABLE_ENTITY, failure.kind.slug()),
            Reason::BelowFloor => (StatusCode::GATEWAY_TIMEOUT, worst(coverage)),
            Reason::Deadline => (StatusCode::GATEWAY_TIMEOUT, "out-of-time"),
            Reason::Cancelled => (StatusCode::GATEWAY_TIMEOUT, "cancelled"),
            Reason::Split(failure) | Reason::Merge(failure) => (StatusCode::BAD_GATEWAY, failure.kind.slug()),
        };
        let problem = Self::new(status, slug, reason.to_string());
        Self {
            reason: Some(reason.slug()),
            coverage: Some(Box::new(coverage.clone())),
            ..problem.about(coverage.query)
        }
    }

    pub(crate) fn slowest(self, slowest: Option<Slowest>) -> Self {
        Self { slowest: slowest.map(Box::new), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn slug(&self) -> &'static str {
        self.slug
    }
}

/// The slug of the most frequent failure. Cancelled attempts count last: they are a consequence of
/// others.
fn worst(coverage: &Coverage) -> &'static str {
    let most = coverage.failures.iter().max_by_key(|(kind, count)| (**kind != FailureKind::Cancelled, **count));
    most.map_or("out-of-time", |(kind, _)| kind.slug())
}

/// The problem of a query that failed before it could have an answer.
impl From<&RunError> for Problem {
    fn from(error: &RunError) -> Self {
        let detail = chain(error);
        match error {
            RunError::App(app) if app.is_query() => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-query", detail)
            }
            RunError::App(_) => Self::internal("unavailable", detail),
            RunError::Query(Error::UnknownRequired { .. }) => Self::bad_request(detail),
            RunError::Query(Error::NoMemory { .. }) => Self::overloaded(detail, Duration::from_secs(1)),
            RunError::Query(
                Error::DuplicateKey(_) | Error::NulInKey(_) | Error::TooManyPartitions { .. } | Error::TooHeavy { .. },
            ) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-query", detail),
            _ => Self::internal("internal", detail),
        }
    }
}

/// The problem of an error of the store of jobs.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = store_detail(&error);
        let (status, slug, after) = match error {
            StoreError::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", None),
            StoreError::Expired(_) => (StatusCode::GONE, "expired", None),
            StoreError::Illegal(_) | StoreError::Fenced { .. } => (StatusCode::CONFLICT, "conflict", None),
            StoreError::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key-reused", None),
            StoreError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", None),
            StoreError::Unkeepable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-query", None),
            StoreError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "store-full", None),
            StoreError::OverBound(bound) => over_bound(bound),
            StoreError::Unavailable(_)
            | StoreError::Unopened(_)
            | StoreError::ReadOnly(_)
            | StoreError::Denied { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", Some(2)),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
        };
        Self { retry_after: after, ..Self::new(status, slug, detail) }
    }
}

/// Status, slug and retry time, if a new job would exceed a limit.
fn over_bound(bound: OverBound) -> (StatusCode, &'static str, Option<u32>) {
    // The time when a running job frees its place is unknown.
    let soon = Duration::from_secs(10);
    let after = |room: Option<u64>| Some(seconds(room.map_or(soon, Duration::from_millis)));
    match bound {
        OverBound::AppWaiting(_) | OverBound::CallerWaiting(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "overloaded", after(None))
        }
        OverBound::CallerJobs(_, room) => (StatusCode::TOO_MANY_REQUESTS, "quota", after(room)),
        OverBound::CallerBytes(_, room) => (StatusCode::INSUFFICIENT_STORAGE, "quota", after(room)),
    }
}

/// Limits the log lines about failed calls to the store.
static FAILED_CALLS: LogLimit = LogLimit::new();

/// The detail of an error of the store.
/// The database's own message may contain hosts, roles or data, so it goes only to the log.
fn store_detail(error: &StoreError) -> String {
    if error.is_refusal() {
        return error.to_string();
    }
    // Logged once, when it could not be opened.
    let is_logged = matches!(error, StoreError::Unopened(_));
    if !is_logged && let Some(unlogged) = FAILED_CALLS.line(Instant::now()) {
        tracing::warn!(error = chain(error), unlogged, "a call to the store of jobs failed");
    }
    match error {
        StoreError::Full(_) | StoreError::Unavailable(_) | StoreError::Unopened(_) => error.to_string(),
        _ => "the store of jobs cannot be used\n(the server's log says why)".to_owned(),
    }
}

/// Sets the status to 202: accepted, but not done.
pub(crate) fn accepted(reply: impl IntoResponse) -> Response {
    (StatusCode::ACCEPTED, reply).into_response()
}

/// Replies with the methods that a path accepts.
pub(crate) fn allowed(methods: Option<HeaderValue>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(methods.map(|methods| (ALLOW, methods)));
    response
}

/// True if the path does not accept the request's method.
pub(crate) fn is_not_allowed(response: &Response) -> bool {
    response.status() == StatusCode::METHOD_NOT_ALLOWED
}

/// Tells a follower that its event stream is over: browsers do not reconnect after it (HTML,
/// "Server-sent events").
pub(crate) fn nothing_more() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// An error with its causes, for a client.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    frond_root::quote::chain(error, MAX_CHAIN)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(query) = &self.query {
            set(headers, "frond-query", &query.to_string());
        }
        if let Some(coverage) = &self.coverage {
            account(headers, coverage, self.slowest.as_deref());
        }
        response
    }
}

/// Sets a header. A text that no header can have is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: impl IntoHeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

/// Sets the headers of a plugin's output: its media type, and a policy that keeps browsers from
/// running it as a page.
pub(crate) fn output(headers: &mut HeaderMap, content_type: &str) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    set(headers, CONTENT_TYPE, content_type);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
}

/// Sets the headers with an answer's coverage and timings.
pub(crate) fn account(headers: &mut HeaderMap, coverage: &Coverage, slowest: Option<&Slowest>) {
    let mut set = |name: &'static str, text: String| set(headers, name, &text);
    let partitions = &coverage.partitions;
    let succeeded = partitions.succeeded + partitions.skipped;
    set("frond-query", coverage.query.to_string());
    set("frond-complete", coverage.complete.to_string());
    set("frond-coverage", format!("{}; {succeeded}/{}", four_decimals(coverage.fraction), partitions.planned));
    if !coverage.notes.is_empty() {
        set("frond-notes", coverage.notes.len().to_string());
    }
    let times = &coverage.timings;
    let mut timing = format!("plan;dur={:.3}, scatter;dur={:.3}", times.plan, times.gather);
    if let Some(slowest) = slowest {
        let plain = |c: &char| (c.is_ascii_graphic() || *c == ' ') && !matches!(c, '"' | '\\');
        let key: String = slowest.key.as_str().chars().filter(plain).take(MAX_KEY).collect();
        // Writing to a string cannot fail.
        let _ = write!(timing, ", slowest;dur={:.3};desc=\"{key}\"", slowest.ms);
    }
    let _ = write!(timing, ", merge;dur={:.3}", times.merge);
    set("server-timing", timing);
}

/// The status of an answer.
pub(crate) fn status(answer: &Answer) -> StatusCode {
    match answer {
        Answer::Complete { .. } | Answer::Partial { .. } => StatusCode::OK,
        Answer::Failed { reason, coverage } => Problem::unanswered(reason, coverage).status(),
    }
}

#[cfg(test)]
mod tests;
