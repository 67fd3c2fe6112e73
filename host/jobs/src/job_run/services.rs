//! Services that a processor gives to its jobs.

use std::sync::Arc;
use std::time::Duration;

use crate::excluded::ExcludedVersions;
use crate::quota::Quotas;
use crate::store::JobStore;
use crate::work::AppProvider;

/// Parts of a processor that its jobs share.
#[derive(Clone)]
pub(crate) struct JobServices {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) provider: Arc<dyn AppProvider>,
    pub(crate) quotas: Quotas,
    /// Versions that this process cannot run.
    pub(crate) unable: ExcludedVersions,
    /// Length of a lease.
    pub(crate) lease: Duration,
    /// Number of owners in a row that may be lost without a result.
    pub(crate) lives: u32,
}
