//! Answers of jobs, and partial answers of unfinished jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use frond_jobs::partial::{PartialError, so_far};
use frond_jobs::store::{Job, RESULT_PART, ResultInfo};
use frond_jobs::{AppProvider, JobId, JobState, JobStore, StoreError};
use frond_root::answer::four_decimals;
use frond_root::{Coverage, Reason};
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use super::api::{jobs, theirs};
use super::{Jobs, follow, permit, provider};
use crate::auth::{Action, Principal};
use crate::params::Named;
use crate::reply::{Problem, account, output, set};
use crate::server::Server;

/// Returns a job's answer.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/result",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The answer, as the app made it; `frond-complete` says whether it is whole", content((serde_json::Value = "*/*"))),
        (status = 404, description = "There is no such job, or it was cancelled without an answer", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The job has not ended", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The job has expired", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The query was refused", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The merge or the split failed", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "Too little arrived", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn result(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let jobs = jobs(&server)?;
    let job = theirs(jobs, &principal, Action::Read, &id).await?;
    if !job.state.is_ended() {
        let text = format!(
            "job {id} is {}: it has no answer yet\n(GET /v1/jobs/{id}/partial returns the answer so far)",
            job.state
        );
        return Err(Problem::not_ended(text, Duration::from_secs(1)));
    }
    fetched(jobs, &job, &id).await
}

/// The answer of a job that has ended.
async fn fetched(jobs: &Jobs, job: &Job, id: &str) -> Result<Response, Problem> {
    let coverage = job.coverage.clone().and_then(|value| serde_json::from_value::<Coverage>(value).ok());
    let Some(info) = jobs.store.result_info(job.id).await? else {
        return Err(unanswered(job, coverage.as_ref()));
    };
    let mut response = answer(parts(jobs.store.clone(), job.id, &info), info.content_type.as_deref(), id);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(info.size));
    if let Some(coverage) = &coverage {
        account(response.headers_mut(), coverage, None);
    }
    Ok(response)
}

/// Streams an answer from the store in parts, so that a slow reader holds only one of them.
/// The body breaks off if the store fails, or if the answer is replaced.
fn parts(store: Arc<dyn JobStore>, id: JobId, info: &ResultInfo) -> Body {
    let epoch = info.epoch;
    let size = info.size;
    Body::from_stream(stream::try_unfold((store, 0), move |(store, from)| async move {
        if from >= size {
            return Ok(None);
        }
        let part = store.result_part(id, epoch, from, RESULT_PART).await.inspect_err(|error| {
            tracing::debug!(job = %id, %error, "an answer breaks off");
        })?;
        let next = from + part.len() as u64;
        Ok::<_, StoreError>((!part.is_empty()).then_some((part, (store, next))))
    }))
}

/// Why a job that has ended has no answer.
fn unanswered(job: &Job, coverage: Option<&Coverage>) -> Problem {
    let reason = job.reason.clone().and_then(|value| serde_json::from_value::<Reason>(value).ok());
    match (reason, coverage, job.state) {
        (_, _, JobState::Cancelled) => Problem::cancelled(),
        (Some(reason), Some(coverage), _) => Problem::unanswered(&reason, coverage),
        _ => {
            let detail = job.reason.as_ref().and_then(|reason| {
                let detail = reason.get("detail").or_else(|| reason.get("failure")?.get("message"))?;
                detail.as_str().map(str::to_owned)
            });
            let detail = detail.unwrap_or_else(|| "the job has no answer".to_owned());
            let word = job.reason.as_ref().and_then(|reason| reason.get("reason")?.as_str());
            match word {
                Some("lost") => Problem::given_up(detail),
                Some("quota") => Problem::over_quota(detail),
                _ => Problem::refused(detail),
            }
        }
    }
}

fn answer(body: impl Into<Body>, content_type: Option<&str>, id: &str) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    output(headers, content_type.unwrap_or("application/octet-stream"));
    set(headers, "frond-job", id);
    response
}

/// Returns the answer that a job's partials make so far.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/partial",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The accepted partials, merged; `frond-coverage` says how much they cover", content((serde_json::Value = "*/*"))),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "This server does not have the version of the app that the job uses", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "The job has expired", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The accepted partials could not be merged", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be reached, or too many partial answers are being made", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "jobs"
)]
pub(crate) async fn partial(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let jobs = jobs(&server)?;
    let found = theirs(jobs, &principal, Action::Read, &id).await?;
    if found.state == JobState::Succeeded {
        return fetched(jobs, &found, &id).await;
    }
    let job = found.id;
    // Requests that wait hold no coverage.
    drop(found);
    let _waiting = principal.listen()?;
    // Each request reads and merges all partials of its job, so only a few run at once.
    let _permit = permit(&jobs.merging, &principal, follow::LONGEST, "partial answers").await?;
    let job = jobs.store.get(job).await?;
    let version =
        provider(server.apps.clone(), server.telemetry.clone()).version(&job.app, &job.version).await.map_err(
            |why| Problem::conflict(format!("the version of the app that the job uses is not on this server: {why}")),
        )?;
    let so_far = so_far(&*jobs.store, &job, &*version).await.map_err(|error| match error {
        PartialError::Store(error) => Problem::from(error),
        PartialError::Merge(failure) => Problem::unmerged(&failure),
    })?;
    // A job deletes its partials when it succeeds, so the merge may have missed some of them.
    let job = jobs.store.get(job.id).await?;
    if job.state == JobState::Succeeded {
        return fetched(jobs, &job, &id).await;
    }
    let mut response = answer(so_far.body, Some(&version.content_type()), &id);
    let headers = response.headers_mut();
    headers.insert("frond-complete", HeaderValue::from_static("false"));
    let text = format!("{}; {}/{}", four_decimals(so_far.fraction), so_far.partials, job.counts.partitions);
    set(headers, "frond-coverage", &text);
    Ok(response)
}
