//! State of one guest's store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use frond_root::call::Limits;
use frond_root::{Attempt, AttemptId, Content, Failure, StopReason, Work};
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;
use wasmtime::WasmBacktrace;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::classify::Stop;
use crate::denied::DeniedCall;
use crate::files::{Files, Node};
use crate::grants::CallGrants;
use crate::http::Http;
use crate::http::retry_after::RetryAfter;
use crate::limits::Meter;
use crate::log::Log;
use crate::profile::Probe;

/// Most resources (streams, pollables, …) that a guest may hold at once.
pub(crate) const MAX_RESOURCES: usize = 1024;
/// Most random bytes per call of a random function.
const MAX_RANDOM: u64 = 1 << 20;
/// Start of a deterministic guest's clocks: 2000-01-01T00:00:00Z.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// Flag that cancels a call without a scatter: a merge, a split, a trial, a program. It is an
/// atomic and no cancellation token: it is read at each epoch check of the guest, and a stop must
/// wake a thread that sleeps in [`park`](crate::park), which no task awaits.
#[derive(Debug, Default)]
pub(crate) struct CancelFlag {
    stopped: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

impl CancelFlag {
    /// Sets the current thread as the one that runs the call.
    pub(crate) fn here(&self) {
        // A flag serves one call, so this runs only once.
        let _ = self.thread.set(std::thread::current());
    }

    fn stopped(&self) -> Option<Stop> {
        self.stopped.load(Ordering::SeqCst).then_some(Stop::Cancelled)
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Returns why an attempt must stop, if it must. The gather may end at the moment when the call's
/// time is up: the reason does not depend on which of the two is noticed first.
fn stop(work: &dyn Work, id: AttemptId, deadline: Instant) -> Option<Stop> {
    work.stop(id).map(|reason| match reason {
        StopReason::Late if Instant::now() >= deadline => Stop::Time,
        StopReason::Late => Stop::Late,
        StopReason::Cancelled | StopReason::Superseded | StopReason::Abandoned => Stop::Cancelled,
    })
}

/// Origin of a call: a leaf's attempt, or a caller with a cancel flag.
#[derive(Debug)]
pub(crate) enum CallOrigin {
    Leaf(Attempt),
    Other(Arc<CancelFlag>),
    /// No call runs.
    Ended,
}

impl CallOrigin {
    /// Returns why the call must stop before its `deadline`, if it must.
    pub(crate) fn stopped(&self, deadline: Instant) -> Option<Stop> {
        match self {
            Self::Leaf(attempt) => stop(&**attempt.work(), attempt.id(), deadline),
            Self::Other(flag) => flag.stopped(),
            Self::Ended => None,
        }
    }

    /// Makes a check like [`CallOrigin::stopped`] for a leaf, which does not borrow the attempt.
    pub(crate) fn stopper_of(attempt: &Attempt, deadline: Instant) -> impl Fn() -> Option<Stop> + use<> {
        let work = attempt.work().clone();
        let id = attempt.id();
        move || stop(&*work, id, deadline)
    }

    /// Makes a check like [`CallOrigin::stopped`], which does not borrow the origin.
    pub(crate) fn stopper(&self, deadline: Instant) -> impl Fn() -> Option<Stop> + use<> {
        let (leaf, flag) = match self {
            Self::Leaf(attempt) => (Some((attempt.work().clone(), attempt.id())), None),
            Self::Other(flag) => (None, Some(flag.clone())),
            Self::Ended => (None, None),
        };
        move || match (&leaf, &flag) {
            (Some((work, id)), _) => stop(&**work, *id, deadline),
            (None, flag) => flag.as_ref().and_then(|flag| flag.stopped()),
        }
    }

    pub(crate) fn content(&self) -> Option<&Arc<dyn Content>> {
        match self {
            Self::Leaf(attempt) => attempt.partition().map(|partition| &partition.content),
            Self::Other(_) | Self::Ended => None,
        }
    }
}

/// Seed of a deterministic call: a digest of its query and partition key.
pub(crate) type Seed = [u8; 32];

/// State of a guest's store: of its instance, and of the current call.
pub(crate) struct Host {
    pub(crate) meter: Meter,
    pub(crate) limits: Limits,
    pub(crate) caller: CallOrigin,
    /// Deadline that the guest sees.
    pub(crate) deadline: Instant,
    /// Instant at which the guest is stopped: at the deadline or earlier.
    pub(crate) until: Instant,
    pub(crate) host_calls: u64,
    /// Backtrace of the guest in the host call in which it was stopped.
    pub(crate) cut_off_at: Option<WasmBacktrace>,
    pub(crate) granted: CallGrants,
    /// Probe that takes samples of the call.
    pub(crate) probe: Option<Arc<Probe>>,
    log: Option<Log>,
    seed: Option<Seed>,
    refusal: Option<DeniedCall>,
    retry_after: Option<RetryAfter>,
    wasi: Option<WasiCtx>,
    http: Option<Box<Http>>,
    files: Option<Files>,
    /// Granted folders with their guest paths, once they are open.
    pub(crate) folders: Option<Vec<(Arc<Node>, String)>>,
    pub(crate) table: ResourceTable,
}

impl Host {
    /// Makes the state of an instance to come, without a call.
    pub(crate) fn new(limits: Limits, granted: CallGrants) -> Self {
        let now = Instant::now();
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            meter: Meter::new(&limits),
            limits,
            caller: CallOrigin::Ended,
            deadline: now,
            until: now,
            host_calls: 0,
            cut_off_at: None,
            granted,
            probe: None,
            log: None,
            seed: None,
            refusal: None,
            retry_after: None,
            wasi: None,
            http: None,
            files: None,
            folders: None,
            table,
        }
    }

    /// Begins a call, which sees nothing of earlier ones but the guest's own memory and resources.
    pub(crate) fn begin(&mut self, caller: CallOrigin, (deadline, until): (Instant, Instant), seed: Option<Seed>) {
        self.caller = caller;
        self.deadline = deadline;
        self.until = until;
        self.host_calls = 0;
        self.cut_off_at = None;
        self.refusal = None;
        self.retry_after = None;
        self.http = None;
        if let Some(log) = &self.log {
            log.clear();
        }
        // Clocks and randomness begin again with the new seed; without one there is nothing to
        // repeat.
        if seed.is_some() {
            self.wasi = None;
        }
        self.seed = seed;
    }

    /// Returns true if the guest holds at most one of `parts` of its memory and of its resources,
    /// and no request of its is open.
    pub(crate) fn has_room(&mut self, parts: u64) -> bool {
        let resources = self.table.iter_mut().count() as u64;
        self.meter.memory() <= self.limits.memory / parts
            && resources <= MAX_RESOURCES as u64 / parts
            && self.http.as_ref().is_none_or(|http| http.is_idle())
    }

    /// Returns the bounds on the guest's open files. Made on first use, as most guests open none.
    pub(crate) fn files(&mut self) -> Files {
        self.files.get_or_insert_default().clone()
    }

    /// Records the denial of `what`, with the remedy.
    pub(crate) fn refuse(&mut self, what: &str, remedy: &str) {
        let remedy = self.granted.remedy(remedy.to_owned());
        self.refusal.get_or_insert_default().record(what, &remedy);
    }

    /// Adds the wait of `retry-after` and the first denial to a failure of the guest.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let failure = match &self.retry_after {
            Some(retry_after) => retry_after.explain(failure),
            None => failure,
        };
        match &self.refusal {
            Some(refusal) => refusal.explain(failure),
            None => failure,
        }
    }

