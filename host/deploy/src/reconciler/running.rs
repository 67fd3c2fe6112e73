//! Loads in progress, as the reconciler sees them.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::ChangeError;
use crate::load::Load;
use crate::version::Version;

/// Channel for the result of a command.
pub(super) type Reply = oneshot::Sender<Result<Arc<Version>, ChangeError>>;

/// A load in progress.
pub(super) struct Running {
    /// The load's number.
    pub(super) number: u64,
    pub(super) load: Arc<Load>,
    /// The load's deadline.
    pub(super) until: Instant,
    /// The deadline has passed: the caller has its error, and the thread is left alone.
    pub(super) is_overdue: bool,
    pub(super) reply: Option<Reply>,
    /// The component bytes of the command that it carries out.
    pub(super) bytes: u64,
    /// Approximate memory for its files, in bytes.
    pub(super) memory: u64,
}
