//! Apps as jobs use them: the provider that `frond_jobs` asks for versions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use frond_jobs::store::Artifact;
use frond_jobs::{AppProvider, AppVersion, JobId, KeptElsewhere, NoVersion, Wakeup};
use frond_root::quote;
use frond_root::{Content, Error, Events, Failure, Notes, Plan, Request, Services};
use frond_run::Question;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::{RecallError, chain};
use crate::registry::Registry;
use crate::version::Version;
use crate::view::AppView;

/// Time within which workers tell what they have kept of a job.
const RECALL: Duration = Duration::from_secs(2);
/// The most bytes of the reason why a version is lost; a job's detail has room for the remedy
/// behind it.
const MAX_LOST: usize = 3 << 10;

/// Adds the caller's listeners to the events of a job of the named app.
pub type Listening = Arc<dyn Fn(&str, Events) -> Events + Send + Sync>;

/// The apps of a registry, as a provider of jobs.
#[derive(Clone)]
pub struct JobApps {
    registry: Arc<Registry>,
    listening: Listening,
}

impl JobApps {
    /// Creates a provider; `listening` adds listeners to the events of each job.
    #[must_use]
    pub fn new(registry: Arc<Registry>, listening: Listening) -> Self {
        Self { registry, listening }
    }

    fn served(&self, version: Arc<Version>) -> Arc<dyn AppVersion> {
        Arc::new(ServedVersion { version, apps: self.clone() })
    }

    fn found(&self, found: Result<Arc<Version>, RecallError>) -> Result<Arc<dyn AppVersion>, NoVersion> {
        match found {
            Ok(version) => Ok(self.served(version)),
            Err(RecallError::NoApp) => Err(NoVersion::NoApp),
            Err(error) => Err(NoVersion::Lost(quote::chain(&error, MAX_LOST))),
        }
    }
}

/// Wakes a processor when an app changes, since jobs may have waited for it. Ends with the
/// registry of the apps.
pub async fn announce(mut changes: broadcast::Receiver<AppView>, wakeup: Wakeup) {
    while !matches!(changes.recv().await, Err(RecvError::Closed)) {
        wakeup.notify();
    }
}

#[async_trait]
impl AppProvider for JobApps {
    fn apps(&self) -> Vec<String> {
        let names = self.registry.apps().into_iter().map(|app| app.name);
        names.filter(|name| self.registry.current(name).is_some()).collect()
    }

    fn app(&self, name: &str) -> Option<Arc<dyn AppVersion>> {
        self.registry.current(name).map(|version| self.served(version))
    }

    async fn version(&self, name: &str, version: &str) -> Result<Arc<dyn AppVersion>, NoVersion> {
        self.found(self.registry.version(name, version).await)
    }

    fn versions(&self) -> Vec<String> {
        self.registry.versions()
    }

    async fn restore(&self, name: &str, version: &str, kept: Artifact) -> Result<Arc<dyn AppVersion>, NoVersion> {
        self.found(self.registry.unpack(name, version, kept).await)
    }
}

/// A version that runs jobs.
struct ServedVersion {
    version: Arc<Version>,
    apps: JobApps,
}

#[async_trait]
impl AppVersion for ServedVersion {
    fn version(&self) -> String {
        self.version.id()
    }

    async fn artifact(&self) -> Option<Artifact> {
        match self.apps.registry.pack(self.version.clone()).await {
            Ok(artifact) => Some(artifact),
            Err(error) => {
                tracing::warn!(app = self.version.wired.app.name, "a version cannot be packed: {}", chain(&error));
                None
            }
        }
    }

    fn content_type(&self) -> String {
        self.version.wired.app.content_type.clone()
    }

    fn request(&self, query: &Bytes) -> Request {
        let wired = &self.version.wired;
        let retry = wired.app.retry.job();
        let leaf_time = Some(wired.app.job_leaf_time());
        Request { retry, leaf_time, ..wired.request(query) }
    }

    async fn plan(&self, request: &Request) -> Result<Plan, Error> {
        frond_run::plan(&self.version.wired, Question::new(request.clone())).await
    }

    fn content(&self, place: &str, notes: &Arc<Notes>) -> Result<Arc<dyn Content>, Failure> {
        frond_app::source::reopen(place, &self.version.wired.app.dir, notes)
    }

    fn memo_key(&self, job: JobId) -> Option<Bytes> {
        self.apps.registry.crew()?.memo_key(&job.to_string())
    }

    async fn kept(&self, key: Bytes, plan: &Plan) -> KeptElsewhere {
        let Some(crew) = self.apps.registry.crew() else { return KeptElsewhere::default() };
        crew.settle().await;
        let workers = crew.workers().clone();
        let held = workers.recall(key, RECALL).await;
        let largest = self.version.wired.app.limits.leaf.output;
        let fitting = held.partials.iter().filter(|one| one.fits(plan, largest));
        let partials = fitting.map(|one| (one.epoch, one.kept.clone())).collect();
        KeptElsewhere { partials, forget: Some(Box::new(move || workers.forget(&held))) }
    }

    fn services(&self, request: &Request, events: Events) -> Services {
        self.version.wired.services(request, (self.apps.listening)(&self.version.wired.app.name, events))
    }
}
