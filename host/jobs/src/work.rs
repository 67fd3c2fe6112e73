//! The seam behind which apps are: what a processor needs of one to run its jobs.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use frond_root::{Content, Error, Events, Failure, Plan, Request, Root};

/// The apps of this process.
pub trait Workshop: Send + Sync {
    /// The names of those that can run jobs now.
    fn apps(&self) -> Vec<String>;

    /// One of them, as it is now.
    fn app(&self, name: &str) -> Option<Arc<dyn Worker>>;
}

/// A version of an app.
#[async_trait]
pub trait Worker: Send + Sync {
    /// The digest of its components, as text.
    fn version(&self) -> String;

    /// What its answers are written in, as HTTP names it.
    fn content_type(&self) -> String;

    /// A request with its promises and limits.
    fn request(&self, query: &Bytes) -> Request;

    /// Cuts a query.
    async fn plan(&self, request: &Request) -> Result<Plan, Error>;

    /// What [`Content::place`] wrote of a content of its plans.
    fn content(&self, place: &str) -> Result<Arc<dyn Content>, Failure>;

    /// Runs its leaves and folds their partials.
    fn root(&self, events: Events) -> Root;
}
