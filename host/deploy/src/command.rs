//! A change that a caller requests.

use std::sync::Arc;

use bytes::Bytes;
use frond_run::Role;
use tokio::sync::oneshot;

use crate::error::ChangeError;
use crate::version::Version;

/// The change that a command requests.
pub(crate) enum CommandKind {
    /// Serve this component in this role.
    Put(Role, Bytes),
    /// Serve the folder's component in this role.
    Delete(Role),
    /// Serve the previous version.
    Rollback,
}

/// A command whose sender waits for the result.
pub(crate) struct Command {
    pub(crate) app: String,
    pub(crate) kind: CommandKind,
    pub(crate) reply: oneshot::Sender<Result<Arc<Version>, ChangeError>>,
}

impl Command {
    /// The component bytes that the command holds.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.kind {
            CommandKind::Put(_, bytes) => bytes.len() as u64,
            CommandKind::Delete(_) | CommandKind::Rollback => 0,
        }
    }
}
