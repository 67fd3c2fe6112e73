//! The seam behind which apps are: what a processor needs of one to run its jobs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use frond_root::{Content, Error, Events, Failure, Notes, Plan, Request, Services};

use crate::store::Artifact;

/// The apps of this process.
#[async_trait]
pub trait AppProvider: Send + Sync {
    /// The names of those that can run jobs now.
    fn apps(&self) -> Vec<String>;

    /// One of them, as it is now.
    fn app(&self, name: &str) -> Option<Arc<dyn AppVersion>>;

    /// The version of one of them that [`AppVersion::version`] named so: what work began with, and goes on with.
    ///
    /// # Errors
    /// See [`NoVersion`].
    async fn version(&self, name: &str, version: &str) -> Result<Arc<dyn AppVersion>, NoVersion>;

    /// The versions that [`AppProvider::version`] has, of all apps.
    fn versions(&self) -> Vec<String> {
        Vec::new()
    }

    /// A version of one of them that another server has kept in the store.
    ///
    /// # Errors
    /// See [`NoVersion`].
    async fn restore(&self, _name: &str, version: &str, _kept: Artifact) -> Result<Arc<dyn AppVersion>, NoVersion> {
        Err(NoVersion::Lost(format!("the version {version} is not here")))
    }
}

/// Why work cannot go on with a version of an app.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoVersion {
    /// The app is not here: others may have it.
    #[error("the app is not here")]
    NoApp,
    /// The version is lost, in these words.
    #[error("{0}")]
    Lost(String),
}

/// A version of an app.
#[async_trait]
pub trait AppVersion: Send + Sync {
    /// What tells it from the app's other versions, in every process that serves it.
    fn version(&self) -> String;

    /// All that another server needs to run it; nothing when that is lost.
    async fn artifact(&self) -> Option<Artifact> {
        None
    }

    /// What its answers are written in, as HTTP names it.
    fn content_type(&self) -> String;

    /// A request with its promises and limits.
    fn request(&self, query: &Bytes) -> Request;

    /// Cuts a query.
    async fn plan(&self, request: &Request) -> Result<Plan, Error>;

    /// What [`Content::place`] wrote of a content of its plans; `notes` takes the remarks on it.
    fn content(&self, place: &str, notes: &Arc<Notes>) -> Result<Arc<dyn Content>, Failure>;

    /// Runs its leaves and folds their partials.
    fn root(&self, events: Events) -> Services;
}
