//! Helpers of all tests: real guests, a sandbox to run them in, and short ways to run queries.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is, and no test needs all of them"
)]

pub(crate) mod server;
pub(crate) mod wat;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::call::{InstanceMode, Limits};
use frond_root::runner::{Covered, MergeFuture};
use frond_root::{
    Answer, CancellationToken, EventKind, Events, Failure, Floor, LeafRunner, Merger, Partition, PieceSizes, Plan,
    Request, Services, Usage, Work, flow,
};
use frond_sandbox::{
    Compiler, GuestGrants, Guests, Leaf, LeafHost, MergeHost, Metering, Plugin, Role, Sandbox, Settings, SlotSettings,
    Slots, WaitLimits,
};
use frond_testkit::Record;
use tokio::runtime::Runtime;

/// Timeout that means a hang: no test takes a tenth of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Fuel that no test uses up.
pub(crate) const ENDLESS: u64 = u64::MAX / 2;

/// Reads a guest that `make plugins` built.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = format!("{}/../../target/plugins/wasm32-wasip2/guest/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    fs::read(path).unwrap_or_else(|error| panic!("the guest `{name}` is missing, run `make plugins`: {error}"))
}

/// Returns the folder of compiled components, shared by all tests.
pub(crate) fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("components")
}

/// Makes a duration of milliseconds.
pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Sandbox and slots, as one process has them.
pub(crate) struct Host {
    pub(crate) sandbox: Sandbox,
    pub(crate) slots: Slots,
    pub(crate) runtime: Runtime,
}

impl Host {
    /// Makes a host with `count` slots, and pools for `limits` and the default limits.
    pub(crate) fn new(count: usize, limits: Limits) -> Self {
        Self::with(Settings {
            slots: count,
            waiting: 0,
            limits: vec![limits, Limits::default()],
            cache: Some(cache()),
            compiler: Compiler::in_process(),
        })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::waiting(settings, WaitLimits::default())
    }

    /// Makes a host with these bounds on waiting leaves.
    pub(crate) fn waiting(settings: Settings, waiting: WaitLimits) -> Self {
        let runtime = runtime();
        let slots = SlotSettings { count: settings.slots, waiting, ..SlotSettings::default() };
        let sandbox = Sandbox::new(settings).unwrap();
        let slots = Slots::start_with(slots, sandbox.clock(), runtime.handle()).unwrap();
        Self { sandbox, slots, runtime }
    }

    pub(crate) fn plugin(&self, wasm: &[u8], roles: &[Role], metered: bool) -> Arc<Plugin> {
        let metering = if metered { Metering::Fuel } else { Metering::Clock };
        Arc::new(Plugin::load(&self.sandbox, wasm, roles, metering).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Makes a leaf under `limits`, whose partials are joined line by line.
    pub(crate) fn leaf(&self, wasm: &[u8], limits: Limits) -> App {
        let plugin = self.plugin(wasm, &[Role::Leaf], limits.fuel > 0);
        App {
            leaves: LeafHost::new(
                self.slots.clone(),
                Leaf { plugin, limits, deterministic: false, grants: Arc::default(), instance: InstanceMode::Fresh },
            ),
            merger: Arc::new(Lines),
            limits,
        }
    }

    /// Makes an app of the faulty guest with `grants`.
    pub(crate) fn granted(&self, grants: impl Into<GuestGrants>) -> App {
        let app = self.faulty(Limits::default(), Limits::default());
        let plugin = self.plugin(&guest("faulty"), &[Role::Leaf], true);
        let leaf = Leaf {
            plugin,
            limits: Limits::default(),
            deterministic: false,
            grants: Arc::new(grants.into()),
            instance: InstanceMode::Fresh,
        };
        App { leaves: LeafHost::new(self.slots.clone(), leaf), ..app }
    }

    /// Makes an app of the faulty guest, as leaf under `limits` and as merge under `merge`.
    pub(crate) fn faulty(&self, limits: Limits, merge: Limits) -> App {
        let wasm = guest("faulty");
        let merges = self.plugin(&wasm, &[Role::Merge], merge.fuel > 0);
        App {
            merger: Arc::new(MergeHost(Guests::new(self.sandbox.clock(), merges, merge))),
            ..self.leaf(&wasm, limits)
        }
    }
}

/// App that queries can run on.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) leaves: LeafHost,
    pub(crate) merger: Arc<dyn Merger>,
    pub(crate) limits: Limits,
}

impl App {
    /// Makes a request that accepts any coverage, with more time than any machine needs.
    pub(crate) fn request(&self, query: &str) -> Request {
        Request {
            deadline: PATIENCE,
            floor: Floor::BestEffort,
            leaf_output: self.limits.output,
            partials_memory: 1 << 30,
            ..Request::new("test", query.to_owned())
        }
    }

    /// Runs a query.
    pub(crate) async fn ask(&self, request: Request, plan: Plan) -> QueryResult {
        let record = Record::default();
        let seen = ObservedRunner::of(self);
        let root = Services { events: Events::new(vec![Arc::new(record.clone())]), ..self.root(&seen) };
        let answer = flow::run(request, async { Ok(plan) }, root, CancellationToken::new()).await.unwrap();
        QueryResult { answer, record, seen }
    }

    /// Makes the services of a query, without listeners.
    pub(crate) fn root(&self, seen: &Arc<ObservedRunner>) -> Services {
        Services {
            runner: seen.clone(),
            merger: self.merger.clone(),
            events: Events::default(),
            journal: None,
            memory: None,
        }
    }

