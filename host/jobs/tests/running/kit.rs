//! A processor, its apps and its store, in the test's own process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use frond_jobs::clock::SetClock;
use frond_jobs::processor::{Processor, Settings, Wakeup};
use frond_jobs::sqlite::{Options, SqliteStore};
use frond_jobs::store::{Bounds, Hook, HookedStore, Job, NewJob};
use frond_jobs::{AppProvider, AppVersion, JobId, JobStore, KeptElsewhere, NoVersion, Quotas, Tally};
use frond_root::journal::KeptPartial;
use frond_root::{
    CancellationToken, Content, DropGuard, Error, Events, Failure, Floor, Notes, Plan, QueryId, Request, Services,
};
use frond_testkit::{Merges, Script, Stage, plan, request};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Quota of each caller, in bytes.
pub(crate) const QUOTA: u64 = 100_000;
/// Longer than any wait in these tests: a test that waits longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never was this so: {what}");
}

/// An app that follows the script of a stage.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) stage: Arc<Stage>,
    pub(crate) partitions: usize,
    pub(crate) request: Request,
    /// True if planning never ends.
    pub(crate) hangs: bool,
    /// Partials of earlier owners' leaves, until they are stored.
    pub(crate) kept: Arc<Mutex<Vec<(u64, KeptPartial)>>>,
}

impl App {
    pub(crate) fn new(script: Script, merges: Merges, partitions: usize) -> Self {
        let stage = Arc::new(Stage::with(script, merges));
        Self { stage, partitions, request: request(), hangs: false, kept: Arc::default() }
    }
}

#[async_trait]
impl AppVersion for App {
    fn version(&self) -> String {
        "v1".to_owned()
    }

    fn content_type(&self) -> String {
        "text/plain".to_owned()
    }

    fn request(&self, query: &Bytes) -> Request {
        Request { query: query.clone(), ..self.request.clone() }
    }

    async fn plan(&self, _request: &Request) -> Result<Plan, Error> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Ok(plan(self.partitions))
    }

    fn content(&self, place: &str, _notes: &Arc<Notes>) -> Result<Arc<dyn Content>, Failure> {
        panic!("nothing is elsewhere: {place}")
    }

    fn memo_key(&self, job: JobId) -> Option<Bytes> {
        Some(job.to_string().into())
    }

    async fn kept(&self, _key: Bytes, _plan: &Plan) -> KeptElsewhere {
        let kept = self.kept.clone();
        let partials = kept.lock().unwrap().clone();
        KeptElsewhere { partials, forget: Some(Box::new(move || kept.lock().unwrap().clear())) }
    }

    fn services(&self, _request: &Request, events: Events) -> Services {
        Services { events, ..self.stage.root() }
    }
}

/// The apps of a process: a single one.
pub(crate) struct Apps(pub(crate) Arc<dyn AppVersion>);

#[async_trait]
impl AppProvider for Apps {
    fn apps(&self) -> Vec<String> {
        vec!["app".to_owned()]
    }

    fn app(&self, _name: &str) -> Option<Arc<dyn AppVersion>> {
        Some(self.0.clone())
    }

    async fn version(&self, _name: &str, _version: &str) -> Result<Arc<dyn AppVersion>, NoVersion> {
        Ok(self.0.clone())
    }
}

/// A store in a temporary folder.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn JobStore>,
    own: Arc<SqliteStore>,
    _folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    /// A store with a manually set clock.
    pub(crate) fn by(clock: SetClock) -> Self {
        Self::with(Options { clock: Some(clock), ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let folder = TempDir::new().unwrap();
        let own = Arc::new(SqliteStore::open(&folder.path().join("jobs"), options).unwrap());
        Self { store: own.clone(), own, _folder: folder }
    }

    /// Wraps the store in one with a hook before each call.
    pub(crate) fn hooked(&self, hook: Hook) -> Arc<dyn JobStore> {
        Arc::new(HookedStore::new(self.store.clone(), hook))
    }

    /// Lets all leases lapse, like a server that starts.
    pub(crate) async fn lapse(&self) {
        self.own.lapse().await.unwrap();
    }

    /// Waits until the job satisfies the condition, and returns it.
    pub(crate) async fn until(&self, id: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        let waiting = async {
            loop {
                let job = self.store.get(id).await.unwrap();
                if is_so(&job) {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the job goes on")
    }

    pub(crate) async fn submit(&self) -> JobId {
        self.store.submit(job()).await.unwrap().job.id
    }

    /// Waits until the job has ended, and returns it.
    pub(crate) async fn ended(&self, id: JobId) -> Job {
        self.until(id, |job| job.state.is_ended()).await
    }
}

pub(crate) fn job() -> NewJob {
    NewJob {
        id: QueryId::new().into(),
        app: "app".to_owned(),
        version: "v1".to_owned(),
        query: Bytes::from_static(b"query"),
        floor: Floor::BestEffort,
        required: Vec::new(),
        run_timeout_ms: 3_600_000,
        retention_ms: 3_600_000,
        weight: 1,
        caller: None,
        idempotency: None,
        bounds: Bounds::default(),
    }
}

/// A running processor. By default, leases are so long that only a wakeup leads to a renewal.
pub(crate) struct Running {
    pub(crate) wakeup: Wakeup,
    /// Counts the jobs that the processor loses.
    pub(crate) tally: Arc<Tally>,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(store: Arc<dyn JobStore>, app: Arc<dyn AppVersion>) -> Self {
        Self::with(store, app, Duration::from_secs(36_000))
    }

    /// Starts a processor with leases of this length.
    pub(crate) fn with(store: Arc<dyn JobStore>, app: Arc<dyn AppVersion>, lease: Duration) -> Self {
        Self::by(store, Arc::new(Apps(app)), Settings { lease, ..Settings::default() })
    }

    /// Starts a processor with these settings.
    pub(crate) fn by(store: Arc<dyn JobStore>, provider: Arc<dyn AppProvider>, settings: Settings) -> Self {
        let wakeup = Wakeup::default();
        let tally = Arc::new(Tally::default());
        let quotas = Quotas::default();
        quotas.set(Some(QUOTA), BTreeMap::new());
        let processor = Processor { store, provider, settings, wakeup: wakeup.clone(), tally: tally.clone(), quotas };
        let stop = CancellationToken::new();
        Self { wakeup, tally, task: tokio::spawn(processor.run(stop.clone())), stop: stop.drop_guard() }
    }

    /// Ends like a killed process: no job is released.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Releases the jobs, and stops.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the processor stops").unwrap();
    }
}

/// Holds up the calls of one method until the gate is opened.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<watch::Sender<bool>>,
    open: Arc<watch::Sender<bool>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { entered: Arc::new(watch::Sender::new(false)), open: Arc::new(watch::Sender::new(false)) }
    }

    pub(crate) fn hook(&self, name: &'static str) -> Hook {
        let gate = self.clone();
        Box::new(move |call| {
            let gate = gate.clone();
            Box::pin(async move {
                if call == name {
                    gate.entered.send_replace(true);
                    let _ = gate.open.subscribe().wait_for(|open| *open).await;
                }
                Ok(())
            })
        })
    }

    /// True once a call was held up.
    pub(crate) fn has_held(&self) -> bool {
        *self.entered.borrow()
    }

    /// Waits until a call is held up.
    pub(crate) async fn entered(&self) {
        let mut entered = self.entered.subscribe();
        tokio::time::timeout(PATIENCE, entered.wait_for(|entered| *entered)).await.expect("it is called").unwrap();
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}
