//! A running query, as its handler and its event stream hold it.

use std::sync::Arc;

use frond_deploy::Version;
use frond_root::{Answer, DropGuard, QueryId};
use frond_run::RunError;
use tokio::sync::oneshot;

use crate::recent::QueryRecord;

/// A query that runs.
pub(crate) struct RunningQuery {
    pub(crate) id: QueryId,
    pub(crate) recorded: Arc<QueryRecord>,
    pub(crate) version: Arc<Version>,
    /// Receives the outcome.
    pub(crate) outcome: oneshot::Receiver<Result<Answer, RunError>>,
    /// Cancels the query when it is dropped, since nobody waits any longer.
    pub(crate) _waiting: DropGuard,
}
