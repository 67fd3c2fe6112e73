//! Interface to the apps: everything that a processor needs to run their jobs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use frond_root::journal::KeptPartial;
use frond_root::{Content, Error, Events, Failure, Notes, Plan, Request, Services};

use crate::job::JobId;
use crate::store::Artifact;

/// Apps of this process.
#[async_trait]
pub trait AppProvider: Send + Sync {
    /// Returns the names of the apps that can run jobs now.
    fn apps(&self) -> Vec<String>;

    /// Returns the current version of an app.
    fn app(&self, name: &str) -> Option<Arc<dyn AppVersion>>;

    /// Returns the version of an app with this [`AppVersion::version`], so that a job continues
    /// with the version it began with.
    ///
    /// # Errors
    /// See [`NoVersion`].
    async fn version(&self, name: &str, version: &str) -> Result<Arc<dyn AppVersion>, NoVersion>;

    /// Returns the versions that [`AppProvider::version`] can return, of all apps.
    fn versions(&self) -> Vec<String> {
        Vec::new()
    }

    /// Restores a version of an app from the artifact that another server stored.
    ///
    /// # Errors
    /// See [`NoVersion`].
    async fn restore(&self, _name: &str, version: &str, _kept: Artifact) -> Result<Arc<dyn AppVersion>, NoVersion> {
        Err(NoVersion::Lost(format!("the version {version} is not on this server")))
    }
}

/// Reason why a version of an app is not available.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoVersion {
    /// The app is not on this server; others may have it.
    #[error("the app is not on this server")]
    NoApp,
    /// The version is lost; the text says why.
    #[error("{0}")]
    Lost(String),
}

/// Finished partials of a job that an earlier owner has not stored.
#[derive(Default)]
pub struct KeptElsewhere {
    /// The partials, each with the epoch of the lease under which its attempt ran. Several may
    /// account for the same units: the first of them counts.
    pub partials: Vec<(u64, KeptPartial)>,
    /// Called once they are stored.
    pub forget: Option<Box<dyn FnOnce() + Send>>,
}

/// A version of an app.
#[async_trait]
pub trait AppVersion: Send + Sync {
    /// Identifier of the version, the same in every process that serves it.
    fn version(&self) -> String;

    /// Returns everything that another server needs to run this version; `None` if the files are
    /// lost.
    async fn artifact(&self) -> Option<Artifact> {
        None
    }

    /// Media type of the answers.
    fn content_type(&self) -> String;

    /// Makes a request with the app's promises and limits.
    fn request(&self, query: &Bytes) -> Request;

    /// Cuts a query into partitions.
    async fn plan(&self, request: &Request) -> Result<Plan, Error>;

    /// Restores a content of the version's plans that [`Content::place`] wrote; `notes` collects
    /// remarks on it.
    fn content(&self, place: &str, notes: &Arc<Notes>) -> Result<Arc<dyn Content>, Failure>;

    /// Returns the services that run the version's leaves and merges.
    fn services(&self, request: &Request, events: Events) -> Services;

    /// Returns the key under which those who run the leaves of a job keep finished partials until
    /// they are stored; `None` if nobody does.
    fn memo_key(&self, _job: JobId) -> Option<Bytes> {
        None
    }

    /// Returns the partials that are kept under a key, of the units that the plan has.
    async fn kept(&self, _key: Bytes, _plan: &Plan) -> KeptElsewhere {
        KeptElsewhere::default()
    }
}
