//! What stands behind one guest: the state of its store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use frond_root::{Attempt, Content, Failure, Scatter};
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
use crate::limits::{Limits, Meter};
use crate::log::Log;
use crate::profile::Probe;

/// The most resources (streams, pollables, …) that a guest may hold at once.
pub(crate) const MAX_RESOURCES: usize = 1024;
/// The most random bytes that one call gives.
const MAX_RANDOM: u64 = 1 << 20;
/// What a deterministic guest's clocks start from: 2000-01-01T00:00:00Z.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// Stops a call that no scatter stands behind: a merge, a split.
#[derive(Debug, Default)]
pub(crate) struct CancelFlag {
    stopped: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

impl CancelFlag {
    /// The call now runs on this thread.
    pub(crate) fn here(&self) {
        // A flag serves one call, so this is the first and only time.
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

/// The gather may end in the moment that a call's time is up: whichever is noticed first, the reason is the same.
fn closed(scatter: &Scatter, deadline: Instant) -> Option<Stop> {
    scatter.is_closed().then(|| match scatter.is_late() {
        true if Instant::now() >= deadline => Stop::Time,
        true => Stop::Late,
        false => Stop::Cancelled,
    })
}

/// For whom a guest runs.
#[derive(Debug)]
pub(crate) enum CallOrigin {
    Leaf(Attempt),
    Other(Arc<CancelFlag>),
}

impl CallOrigin {
    /// Why the call must stop before its `deadline`, if it must.
    pub(crate) fn stopped(&self, deadline: Instant) -> Option<Stop> {
        match self {
            Self::Leaf(attempt) => closed(attempt.scatter(), deadline),
            Self::Other(flag) => flag.stopped(),
        }
    }

    /// Asks the same of a leaf's scatter without holding an attempt.
    pub(crate) fn stopper_of(scatter: &Arc<Scatter>, deadline: Instant) -> impl Fn() -> Option<Stop> + use<> {
        let scatter = scatter.clone();
        move || closed(&scatter, deadline)
    }

    /// Asks the same without holding the caller.
    pub(crate) fn stopper(&self, deadline: Instant) -> impl Fn() -> Option<Stop> + use<> {
        let (scatter, flag) = match self {
            Self::Leaf(attempt) => (Some(attempt.scatter().clone()), None),
            Self::Other(flag) => (None, Some(flag.clone())),
        };
        move || match (&scatter, &flag) {
            (Some(scatter), _) => closed(scatter, deadline),
            (None, flag) => flag.as_ref().and_then(|flag| flag.stopped()),
        }
    }

    pub(crate) fn content(&self) -> Option<&Arc<dyn Content>> {
        match self {
            Self::Leaf(attempt) => attempt.partition().map(|partition| &partition.content),
            Self::Other(_) => None,
        }
    }
}

/// The seed of a deterministic call: a digest of its query and partition.
pub(crate) type Seed = [u8; 32];

/// The state of one call's store.
pub(crate) struct Host {
    pub(crate) meter: Meter,
    pub(crate) limits: Limits,
    pub(crate) caller: CallOrigin,
    /// As the guest is told.
    pub(crate) deadline: Instant,
    /// When it is stopped: no later.
    pub(crate) until: Instant,
    pub(crate) host_calls: u64,
    /// The guest's frames in the host call in which it was cut off.
    pub(crate) cut_off_at: Option<WasmBacktrace>,
    pub(crate) granted: CallGrants,
    /// What takes samples of the call.
    pub(crate) probe: Option<Arc<Probe>>,
    log: Option<Log>,
    seed: Option<Seed>,
    refusal: Option<DeniedCall>,
    retry_after: Option<RetryAfter>,
    wasi: Option<WasiCtx>,
    http: Option<Box<Http>>,
    files: Option<Files>,
    /// Granted folders, once they are open, each with the guest's name for it.
    pub(crate) folders: Option<Vec<(Arc<Node>, String)>>,
    pub(crate) table: ResourceTable,
}

impl Host {
    pub(crate) fn new(
        limits: Limits,
        caller: CallOrigin,
        deadline: Instant,
        seed: Option<Seed>,
        granted: CallGrants,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            meter: Meter::new(&limits),
            limits,
            caller,
            deadline,
            until: deadline,
            host_calls: 0,
            cut_off_at: None,
            granted,
            probe: None,
            log: None,
            seed,
            refusal: None,
            retry_after: None,
            wasi: None,
            http: None,
            files: None,
            folders: None,
            table,
        }
    }

    /// Bounds on the files that the guest holds. Most guests hold none.
    pub(crate) fn files(&mut self) -> Files {
        self.files.get_or_insert_default().clone()
    }

    /// Notes that the guest was refused `what`, and the remedy.
    pub(crate) fn refuse(&mut self, what: &str, remedy: &str) {
        let remedy = self.granted.remedy(remedy.to_owned());
        self.refusal.get_or_insert_default().record(what, &remedy);
    }

    /// How a call that failed by itself has failed in truth.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let failure = match &self.retry_after {
            Some(heard) => heard.explain(failure),
            None => failure,
        };
        match &self.refusal {
            Some(refusal) => refusal.explain(failure),
            None => failure,
        }
    }

    /// WASI's state for a guest that gets another than the others.
    pub(crate) fn give(&mut self, wasi: WasiCtx) {
        self.wasi = Some(wasi);
    }

    /// What the guest wrote, if it wrote.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }
}

impl WasiView for Host {
    /// Most leaves never ask for WASI: its state is only made for those that do.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { log, limits, seed, granted, wasi, table, .. } = self;
        let ctx = wasi.get_or_insert_with(|| {
            let mut builder = nothing_granted(log.insert(Log::new(limits.log)), *seed);
            if let Some(grants) = granted.get() {
                builder.envs(&grants.env);
            }
            builder.build()
        });
        WasiCtxView { ctx, table }
    }
}

impl WasiHttpView for Host {
    /// And still fewer ask for HTTP.
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

/// WASI with nothing granted: no arguments, environment, files or network; only the log, clocks and randomness.
pub(crate) fn nothing_granted(log: &Log, seed: Option<Seed>) -> WasiCtxBuilder {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(log.clone())
        .stderr(log.clone())
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

/// A clock that is a microsecond later at each look.
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
    use frond_root::{Limit, Partition, Plan, Scope};

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
            tenant: Arc::from("test"),
        };
        let scatter = Scatter::new(Arc::new(plan), Bytes::new(), window);
        assert!(closed(&scatter, now).is_none());
        scatter.close_late();
        assert!(matches!(closed(&scatter, now), Some(Stop::Time)));
        let later = now + Duration::from_secs(3600);
        assert!(matches!(closed(&scatter, later), Some(Stop::Late)));
    }
}
