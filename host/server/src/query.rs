//! `POST /v1/apps/{app}/query`: one query, from its request to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use frond_deploy::Version;
use frond_root::policy::admission::whole_cost;
use frond_root::policy::budget::Budget;
use frond_root::{Answer, CancellationToken, Events, Listener, Preview, QueryId, Request};
use frond_run::{Question, RunError, answer};
use futures_util::FutureExt;
use http::{HeaderMap, Uri};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use utoipa::ToSchema;

use crate::admission::Ticket;
use crate::auth::{Action, Principal};
use crate::bodies;
use crate::budget::Charge;
use crate::config::Limits;
use crate::envelopes::envelope;
use crate::jobs::submit;
use crate::params::{ENVELOPE, Form, Named, Promises};
use crate::recent::QueryRecord;
use crate::reply::{Problem, accepted, account, output};
use crate::running::RunningQuery;
use crate::sending::Reserved;
use crate::server::Server;
use crate::stream;
use crate::traces::Parent;

/// Resources that a query holds while it runs.
struct QueryResources {
    /// The owner of the query.
    caller: Option<String>,
    _ticket: Ticket,
    _permit: OwnedSemaphorePermit,
    /// The charge of the query's bytes.
    _charge: Charge,
}

/// Runs a query on an app.
///
/// The body contains the query's bytes, in the app's own format.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/query",
    params(
        ("app" = String, Path, description = "The app's name"),
        ("deadline" = Option<String>, Query, description = "Time from the request to the answer, such as `500ms` or `2s`; by default the app's, and at most the app's `query.max-deadline`", example = "2s"),
        ("floor" = Option<String>, Query, description = "Least coverage of an answer: `all`, `best-effort`, or a share of the weight such as `0.8` or `80%`; by default the app's", example = "best-effort"),
        ("require" = Option<Vec<String>>, Query, description = "Partitions that the answer must contain; adds to the app's"),
        ("prefer" = Option<String>, Header, description = "`respond-async`: the query becomes a job, whose timeout is `deadline`; with `wait=10`, the server waits up to 10 seconds for the end of the job before answering. Ignored by a server that accepts no jobs"),
        ("idempotency-key" = Option<String>, Header, description = "With `respond-async`: the same request with the same key returns the same job"),
    ),
    request_body(content = String, content_type = "application/octet-stream", description = "The query"),
    responses(
        (status = 200, description = "The answer, as the app made it, or in the envelope with `Accept: application/vnd.frond+json`, or as a stream of events with `Accept: text/event-stream`; the job that the query has become, when that job existed before or has ended. The header `frond-complete` says whether the answer is whole.", content(
                (serde_json::Value = "*/*"),
                (crate::openapi::Envelope = "application/vnd.frond+json"),
                (String = "text/event-stream"),
            ),
            headers(("frond-query" = String, description = "The query's id"), ("frond-complete" = bool, description = "Whether every partition is in the answer"), ("frond-coverage" = String, description = "The share of the weight; partitions in the answer/planned"), ("server-timing" = String, description = "Durations of the phases"))),
        (status = 202, description = "The query has become a job, which will not be lost", body = crate::jobs::View, headers(
            ("location" = String, description = "URL of the job"),
            ("preference-applied" = String, description = "The applied preferences"),
        )),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such app", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The query is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is encoded, or a multipart form", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A plugin, or the app's source, refuses the query", content((Problem = "application/problem+json"), (crate::openapi::Envelope = "application/vnd.frond+json"))),
        (status = 500, description = "The app's source, or the server, is at fault", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The merge or the split failed", content((Problem = "application/problem+json"), (crate::openapi::Envelope = "application/vnd.frond+json"))),
        (status = 503, description = "Too many queries to answer in time, or the app has no version that could answer", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "Too little arrived in time; with the account of the query", content((Problem = "application/problem+json"), (crate::openapi::Envelope = "application/vnd.frond+json"))),
        (status = 507, description = "The query should become a job, and the store of jobs is full", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "queries"
)]
pub(crate) async fn ask(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(app): Named<String>,
    uri: Uri,
    headers: HeaderMap,
    mut body: Body,
) -> Response {
    let refused = |problem: Problem| {
        server.telemetry.metrics.refused.count(problem.slug());
        problem.into_response()
    };
    if let Some(job) = submit::instead(&server, &principal, &app, &uri, &headers, &mut body).await {
        return job.unwrap_or_else(refused);
    }
    match start(&server, &principal, &app, &uri, &headers, body).await {
        Ok((running, Form::Stream)) => stream::answer(&server, running),
        Ok((running, form)) => whole(&server, running, form).await,
        Err(problem) => refused(problem),
    }
}

/// Checks and admits the query, and starts it.
async fn start(
    server: &Arc<Server>,
    principal: &Principal,
    app: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(RunningQuery, Form), Problem> {
    let settings = server.settings();
    let limits = &settings.config.limits;
    let promises = Promises::read(uri.query(), limits.deadline.0)?;
    let version = server.version(app)?;
    promises.within(&version.wired.app)?;
    let form = Form::wanted(headers, &version.wired.app.content_type);
    let permit = principal.place()?;
    let (query, charge) = bodies::read(server, principal, headers, body, limits.query.0).await?;
    if server.is_stopping() {
        return Err(Problem::overloaded("the server is stopping", Duration::from_secs(5)));
    }
    let mut request = promised(&version, query, promises, limits);
    if let Some(caller) = principal.caller() {
        request.tenant.caller = Arc::from(caller);
    }
    let budget = Budget::new(Instant::now().into(), request.deadline, None);
    let gather = budget.gather_deadline.saturating_duration_since(Instant::now().into());
    let ticket = server.admission.admit(app, &request.tenant, gather, server.slots.count()).map_err(|refusal| {
        server.telemetry.metrics.not_admitted.count(refusal.reason.slug());
        Problem::overloaded(crate::admission::detail(refusal.reason), refusal.after)
    })?;
    let parent = Parent::of(headers);
    let resources = QueryResources {
        caller: principal.caller().map(str::to_owned),
        _ticket: ticket,
        _permit: permit,
        _charge: charge,
    };
    let running = begin(server, version, request, resources, form, parent);
    Ok((running, form))
}

fn promised(version: &Version, query: Bytes, promises: Promises, limits: &Limits) -> Request {
    let mut request = version.wired.request(&query);
    request.deadline = promises.deadline.unwrap_or(request.deadline).min(limits.deadline.0);
    request.floor = promises.floor.unwrap_or(request.floor);
    request.required.extend(promises.required);
    request.partitions = limits.partitions;
    request
}

/// Runs the query in a separate task, so that it is accounted for even if nobody waits for it.
fn begin(
    server: &Arc<Server>,
    version: Arc<Version>,
    request: Request,
    resources: QueryResources,
    form: Form,
    parent: Option<Parent>,
) -> RunningQuery {
    let id = request.id;
    let cancel = CancellationToken::new();
    let caller = resources.caller.as_deref();
    let wired = &version.wired;
    let recorded =
        server.recent.begin(caller, &request, wired.runner.slots(), version.number, &wired.app.content_type, &cancel);
    let metering = server.telemetry.metrics.query(&request);
    let events = Events::new(vec![recorded.clone() as Arc<dyn Listener>, metering.clone()]);
    let events = match form {
        Form::Stream => events.previewing(recorded.clone() as Arc<dyn Preview>),
        Form::Answer | Form::Envelope => events,
    };
    let (send, outcome) = oneshot::channel();
    let waiting = cancel.clone().drop_guard();
    let task = (server.clone(), version.clone(), recorded.clone());
    tokio::spawn(async move {
        let (server, version, recorded) = task;
        let deadline = request.deadline;
        let query = request.query.clone();
        let trace = parent.map(|parent| parent.trace.to_string());
        let trace = trace.as_deref();
        let asking = answer(&version.wired, Question::new(request), events, cancel);
        // A query that panics is accounted for, too: otherwise the server would wait for it when it
        // stops.
        let outcome = AssertUnwindSafe(asking).catch_unwind().await.ok();
        match &outcome {
            Some(Ok(answer)) => {
                recorded.answered(answer);
                server.settle(&version, &recorded, answer, &query, trace);
            }
            Some(Err(error)) => {
                recorded.refused();
                server.log_refusal(&recorded, error, trace);
            }
            None => {
                recorded.refused();
                tracing::error!(query = %id, app = recorded.app, trace, "the query was lost: this is a bug in Frond");
            }
        }
        metering.ended(outcome.as_ref(), deadline);
        if let Some(traces) = &server.telemetry.traces {
            traces.query(&recorded, parent);
        }
        drop(resources);
        server.recent.tidy();
        server.ended.notify_waiters();
        // An error means that nobody waits for the outcome.
        if let Some(outcome) = outcome {
            let _ = send.send(outcome.map(|answer| server.hidden.answer(answer)));
        }
    });
    RunningQuery { id, recorded, version, outcome, _waiting: waiting }
}

impl Server {
    /// Logs a refused query. A client can cause thousands of them in a second.
    fn log_refusal(&self, recorded: &QueryRecord, error: &RunError, trace: Option<&str>) {
        if let Some(unlogged) = self.refusals.line(Instant::now()) {
            let error = crate::reply::chain(error);
            tracing::warn!(query = %recorded.id, app = recorded.app, trace, unlogged, error, "query refused");
        }
    }

    /// Learns from an answer (costs, canary query), and logs it.
    fn settle(&self, version: &Version, recorded: &QueryRecord, answer: &Answer, query: &Bytes, trace: Option<&str>) {
        let coverage = answer.coverage();
        let times = &coverage.timings;
        if let Some(cost) = whole_cost(coverage) {
            self.admission.learn(&recorded.app, cost);
        }
        if let Answer::Complete { .. } = answer {
            self.apps.remember(version, query);
        }
        let reason = match answer {
            Answer::Failed { reason, .. } => Some(reason.slug()),
            _ => None,
        };
        tracing::info!(
            query = %recorded.id,
            app = recorded.app,
            version = version.number,
            outcome = answer.outcome(),
            reason,
            fraction = coverage.fraction,
            partitions = coverage.partitions.planned,
            took_ms = times.total,
            trace,
            "query"
        );
    }
}

/// Replies with the answer in one piece.
async fn whole(server: &Server, mut running: RunningQuery, form: Form) -> Response {
    let outcome = (&mut running.outcome).await;
    let answer = match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Problem::from(&error).about(running.id).into_response(),
        Err(_) => return Problem::lost().about(running.id).into_response(),
    };
    let slowest = running.recorded.slowest();
    if let (Answer::Failed { reason, coverage }, Form::Answer) = (&answer, form) {
        return Problem::unanswered(reason, coverage).slowest(slowest).into_response();
    }
    let mut response: Response = Response::default();
    *response.status_mut() = crate::reply::status(&answer);
    let headers = response.headers_mut();
    account(headers, answer.coverage(), slowest.as_ref());
    let app = &running.version.wired.app;
    let content_type = if let Form::Answer = form { app.content_type.as_str() } else { ENVELOPE };
    output(headers, content_type);
    let body = if let Form::Answer = form {
        answer.body().cloned().unwrap_or_default()
    } else {
        match envelope(&server.sending, &running.version, answer, ("", "\n")).await {
            Ok((body, charge)) => {
                response.extensions_mut().insert(Reserved::new(charge));
                body
            }
            Err(problem) => return problem.about(running.id).into_response(),
        }
    };
    response.map(|_| Body::from(body))
}

/// Cancels a query, which then answers with the partials that it has.
#[utoipa::path(
    delete,
    path = "/v1/queries/{id}",
    params(("id" = String, Path, description = "The query's id")),
    responses(
        (status = 202, description = "The query will end soon", body = Cancelled),
        (status = 404, description = "The query is not known, or no longer", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "queries"
)]
pub(crate) async fn cancel(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let recorded = crate::queries::known(&server, &principal, Action::Ask, &id)?;
    recorded.cancel.cancel();
    Ok(accepted(Json(Cancelled { id: recorded.id })))
}

/// A query that is being cancelled.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cancelled {
    /// The query's id.
    #[schema(value_type = String)]
    id: QueryId,
}
