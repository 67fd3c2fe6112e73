//! Submission of jobs: a job is durable before the request is answered.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use frond_deploy::Version;
use frond_jobs::StoreError;
use frond_jobs::store::{Bounds, Idempotency, NewJob, Submission};
use frond_root::{Floor, PartitionKey, QueryId};
use frond_run::RunError;
use http::header::LOCATION;
use http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};

use super::Jobs;
use super::api::{jobs, view};
use super::follow::{LONGEST, ended_within};
use super::views::View;
use crate::auth::Principal;
use crate::bodies;
use crate::params::{Named, Params, Preferences, Promises, duration};
use crate::reply::{Problem, accepted, set};
use crate::server::Server;
use crate::traces::Parent;

/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 255;

/// Parameters of a job other than its query.
#[derive(Default)]
pub(crate) struct Terms {
    floor: Option<Floor>,
    required: Vec<PartitionKey>,
    timeout: Option<Duration>,
    retention: Option<Duration>,
    weight: Option<u32>,
}

impl Terms {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let params = Params::read(query, &["floor", "require", "timeout", "retention", "weight"])?;
        let weight = |value: &str| value.parse().ok().filter(|weight| (1..=1000).contains(weight));
        let weight = |value: &str| weight(value).ok_or_else(|| "a weight is a whole number from 1 to 1000".to_owned());
        Ok(Self {
            floor: params.parsed("floor", str::parse)?,
            required: params.required()?,
            timeout: params.parsed("timeout", duration)?,
            retention: params.parsed("retention", duration)?,
            weight: params.parsed("weight", weight)?,
        })
    }

    /// The terms of a query that becomes a job: its deadline becomes the job's timeout.
    fn of_query(query: Option<&str>, jobs: &Jobs) -> Result<Self, Problem> {
        let Promises { deadline, floor, required } = Promises::read(query, jobs.config.timeout.0)?;
        Ok(Self { floor, required, timeout: deadline, ..Self::default() })
    }
}

