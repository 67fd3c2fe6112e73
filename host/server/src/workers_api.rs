//! `/v1/workers`: the processes and hosts that run leaves for the server.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use frond_run::{WorkerState, WorkerView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Principal;
use crate::params::Named;
use crate::reply::Problem;
use crate::server::Server;

/// The workers of the server.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerList {
    /// The workers, in the order in which they joined; then processes that stand ready, and for ten
    /// minutes workers that were drained and have left, and workers that cannot join, up to 64 of
    /// each.
    workers: Vec<WorkerStatus>,
    /// The processes of apps with `isolation = "process"`, which are no workers of other apps.
    isolated: Vec<WorkerStatus>,
    /// The number of slots of the server's own process; 0 if leaves run on workers only.
    local_slots: usize,
    /// True if workers may join: the settings name a broker, or worker processes.
    may_join: bool,
}

/// A worker.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerStatus {
    /// Its name.
    name: String,
    /// `process` for a process of this machine, `host` for a worker of the broker.
    kind: &'static str,
    /// Version of its program.
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    /// `working`; `draining` if it takes no more attempts, `drained` once it has left; `spare` for
    /// a process that stands ready; `refused` if it cannot join.
    state: &'static str,
    /// The pool of a worker of the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// Process number of a process of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// Name of its engine. A worker with another one than the server compiles leaves itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    engine: String,
    /// The most leaves that it runs at once.
    slots: u32,
    /// The number of its first slot, as events and waterfalls count slots.
    first_slot: u32,
    /// Time since it joined, in milliseconds.
    age_ms: u64,
    /// Time since it left, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone_ms: Option<u64>,
    /// Time since its last sign of life, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_ms: Option<u64>,
    /// Round trip to it, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_ms: Option<f64>,
    /// Attempts that it has: running, waiting, and on their way to a slot.
    attempts: usize,
    /// Attempts that wait for something outside, without a slot.
    waiting: usize,
    /// Apps of its attempts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    apps: Vec<String>,
    /// Attempts that ended since it joined.
    ended: u64,
    /// Time that these took, in milliseconds.
    ran_ms: u64,
    /// Attempts that ended in each second since it joined.
    rate: f64,
    /// Time since it was drained, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    drained_ms: Option<u64>,
    /// The name of the token that drained it, `anybody` on a server without tokens. Absent if its
    /// own host did (SIGTERM).
    #[serde(skip_serializing_if = "Option::is_none")]
    drained_by: Option<String>,
    /// The reason why it gets no attempts now.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_because: Option<String>,
    /// The reasons why it cannot run some leaves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<String>,
}

impl From<WorkerView> for WorkerStatus {
    fn from(view: WorkerView) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let stayed = view.age.saturating_sub(view.gone.unwrap_or_default());
        Self {
            kind: if view.pid.is_some() { "process" } else { "host" },
            state: match view.state {
                WorkerState::Spare => "spare",
                WorkerState::Working => "working",
                WorkerState::Draining => "draining",
                WorkerState::Drained => "drained",
                WorkerState::Refused => "refused",
            },
            pool: view.pool,
            pid: view.pid,
            engine: view.engine,
            slots: view.slots,
            first_slot: view.first,
            age_ms: ms(view.age),
            gone_ms: view.gone.map(ms),
            silent_ms: view.last_heard.map(ms),
            round_trip_ms: view.round_trip.map(|trip| trip.as_secs_f64() * 1e3),
            attempts: view.attempts,
            waiting: view.waiting,
            apps: view.apps,
            ended: view.ended,
            ran_ms: ms(view.ran),
            rate: view.ended as f64 / stayed.as_secs_f64().max(1e-3),
            drained_ms: view.drain.as_ref().map(|drain| ms(drain.since)),
            drained_by: view.drain.and_then(|drain| drain.by),
            idle_because: view.idle_because,
            refusals: view.refusals,
            name: view.name,
            version: view.version,
        }
    }
}

/// Lists the workers that run leaves for this server.
#[utoipa::path(get, path = "/v1/workers", responses((status = 200, description = "The workers", body = WorkerList)), tag = "workers")]
pub(crate) async fn list(State(server): State<Arc<Server>>) -> Json<WorkerList> {
    let statuses = |views: Vec<WorkerView>| views.into_iter().map(WorkerStatus::from).collect();
    let workers = server.slots.crew.as_ref().map(|crew| crew.workers());
    Json(WorkerList {
        workers: statuses(workers.map(|workers| [workers.list(), workers.absent()].concat()).unwrap_or_default()),
        isolated: statuses(server.slots.isolated()),
        local_slots: server.slots.local(),
        may_join: server.slots.crew.is_some(),
    })
}

/// The result of a drain.
#[derive(Serialize, ToSchema)]
pub(crate) struct Drained {
    /// The number of workers of this name that take no more attempts from this server.
    draining: usize,
}

/// Drains a worker: it gets no more attempts from this server, ends those that run, and leaves.
///
/// Attempts that it has not started run elsewhere. A worker that is started again joins again.
#[utoipa::path(
    post,
    path = "/v1/workers/{worker}/drain",
    params(("worker" = String, Path, description = "The worker's name")),
    responses(
        (status = 200, description = "The worker drains", body = Drained),
        (status = 404, description = "There is no such worker", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The worker cannot be drained: it is a process of isolated apps", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "workers"
)]
pub(crate) async fn drain(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(worker): Named<String>,
) -> Result<Json<Drained>, Problem> {
    let draining = server.slots.crew.as_ref().map_or(0, |crew| crew.workers().drain(&worker, &principal.name));
    if draining == 0 && server.slots.isolated().iter().any(|one| one.name == worker) {
        return Err(Problem::conflict(
            "this process runs the leaves of apps with `isolation = \"process\"`, and is not drained\n\
             (it ends with the server; to replace it now, end the process: GET /v1/workers has its number)",
        ));
    }
    if draining == 0 {
        return Err(Problem::not_found("there is no worker of this name\n(GET /v1/workers lists them)"));
    }
    Ok(Json(Drained { draining }))
}
