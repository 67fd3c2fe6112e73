//! Jobs as clients see them.

use frond_jobs::clock::unix_ms;
use frond_jobs::eta::{Eta, eta};
use frond_jobs::store::{Counts, Job, PastJob};
use frond_jobs::{JobState, UnixMs};
use frond_root::answer::share;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Bounds of the recommended poll interval.
const POLL_MS: (u64, u64) = (250, 10_000);

/// A job.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct View {
    /// The job's id.
    pub(super) id: String,
    /// The app's name.
    app: String,
    /// Digest of the settings and components that answer the job.
    ///
    /// Once the job is planned, it is the version that planned it; before that, the version to
    /// which it was submitted.
    version: String,
    /// `queued`, `planning`, `running`, `merging`; `succeeded`, `partial`, `failed` or `cancelled`;
    /// `expired`.
    #[schema(value_type = String)]
    pub(super) state: JobState,
    /// Time of submission, in Unix milliseconds.
    created_unix_ms: u64,
    /// Time when a server first took the job, in Unix milliseconds.
    started_unix_ms: Option<u64>,
    /// Time of the end, in Unix milliseconds.
    finished_unix_ms: Option<u64>,
    /// Time when the answer expires, in Unix milliseconds.
    expires_unix_ms: Option<u64>,
    /// Counts of the partitions.
    partitions: Partitions,
    /// Weight of the partitions.
    weight: Weight,
    /// The share of the weight that is done or degraded, from 0 to 1.
    fraction: f64,
    /// Estimate of the time until the end.
    eta: Option<EtaView>,
    /// Why there is no estimate.
    eta_missing: Option<&'static str>,
    /// Recommended time until the next poll, in milliseconds; null once the job has ended.
    poll_after_ms: Option<u64>,
    /// Whether cancellation was requested.
    cancelling: bool,
    /// Attempts of leaves so far, possibly without those of a server that was lost.
    attempts: u64,
    /// How often a server took the job; more than once after an interruption.
    epoch: u64,
    /// Bytes stored for the job: query, required keys, plan, partials and answer.
    kept_bytes: u64,
    /// Why the job ended in this state. A list leaves out a reason of more than 1 KiB.
    #[schema(value_type = Option<Object>)]
    reason: Option<Value>,
    /// The account of the answer, once the job has ended. A list leaves it out.
    #[schema(value_type = Option<crate::openapi::Coverage>)]
    pub(super) coverage: Option<Value>,
    /// The name of the token that submitted the job.
    caller: Option<String>,
}

/// Estimate of the time until a job ends.
#[derive(Serialize, ToSchema)]
struct EtaView {
    /// Median, in milliseconds from now.
    p50_ms: u64,
    /// 90th percentile, in milliseconds from now.
    p90_ms: u64,
    /// Basis of the estimate: `history` or `progress`.
    #[schema(value_type = String)]
    basis: frond_jobs::eta::Basis,
}

impl From<Eta> for EtaView {
    fn from(eta: Eta) -> Self {
        Self { p50_ms: eta.p50_ms, p90_ms: eta.p90_ms, basis: eta.basis }
    }
}

/// Counts of a job's partitions.
#[derive(Serialize, ToSchema)]
struct Partitions {
    /// All partitions; 0 before the job is planned.
    planned: u64,
    /// Partitions with a complete partial.
    done: u64,
    /// Partitions with a partial that was cut off.
    degraded: u64,
    /// Failed partitions. While the job runs this may change: a server that resumes it tries them
    /// again.
    failed: u64,
    /// Partitions without an outcome.
    pending: u64,
}

/// Weight of a job's partitions.
#[derive(Serialize, ToSchema)]
struct Weight {
    /// All partitions.
    planned: u64,
    /// Partitions that are done or degraded.
    settled: u64,
}

impl View {
    pub(super) fn new(job: Job, history: &[PastJob], slots: usize) -> Self {
        let likely = eta(&job, history, slots, unix_ms());
        let Counts { partitions, weight, done, degraded, failed, settled_weight, attempts, failing } = job.counts;
        // For a moment, a partition that was failing may be counted as settled as well.
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
