//! Jobs as clients see them.

use frond_jobs::clock::unix_ms;
use frond_jobs::eta::{Eta, eta};
use frond_jobs::store::{Counts, Job, PastJob};
use frond_jobs::{JobState, UnixMs};
use frond_root::answer::share;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How soon it is worth asking again: from this, to that.
const POLL_MS: (u64, u64) = (250, 10_000);

/// A job.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct View {
    /// Its id.
    pub(super) id: String,
    /// The app's name.
    app: String,
    /// A digest of the `frond.toml` and the components that it goes by to its end: those that planned it, and before it has
    /// a plan those that it was submitted to.
    version: String,
    /// `queued`, `planning`, `running`, `merging`; `succeeded`, `partial`, `failed` or `cancelled`; `expired`.
    #[schema(value_type = String)]
    pub(super) state: JobState,
    /// When it was submitted, in Unix milliseconds.
    created_unix_ms: u64,
    /// When it was first taken.
    started_unix_ms: Option<u64>,
    /// When it ended.
    finished_unix_ms: Option<u64>,
    /// When its answer goes.
    expires_unix_ms: Option<u64>,
    /// Partitions, counted.
    partitions: Partitions,
    /// Partitions, weighed.
    weight: Weight,
    /// The share of the weight that is in.
    fraction: f64,
    /// When it is likely to end.
    eta: Option<EtaView>,
    /// Why that cannot be told.
    eta_missing: Option<&'static str>,
    /// How soon it is worth asking again, in milliseconds; nothing once it has ended.
    poll_after_ms: Option<u64>,
    /// Whether it was asked to stop.
    cancelling: bool,
    /// Attempts of its leaves so far; those that were lost with a server may be missing.
    attempts: u64,
    /// How often it was taken: more than once after an interruption.
    epoch: u64,
    /// Bytes that are kept of it: query, plan, partials and answer.
    kept_bytes: u64,
    /// Why it ended as it did.
    #[schema(value_type = Option<Object>)]
    reason: Option<Value>,
    /// The account, once it has ended.
    #[schema(value_type = Option<crate::openapi::Coverage>)]
    pub(super) coverage: Option<Value>,
    /// The name of the token that asked.
    caller: Option<String>,
}

/// When a job is likely to end.
#[derive(Serialize, ToSchema)]
struct EtaView {
    /// As likely before as after, in milliseconds from now.
    p50_ms: u64,
    /// Nine of ten end before.
    p90_ms: u64,
    /// What it stands on: `history` or `progress`.
    #[schema(value_type = String)]
    basis: frond_jobs::eta::Basis,
}

impl From<Eta> for EtaView {
    fn from(eta: Eta) -> Self {
        Self { p50_ms: eta.p50_ms, p90_ms: eta.p90_ms, basis: eta.basis }
    }
}

/// Partitions of a job, counted.
#[derive(Serialize, ToSchema)]
struct Partitions {
    /// All; 0 before there is a plan.
    planned: u64,
    /// Those that are in.
    done: u64,
    /// Those of which a part is in.
    degraded: u64,
    /// Those that failed, for now while it runs: whoever goes on with it after an interruption tries them again.
    failed: u64,
    /// Those that are still to come.
    pending: u64,
}

/// Partitions of a job, weighed.
#[derive(Serialize, ToSchema)]
struct Weight {
    /// All.
    planned: u64,
    /// Those that are in.
    settled: u64,
}

impl View {
    pub(super) fn new(job: Job, history: &[PastJob], slots: usize) -> Self {
        let likely = eta(&job, history, slots, unix_ms());
        let Counts { partitions, weight, done, degraded, failed, settled_weight, attempts, failing } = job.counts;
        // Between the two may be a moment in which a partition that failed for now is in.
        let failed = failed.max(failing).min(partitions.saturating_sub(done + degraded));
        let poll = likely.map_or(POLL_MS.0 * 4, |eta| (eta.p50_ms / 10).clamp(POLL_MS.0, POLL_MS.1));
        let ms = |time: Option<UnixMs>| time.map(|time| time.0);
        Self {
            id: job.id.to_string(),
            app: job.app,
            version: job.version,
            state: job.state,
            created_unix_ms: job.created.0,
            started_unix_ms: ms(job.started),
            finished_unix_ms: ms(job.finished),
            expires_unix_ms: ms(job.expires),
            partitions: Partitions {
                planned: partitions,
                done,
                degraded,
                failed,
                pending: partitions.saturating_sub(done + degraded + failed),
            },
            weight: Weight { planned: weight, settled: settled_weight },
            fraction: if weight == 0 { 0.0 } else { share(settled_weight, weight) },
            eta: likely.ok().map(EtaView::from),
            eta_missing: likely.err(),
            poll_after_ms: (!job.state.is_ended()).then_some(poll),
            cancelling: job.cancel.is_some() && !job.state.is_ended(),
            attempts,
            epoch: job.epoch,
            kept_bytes: job.bytes,
            reason: job.reason,
            coverage: job.coverage.filter(|coverage| !coverage.is_null()),
            caller: job.caller,
        }
    }
}