/// Submits a job.
///
/// The query runs in the background, and the answer is stored until the retention ends.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/jobs",
    params(
        ("app" = String, Path, description = "The app's name"),
        ("floor" = Option<String>, Query, description = "Least coverage of an answer: `all`, `best-effort`, or a share of the weight; by default the app's", example = "best-effort"),
        ("require" = Option<Vec<String>>, Query, description = "Partitions that the answer must contain; adds to the app's", explode = true),
        ("timeout" = Option<String>, Query, description = "Longest run time of the job", example = "1h"),
        ("retention" = Option<String>, Query, description = "Time for which the answer is kept", example = "24h"),
        ("weight" = Option<u32>, Query, description = "Weight of the job: twice the weight gets twice the jobs of its app at once, and twice the time of the slot threads", minimum = 1, maximum = 1000),
        ("idempotency-key" = Option<String>, Header, description = "Idempotency key: the same request with the same key returns the same job"),
        ("prefer" = Option<String>, Header, description = "`wait=10`: waits up to 10 seconds for the end of the job before answering"),
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "The query"),
    responses(
        (status = 200, description = "The job existed before, or has ended while the client waited", body = View),
        (status = 202, description = "The job is accepted, and will not be lost", body = View, headers(
            ("location" = String, description = "URL of the job"),
            ("preference-applied" = String, description = "The applied preferences"),
        )),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such app, or this server accepts no jobs", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The query is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is encoded, or a multipart form", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The idempotency key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached, or the server is stopping", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The store is full", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn submit(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(app): Named<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let jobs = jobs(&server)?;
    if !jobs.config.role.dispatches() {
        return Err(Problem::not_found(
            "this server runs jobs, and accepts none\n(use a server with the role dispatcher or all)",
        ));
    }
    let terms = Terms::read(uri.query())?;
    accept(&server, jobs, &principal, app, terms, &headers, body).await
}

/// Accepts a query as a job if its client prefers that (`respond-async`).
/// `None` if it does not, or if the server takes no jobs: a preference is not binding.
pub(crate) async fn instead(
    server: &Server,
    principal: &Principal,
    app: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &mut Body,
) -> Option<Result<Response, Problem>> {
    let jobs = server.jobs.as_ref().filter(|jobs| jobs.config.role.dispatches())?;
    if !Preferences::of(headers).respond_async {
        return None;
    }
    let terms = match Terms::of_query(uri.query(), jobs) {
        Ok(terms) => terms,
        Err(problem) => return Some(Err(problem)),
    };
    Some(accept(server, jobs, principal, app.to_owned(), terms, headers, std::mem::take(body)).await)
}

async fn accept(
    server: &Server,
    jobs: &Jobs,
    principal: &Principal,
    app: String,
    terms: Terms,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let version = server.version(&app)?;
    let settings = server.settings();
    let limits = &settings.config.limits;
    // A submission holds a query permit until the job is stored.
    let permit = principal.place()?;
    let (query, charge) = bodies::read(server, principal, headers, body, limits.query.0).await?;
    if server.is_stopping() {
        return Err(Problem::overloaded("the server is stopping", Duration::from_secs(5)));
    }
    check_keys(&version, &query, &terms)?;
    let new = new_job(jobs, &version, app, query, terms, principal, headers)?;
    let submitted = submitted(server, jobs, new, Parent::of(headers)).await?;
    drop((permit, charge));
    jobs.wakeup.notify();
    let id = submitted.job.id;
    let fresh = submitted.fresh;
    let mut preferences = Preferences::of(headers);
    preferences.wait = preferences.wait.map(|wait| wait.min(LONGEST));
    // A wait is only a preference: a caller at its limit of listeners is answered at once.
    let permit = preferences.wait.and_then(|_| principal.listen().ok());
    preferences.wait = preferences.wait.filter(|_| permit.is_some());
    let job = ended_within(jobs, submitted.job, preferences.wait.unwrap_or_default()).await?;
    let done = !fresh || job.state.is_ended();
    let view = Json(view(jobs, job).await);
    let mut response = if done { view.into_response() } else { accepted(view) };
    preferences.applied(response.headers_mut());
    set(response.headers_mut(), LOCATION, &format!("/v1/jobs/{id}"));
    Ok(response)
}

/// Refuses keys with a NUL character, which a shared store cannot hold, before a job is created.
fn check_keys(version: &Version, query: &[u8], terms: &Terms) -> Result<(), Problem> {
    if terms.required.iter().any(PartitionKey::has_nul) {
        return Err(Problem::bad_request("`require` must be a key without a NUL character"));
    }
    // A query is split when its job is planned. Only a query that contains a NUL is checked now.
    let spelled = [&b"\0"[..], b"\\u0000"].into_iter().any(|nul| query.windows(nul.len()).any(|bytes| bytes == nul));
    if spelled {
        version.wired.app.check_query(query).map_err(|error| Problem::from(&RunError::from(error)))
    } else {
        Ok(())
    }
}

/// Stores a job, and reports it to the log and to traces.
async fn submitted(
    server: &Server,
    jobs: &Jobs,
    new: NewJob,
    parent: Option<Parent>,
) -> Result<Submission, StoreError> {
    let start = SystemTime::now();
    let traces = server.telemetry.traces.as_ref();
    // The processor that takes the job looks for this, so it must be there before.
    if let Some(traces) = traces.filter(|_| parent.is_some_and(|parent| !parent.is_sampled)) {
        traces.unrecorded(new.id.query());
    }
    let submitted = jobs.store.submit(new).await?;
    if submitted.fresh {
        let job = &submitted.job;
        let trace = parent.map(|parent| parent.trace.to_string());
        tracing::info!(job = %job.id, app = job.app, trace, "job accepted");
        if let Some(traces) = traces {
            traces.accepted(job.id.query(), &job.app, parent, start);
        }
    }
    Ok(submitted)
}

fn new_job(
    jobs: &Jobs,
    version: &Version,
    app: String,
    query: Bytes,
    terms: Terms,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<NewJob, Problem> {
    let config = &jobs.config;
    let own = &version.wired.app;
    let mut required = own.required.clone();
    let longer = |name: &str, asked: Option<Duration>, most: Duration| match asked {
        Some(asked) if asked > most || asked.is_zero() => {
            Err(Problem::bad_request(format!("`{name}` must be above 0 and at most {}s", most.as_secs())))
        }
        asked => Ok(u64::try_from(asked.unwrap_or(most).as_millis()).unwrap_or(u64::MAX)),
    };
    let run_timeout_ms = longer("timeout", terms.timeout, config.timeout.0)?;
    let retention_ms = longer("retention", terms.retention, config.retention.0)?;
    let floor = terms.floor.unwrap_or(own.floor);
    required.extend(terms.required);
    let idempotency = match headers.get("idempotency-key").map(|key| key.to_str().unwrap_or("")) {
        Some(key) if key.is_empty() || key.len() > MAX_KEY => {
            return Err(Problem::bad_request(format!("an idempotency key must have 1 to {MAX_KEY} bytes")));
        }
        key => key.map(|key| Idempotency {
            key: key.to_owned(),
            fingerprint: fingerprint(&app, &query, &format!("{floor:?} {required:?} {run_timeout_ms} {retention_ms}")),
        }),
    };
    Ok(NewJob {
        id: QueryId::new().into(),
        app,
        version: version.id(),
        query,
        floor,
        required,
        run_timeout_ms,
        retention_ms,
        weight: terms.weight.unwrap_or(1),
        caller: principal.caller().map(str::to_owned),
        idempotency,
        bounds: Bounds {
            waiting: Some(config.waiting.into()),
            jobs: Some(principal.jobs.count.unwrap_or(config.token_jobs)),
            bytes: Some(principal.jobs.bytes.unwrap_or(config.token_quota.0)),
        },
    })
}

/// Digest of a request. Each part is preceded by its length, so that parts cannot be confused.
fn fingerprint(app: &str, query: &Bytes, terms: &str) -> Bytes {
    let mut digest = Sha256::new();
    for part in [app.as_bytes(), query, terms.as_bytes()] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Bytes::copy_from_slice(&digest.finalize())
}
