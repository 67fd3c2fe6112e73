//! The server's apps behind the seam of jobs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use frond_jobs::{NoVersion, Worker, Workshop};
use frond_root::{Content, Error, Events, Failure, Notes, Plan, Request, Root};
use frond_run::Question;

use super::telemetry::Telemetry;
use crate::apps::{RecallError, Registry, Version};
use crate::reply::chain;

/// All that are served, and where what they do for jobs is counted.
pub(super) struct Apps(pub(super) Arc<Registry>, pub(super) Telemetry);

#[async_trait]
impl Workshop for Apps {
    fn apps(&self) -> Vec<String> {
        let names = self.0.apps().into_iter().map(|app| app.name);
        names.filter(|name| self.0.current(name).is_some()).collect()
    }

    fn app(&self, name: &str) -> Option<Arc<dyn Worker>> {
        self.0.current(name).map(|version| Arc::new(Serving(version, self.1.clone())) as Arc<dyn Worker>)
    }

    async fn version(&self, name: &str, version: &str) -> Result<Arc<dyn Worker>, NoVersion> {
        match self.0.version(name, version).await {
            Ok(version) => Ok(Arc::new(Serving(version, self.1.clone()))),
            Err(RecallError::NoApp) => Err(NoVersion::NoApp),
            Err(error) => Err(NoVersion::Lost(chain(&error))),
        }
    }
}

/// A version, to work with.
pub(super) struct Serving(pub(super) Arc<Version>, pub(super) Telemetry);

#[async_trait]
impl Worker for Serving {
    fn version(&self) -> String {
        self.0.id()
    }

    fn content_type(&self) -> String {
        self.0.wired.app.content_type.clone()
    }

    fn request(&self, query: &Bytes) -> Request {
        frond_run::request(&self.0.wired.app, query, self.0.wired.slots)
    }

    async fn plan(&self, request: &Request) -> Result<Plan, Error> {
        frond_run::plan(&self.0.wired, Question::new(request.clone())).await
    }

    fn content(&self, place: &str, notes: &Arc<Notes>) -> Result<Arc<dyn Content>, Failure> {
        frond_app::source::reopen(place, &self.0.wired.app.dir, notes)
    }

    fn root(&self, events: Events) -> Root {
        self.0.wired.root(self.1.of(&self.0.wired.app.name, events))
    }
}
