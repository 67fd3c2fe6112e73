//! `/v1/workers`: the processes and hosts that run leaves for the server.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use frond_run::WorkerView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::params::Named;
use crate::reply::Problem;
use crate::server::Server;

/// The workers of the server.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerList {
    /// The workers, in the order in which they joined.
    workers: Vec<WorkerStatus>,
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
    /// Version of its program.
    version: String,
    /// `working`, or `draining` if it takes no more attempts.
    state: &'static str,
    /// The most leaves that it runs at once.
    slots: u32,
    /// The number of its first slot, as events and waterfalls count slots.
    first_slot: u32,
    /// Time since it joined, in milliseconds.
    age_ms: u64,
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
    /// Attempts that ended since it joined.
    ended: u64,
    /// Time that these took, in milliseconds.
    ran_ms: u64,
    /// Attempts that ended in each second since it joined.
    rate: f64,
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
        Self {
            state: if view.is_draining { "draining" } else { "working" },
            slots: view.slots,
            first_slot: view.first,
            age_ms: ms(view.age),
            silent_ms: view.last_heard.map(ms),
            round_trip_ms: view.round_trip.map(|trip| trip.as_secs_f64() * 1e3),
            attempts: view.attempts,
            waiting: view.waiting,
            ended: view.ended,
            ran_ms: ms(view.ran),
            rate: view.ended as f64 / view.age.as_secs_f64().max(1e-3),
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
    let settings = server.settings();
    let config = &settings.config;
    let workers = server.slots.crew.as_ref().map(|crew| crew.workers().list()).unwrap_or_default();
    Json(WorkerList {
        workers: workers.into_iter().map(WorkerStatus::from).collect(),
        local_slots: if config.workers.is_local() { config.slots } else { 0 },
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
    ),
    tag = "workers"
)]
pub(crate) async fn drain(
    State(server): State<Arc<Server>>,
    Named(worker): Named<String>,
) -> Result<Json<Drained>, Problem> {
    let draining = server.slots.crew.as_ref().map_or(0, |crew| crew.workers().drain(&worker));
    if draining == 0 {
        return Err(Problem::not_found("there is no worker of this name\n(GET /v1/workers lists them)"));
    }
    tracing::info!(worker, draining, "draining");
    Ok(Json(Drained { draining }))
}
