//! Resources of the process that all apps share.

use std::sync::Arc;

use frond_run::{Crew, Machine, Slots};
use tokio::runtime::Handle;

/// Engine, threads and runtime shared by all apps of the process.
#[derive(Clone)]
pub struct Host {
    /// The engines, and the clock that interrupts guests.
    pub machine: Arc<Machine>,
    /// The slot threads of leaves.
    pub threads: Slots,
    /// Runtime for host calls and canaries.
    pub runtime: Handle,
    /// Workers that run leaves, if there may be any.
    pub crew: Option<Arc<Crew>>,
}
