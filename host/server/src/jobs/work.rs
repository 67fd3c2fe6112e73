//! Adapter from the server's apps to the interface of jobs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use frond_deploy::{Pack, RecallError, Registry, Version};
use frond_jobs::store::Artifact;
use frond_jobs::{AppProvider, AppVersion, NoVersion};
use frond_root::{Content, Error, Events, Failure, Notes, Plan, Request, Services};
use frond_run::Question;

use super::telemetry::Telemetry;
use crate::reply::chain;

/// The served apps, and the telemetry of their jobs.
pub(super) struct Apps(pub(super) Arc<Registry>, pub(super) Telemetry);

impl Apps {
    fn served(&self, version: Arc<Version>) -> Arc<dyn AppVersion> {
        Arc::new(ServedVersion { version, apps: self.0.clone(), telemetry: self.1.clone() })
    }

    fn found(&self, found: Result<Arc<Version>, RecallError>) -> Result<Arc<dyn AppVersion>, NoVersion> {
        match found {
            Ok(version) => Ok(self.served(version)),
            Err(RecallError::NoApp) => Err(NoVersion::NoApp),
            Err(error) => Err(NoVersion::Lost(chain(&error))),
        }
    }
}

#[async_trait]
impl AppProvider for Apps {
    fn apps(&self) -> Vec<String> {
        let names = self.0.apps().into_iter().map(|app| app.name);
        names.filter(|name| self.0.current(name).is_some()).collect()
    }

    fn app(&self, name: &str) -> Option<Arc<dyn AppVersion>> {
        self.0.current(name).map(|version| self.served(version))
    }

    async fn version(&self, name: &str, version: &str) -> Result<Arc<dyn AppVersion>, NoVersion> {
        self.found(self.0.version(name, version).await)
    }

    fn versions(&self) -> Vec<String> {
        self.0.versions()
    }

    async fn restore(&self, name: &str, version: &str, kept: Artifact) -> Result<Arc<dyn AppVersion>, NoVersion> {
        let Artifact { about, blobs } = kept;
        self.found(self.0.unpack(name, version, Pack { about, blobs }).await)
    }
}

/// A version that runs jobs.
pub(super) struct ServedVersion {
    pub(super) version: Arc<Version>,
    pub(super) apps: Arc<Registry>,
    pub(super) telemetry: Telemetry,
}

#[async_trait]
impl AppVersion for ServedVersion {
    fn version(&self) -> String {
        self.version.id()
    }

    async fn artifact(&self) -> Option<Artifact> {
        match self.apps.pack(self.version.clone()).await {
            Ok(Pack { about, blobs }) => Some(Artifact { about, blobs }),
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

    fn services(&self, request: &Request, events: Events) -> Services {
        self.version.wired.services(request, self.telemetry.of(&self.version.wired.app.name, events))
    }
}