    /// Runs a query of one leaf.
    pub(crate) fn call(&self, host: &Host, query: &str, partition: Partition) -> QueryResult {
        let plan = Plan::new(vec![partition]).unwrap();
        host.runtime.block_on(self.ask(self.request(query), plan))
    }

    /// Runs a query of one leaf that obeys `command`, within `time`.
    pub(crate) fn obey(&self, host: &Host, command: &str, time: Duration) -> QueryResult {
        let request = Request { leaf_time: Some(time), ..self.request(&format!(r#"{{"fault": "{command}"}}"#)) };
        let plan = Plan::new(vec![Partition::new("a", Bytes::new())]).unwrap();
        host.runtime.block_on(self.ask(request, plan))
    }
}

/// Leaf runner that exposes the work of its query.
pub(crate) struct ObservedRunner {
    leaves: LeafHost,
    work: Mutex<Option<Arc<dyn Work>>>,
}

impl ObservedRunner {
    pub(crate) fn of(app: &App) -> Arc<Self> {
        Arc::new(Self { leaves: app.leaves.clone(), work: Mutex::default() })
    }

    /// Returns the number of the query's leaves that run now.
    pub(crate) fn running(&self) -> usize {
        self.work.lock().unwrap().as_ref().map_or(0, |work| work.running())
    }

    /// Releases the query.
    pub(crate) fn take(&self) -> Option<Arc<dyn Work>> {
        self.work.lock().unwrap().take()
    }
}

impl LeafRunner for ObservedRunner {
    fn attach(&self, work: Arc<dyn Work>) {
        *self.work.lock().unwrap() = Some(work.clone());
        self.leaves.attach(work);
    }

    fn nudge(&self) {
        self.leaves.nudge();
    }

    fn slots(&self) -> usize {
        self.leaves.slots()
    }

    fn pieces(&self) -> Option<PieceSizes> {
        self.leaves.pieces()
    }
}

/// Result of a query.
pub(crate) struct QueryResult {
    pub(crate) answer: Answer,
    pub(crate) record: Record,
    pub(crate) seen: Arc<ObservedRunner>,
}

impl QueryResult {
    /// Returns how the first leaf to end has ended.
    pub(crate) fn first(&self) -> (Option<Failure>, Usage) {
        let ended = self.record.all(|event| match &event.kind {
            EventKind::AttemptEnded { failure, usage, .. } => Some((failure.clone(), *usage)),
            _ => None,
        });
        ended.into_iter().next().expect("a leaf that ended")
    }

    pub(crate) fn usage(&self) -> Usage {
        self.first().1
    }

    pub(crate) fn failure(&self) -> Failure {
        self.first().0.expect("a leaf that failed")
    }

    /// Returns the slug of the first leaf to end; `ok` for a success.
    pub(crate) fn slug(&self) -> &'static str {
        self.first().0.map_or("ok", |failure| failure.kind.slug())
    }

    pub(crate) fn body(&self) -> &Bytes {
        self.answer.body().unwrap_or_else(|| panic!("an answer: {:?}", self.answer))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body()).unwrap()
    }

    /// Returns the report of the only leaf, `a`.
    pub(crate) fn report(&self) -> serde_json::Value {
        assert_eq!(self.slug(), "ok", "{:?}", self.first().0);
        self.json()["reports"]["a"].clone()
    }

    /// Returns true if a leaf began, unless none was planned, and the answer left before its
    /// deadline.
    pub(crate) fn is_in_time(&self) -> bool {
        let timings = self.answer.coverage().timings;
        let tally = self.answer.coverage().partitions;
        (tally.planned == 0 || tally.not_started < tally.planned) && timings.total < timings.deadline
    }
}

/// Makes a plan of empty partitions.
pub(crate) fn plan<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Plan {
    let one = |key: K| Partition::new(key.into().as_str(), Bytes::new());
    Plan::new(keys.into_iter().map(one).collect()).unwrap()
}

/// Merge outside of any sandbox, which joins partials as lines.
#[derive(Debug)]
pub(crate) struct Lines;

impl Merger for Lines {
    fn merge(&self, _: Bytes, partials: Vec<Bytes>, _: tokio::time::Instant) -> MergeFuture {
        Box::pin(async move { Ok((partials.join(&b'\n').into(), Usage::default())) })
    }

    fn finish(&self, _: Bytes, merged: Option<Bytes>, _: Covered, _: tokio::time::Instant) -> MergeFuture {
        Box::pin(async move { Ok((merged.unwrap_or_default(), Usage::default())) })
    }
}

/// Runs `ask` until an answer leaves before its deadline, and checks that no leaf runs on after it.
/// A busy machine may be late now and then, but not each time.
pub(crate) fn in_time(ask: impl Fn() -> QueryResult) -> QueryResult {
    for _ in 0..20 {
        let asked = ask();
        wait_until("no leaf runs", || asked.seen.running() == 0);
        if asked.is_in_time() {
            return asked;
        }
    }
    panic!("late each time")
}

/// Polls until `holds`; panics on a hang.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "still waiting until {what}");
        std::thread::yield_now();
    }
}

/// Keeps other tests of the same file from running at the same time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a line of `/proc/self/status`, in kilobytes.
pub(crate) fn status_kb(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
