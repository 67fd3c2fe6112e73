//! Endpoints for submitted jobs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use frond_app::size::parse_duration;
use frond_jobs::store::{Filter, Job, Page, PastJob};
use frond_jobs::{JobId, JobState, StoreError};
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::views::View;
use super::{Jobs, follow, permit};
use crate::auth::{Action, Principal};
use crate::bodies;
use crate::event_stream;
use crate::params::{Named, Params};
use crate::reply::{Problem, accepted};
use crate::server::Server;

/// Earlier jobs of the app on which an estimate is based.
const HISTORY: u32 = 50;
/// Default and largest length of a list.
const LIST: (u32, u32) = (50, 1000);
/// The longest wait of a request for a list.
const PATIENCE: Duration = Duration::from_secs(5);

/// A page of the list of jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct List {
    /// The jobs, newest first.
    jobs: Vec<View>,
    /// Value of `after` for the next page; null on the last page.
    next: Option<String>,
}

/// The server's jobs; an error if it takes none.
pub(super) fn jobs(server: &Server) -> Result<&Arc<Jobs>, Problem> {
    let without = || Problem::not_found("this server accepts no jobs\n(`jobs.role` in its settings is none)");
    server.jobs.as_ref().ok_or_else(without)
}

fn named(id: &str) -> Result<JobId, Problem> {
    id.parse().map_err(|_| Problem::not_found("there is no such job\n(an id has 32 hexadecimal digits)"))
}

/// The job with this `id`, if `principal` may access it.
/// Other callers' jobs are reported as missing.
pub(super) async fn theirs(jobs: &Jobs, principal: &Principal, action: Action, id: &str) -> Result<Job, Problem> {
    let id = named(id)?;
    Ok(match principal.limited(action) {
        Some(caller) => jobs.store.get_of(id, caller).await?,
        None => jobs.store.get(id).await?,
    })
}

/// Earlier jobs of the job's version, for an estimate of its end.
async fn history(jobs: &Jobs, job: &Job) -> Vec<PastJob> {
    if job.state.is_ended() {
        return Vec::new();
    }
    // The estimate is optional: without a history the rest of the view is still returned.
    jobs.store.history(&job.app, &job.version, HISTORY).await.unwrap_or_default()
}

/// A job as clients see it, with an estimate of its end.
pub(super) async fn view(jobs: &Jobs, job: Job) -> View {
    let history = history(jobs, &job).await;
    View::new(job, &history, jobs.slots.behind())
}

/// Lists jobs, newest first.
///
/// A token with the role `query` sees only its own jobs; `observer` and `admin` see everybody's.
/// A list has no coverage, and no long reasons: `GET /v1/jobs/{id}` has them.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    params(
        ("app" = Option<String>, Query, description = "Only jobs of this app"),
        ("state" = Option<String>, Query, description = "Only jobs in one of these states, separated by commas"),
        ("after" = Option<String>, Query, description = "Only jobs after this one: `next` of the previous list"),
        ("limit" = Option<u32>, Query, description = "Largest number of jobs to list; 50 by default", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "The jobs", body = List),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "This server accepts no jobs", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached, or too many lists are being made", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
) -> Result<Json<List>, Problem> {
    let jobs = jobs(&server)?;
    let (mut filter, page) = wanted(uri.query())?;
    filter.caller = principal.limited(Action::Read).map(str::to_owned);
    let _permit = permit(&jobs.listing, &principal, PATIENCE, "lists of jobs").await?;
    let found = jobs.store.list(&filter, page).await?;
    let next = found.last().filter(|_| found.len() == page.limit as usize).map(|job| job.id.to_string());
    let mut listed = Vec::with_capacity(found.len());
    // Many jobs have the same version.
    let mut histories = HashMap::new();
    for job in found {
        let past = match histories.entry((job.app.clone(), job.version.clone(), job.state.is_ended())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(history(jobs, &job).await),
        };
        listed.push(View::new(job, past, jobs.slots.behind()));
    }
    Ok(Json(List { jobs: listed, next }))
}

fn states() -> String {
    format!("the states of jobs are {}", JobState::ALL.map(JobState::slug).join(", "))
}

fn wanted(query: Option<&str>) -> Result<(Filter, Page), Problem> {
    let params = Params::read(query, &["app", "state", "after", "limit"])?;
    let states = params.parsed("state", |value| {
        value.split(',').map(|state| state.parse().map_err(|_: String| states())).collect::<Result<Vec<JobState>, _>>()
    })?;
    let app = params.parsed("app", |value| Ok(value.to_owned()))?;
    let after = params
        .parsed("after", |id| id.parse().map_err(|_: String| "a job's id has 32 hexadecimal digits".to_owned()))?;
    let limit = params.limit(LIST.1)?.unwrap_or(LIST.0);
    Ok((Filter { app, states: states.unwrap_or_default(), ..Filter::default() }, Page { after, limit }))
}