    /// Sets the WASI state of a guest that does not get the usual one.
    pub(crate) fn give(&mut self, wasi: WasiCtx) {
        self.wasi = Some(wasi);
    }

    /// Returns the guest's log, if the guest wrote any.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }
}

impl WasiView for Host {
    /// Returns the WASI state, made on first use: most leaves never use WASI.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { log, limits, seed, granted, wasi, table, .. } = self;
        let ctx = wasi.get_or_insert_with(|| {
            let mut builder = nothing_granted(log.get_or_insert_with(|| Log::new(limits.log)), *seed);
            if let Some(grants) = granted.get() {
                builder.envs(&grants.env);
            }
            builder.build()
        });
        WasiCtxView { ctx, table }
    }
}

impl WasiHttpView for Host {
    /// Returns the HTTP state, made on first use: still fewer leaves use HTTP.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { granted, refusal, retry_after, deadline, http, table, .. } = self;
        let Http { ctx, hooks } = &mut **http.get_or_insert_with(|| {
            let refusal = refusal.get_or_insert_default().clone();
            let retry_after = retry_after.get_or_insert_default().clone();
            Box::new(Http::new(granted.clone(), refusal, retry_after, *deadline))
        });
        WasiHttpCtxView { hooks, table, ctx }
    }
}

/// Makes a WASI context without grants: no arguments, environment, files or network; only log,
/// clocks and randomness.
pub(crate) fn nothing_granted(log: &Log, seed: Option<Seed>) -> WasiCtxBuilder {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(log.output())
        .stderr(log.output())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(MAX_RANDOM);
    if let Some(seed) = seed {
        let mut low = [0; 16];
        low.copy_from_slice(seed.first_chunk::<16>().unwrap_or(&[0; 16]));
        builder
            .secure_random(ChaCha12Rng::from_seed(seed))
            .insecure_random(ChaCha12Rng::from_seed(seed))
            .insecure_random_seed(u128::from_le_bytes(low))
            .wall_clock(StepClock::default())
            .monotonic_clock(StepClock::default());
    }
    builder
}

/// Clock that advances by a microsecond per reading.
#[derive(Debug, Default)]
struct StepClock(AtomicU64);

impl HostWallClock for StepClock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        EPOCH + Duration::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl HostMonotonicClock for StepClock {
    fn resolution(&self) -> u64 {
        1000
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) * 1000
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use frond_root::scatter::Window;
    use frond_root::{Limit, Partition, Plan, Scatter, Scope, Tenant};

    use super::*;

    #[test]
    fn a_leaf_whose_time_is_up_is_told_so_whoever_notices_first() {
        let now = Instant::now();
        let plan = Plan::new(vec![Partition::new("a", Bytes::new())]).unwrap();
        let window = Window {
            slots: 1,
            leaf_deadline: now.into(),
            limit: Limit::time(Scope::Query, Duration::ZERO),
            leaf_time: None,
            unread: u64::MAX,
            heaviest_first: false,
            background: None,
            tenant: Tenant::of_app("test"),
            pieces: None,
            stores: false,
            memo: None,
        };
        let scatter = Scatter::new(Arc::new(plan), Bytes::new(), window);
        let id = AttemptId { partition: 0, number: 1 };
        assert!(stop(&*scatter, id, now).is_none());
        scatter.close_late();
        assert!(matches!(stop(&*scatter, id, now), Some(Stop::Time)));
        let later = now + Duration::from_secs(3600);
        assert!(matches!(stop(&*scatter, id, later), Some(Stop::Late)));
    }
}