/// Returns one job: its state, its progress, and an estimate of its end.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("wait" = Option<String>, Query, description = "Waits until the job has ended, at most for this time", example = "1s"),
    ),
    responses(
        (status = 200, description = "The job; its tombstone when the job has expired", body = View),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn get(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
    uri: Uri,
) -> Result<Json<View>, Problem> {
    let jobs = jobs(&server)?;
    let longest = follow::LONGEST;
    let must = format!("a duration of at most {}s such as `10s`", longest.as_secs());
    let wait = |value: &str| parse_duration(value).ok().filter(|time| *time <= longest);
    let time = Params::read(uri.query(), &["wait"])?.one("wait", &must, wait)?;
    let job = theirs(jobs, &principal, Action::Read, &id).await?;
    let time = time.unwrap_or(Duration::ZERO);
    let _permit = if time.is_zero() { None } else { Some(principal.listen()?) };
    let job = follow::ended_within(jobs, job, time).await?;
    Ok(Json(view(jobs, job).await))
}

/// Returns the events of a job.
///
/// The format is one JSON object a line, or a live stream of server-sent events.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("last-event-id" = Option<String>, Header, description = "Number of the last event that the client has: the stream continues after that event"),
    ),
    responses(
        (status = 200, description = "The events", content(
            (crate::openapi::Event = "application/x-ndjson"),
            (crate::openapi::Event = "text/event-stream"),
        )),
        (status = 204, description = "The job has ended, and the client has its last event"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The job has expired", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn events(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let jobs = jobs(&server)?;
    // The job must be known to exist before anything is sent.
    let job = theirs(jobs, &principal, Action::Read, &id).await?;
    if job.state == JobState::Expired {
        return Err(StoreError::Expired(job.id).into());
    }
    if event_stream::is_wanted(&headers) {
        return follow::stream(jobs, &job, &headers, &principal);
    }
    Ok(follow::lines(jobs.store.clone(), job.id))
}

/// Cancels a job, or deletes the data of one that has ended.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("keep-partial" = Option<bool>, Query, description = "Whether the accepted partials are made into an answer"),
        ("purge" = Option<bool>, Query, description = "Deletes the answer, partials and events of a job that has ended, as if its retention were over; a tombstone stays"),
    ),
    responses(
        (status = 200, description = "The job is deleted: its tombstone", body = View),
        (status = 202, description = "The job has ended, or will end soon", body = View),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The job has ended; with `purge`, the job has not ended", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The job has expired", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn cancel(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let jobs = jobs(&server)?;
    let params = Params::read(uri.query(), &["keep-partial", "purge"])?;
    let keeps = params.flag("keep-partial")?;
    let purges = params.flag("purge")?;
    if purges && keeps {
        return Err(Problem::bad_request("`keep-partial` and `purge` exclude each other"));
    }
    let id = theirs(jobs, &principal, Action::Ask, &id).await?.id;
    if purges {
        let job = jobs.store.delete(id).await?;
        return Ok(Json(view(jobs, job).await).into_response());
    }
    let job = jobs.store.cancel(id, keeps).await?;
    jobs.wakeup.notify();
    Ok(accepted(Json(view(jobs, job).await)))
}

/// Redrives a job that has ended: runs its failed and missing partitions again.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/redrive",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 202, description = "The job waits to run again", body = View),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The job has not ended, or no partition is missing", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The job has expired", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn redrive(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let jobs = jobs(&server)?;
    let id = theirs(jobs, &principal, Action::Ask, &id).await?.id;
    let job = jobs.store.redrive(id).await?;
    jobs.wakeup.notify();
    Ok(accepted(Json(view(jobs, job).await)))
}

/// Changes to a job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// The time for which the answer is kept, from the job's end.
    #[schema(example = "48h")]
    retention: String,
}

/// Changes the time for which a job's answer is kept.
#[utoipa::path(
    patch,
    path = "/v1/jobs/{id}",
    params(("id" = String, Path, description = "The job's id")),
    request_body(content = Change, content_type = "application/json"),
    responses(
        (status = 200, description = "The job", body = View),
        (status = 400, description = "The body is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The job has expired", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is encoded, or a multipart form", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn change(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<View>, Problem> {
    let jobs = jobs(&server)?;
    let (body, _charge) = bodies::read(&server, &principal, &headers, body, 4 << 10).await?;
    let wrong = |why: String| Problem::bad_request(format!("{why}\n(such as {{\"retention\": \"48h\"}})"));
    let change: Change = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    let retention = parse_duration(&change.retention).map_err(|error| wrong(error.to_string()))?;
    let most = jobs.config.retention.0;
    if retention > most || retention.is_zero() {
        return Err(wrong(format!("`retention` must be above 0 and at most {}s", most.as_secs())));
    }
    let ms = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    let id = theirs(jobs, &principal, Action::Ask, &id).await?.id;
    let job = jobs.store.retain(id, ms).await?;
    Ok(Json(view(jobs, job).await))
}
