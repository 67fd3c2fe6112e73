//! The root's side: gives attempts of its queries to workers, next to the slots of this process.
//!
//! Workers pull: each has as many attempts as it has slots, and those that its leaves take in two
//! round trips. A slow worker so has little that others could run, and a lost one loses little: its
//! attempts are claimable again at once.

mod conversation;
mod dealing;
mod orders;
mod peer;
mod queries;
mod runner;
mod shared;
mod source;
mod supplies;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use frond_root::LeafRunner;
use tokio::time::timeout;

use crate::carrier::Carrier;
use crate::frames::{self, Said};
use crate::session::{Lost, Settings};

use peer::Peer;
use runner::WorkersRunner;
use shared::Shared;

pub use peer::MAX_WORKER_SLOTS;
pub use source::{LeafCodes, LeafSource, ShippedCode};

/// A worker, for displays.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Version of its program.
    pub version: String,
    /// Its slots.
    pub slots: u32,
    /// Number of its first slot among all slots.
    pub first: u32,
    /// Time since it joined.
    pub age: Duration,
    /// Round trip to it.
    pub round_trip: Option<Duration>,
    /// Attempts that it has, waiting ones included.
    pub attempts: usize,
    /// Attempts that wait without a slot.
    pub waiting: usize,
    /// Attempts that ended.
    pub ended: u64,
    /// Time that they took on their slots.
    pub ran: Duration,
    /// True if it takes no more attempts.
    pub is_draining: bool,
    /// Reasons why it cannot run some leaves.
    pub refusals: Vec<String>,
}

/// Workers of a root. They may join and leave at any time.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

impl Workers {
    /// No workers yet, beside `local` slots of this process. Runs on the current runtime until the
    /// last clone is dropped.
    #[must_use]
    pub fn new(local: u32, settings: Settings) -> Self {
        let shared = Arc::new(Shared::new(local, settings));
        tokio::spawn(dealing::deal_when_nudged(Arc::downgrade(&shared)));
        Self(shared)
    }

    /// Adds the worker at the other end of the carrier. Ends when the worker is lost, with the
    /// reason.
    pub async fn converse(&self, carrier: Carrier) -> Lost {
        conversation::converse(&self.0, carrier).await
    }

    /// A runner of a leaf: on workers, and on `local` slots.
    #[must_use]
    pub fn runner(&self, source: LeafSource, local: Option<Arc<dyn LeafRunner>>) -> Arc<dyn LeafRunner> {
        Arc::new(WorkersRunner::new(self.0.clone(), source, local))
    }

    /// Slots of all workers.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.0.slots()
    }

    /// Waits until there are so many workers, for `time` at most.
    pub async fn joined(&self, count: usize, time: Duration) {
        let all = async {
            loop {
                let joined = self.0.joined.notified();
                if self.0.state.lock().peers.len() >= count {
                    return;
                }
                joined.await;
            }
        };
        // Those that have joined by then are there.
        let _ = timeout(time, all).await;
    }

    /// All workers, in the order in which they joined.
    #[must_use]
    pub fn list(&self) -> Vec<WorkerView> {
        let state = self.0.state.lock();
        state.peers.values().map(view).collect()
    }

    /// Asks a worker to take no more attempts. False if there is none of this name.
    #[must_use]
    pub fn drain(&self, name: &str) -> bool {
        let state = self.0.state.lock();
        let named: Vec<_> = state.peers.values().filter(|peer| peer.name == name).collect();
        for peer in &named {
            peer.sender.post(frames::encoded(Said::Leave(frames::Leave {})));
        }
        !named.is_empty()
    }
}

fn view(peer: &Peer) -> WorkerView {
    WorkerView {
        name: peer.name.clone(),
        version: peer.version.clone(),
        slots: peer.slots,
        first: peer.first,
        age: peer.since.elapsed(),
        round_trip: peer.sender.round_trip(),
        attempts: peer.held.len(),
        waiting: peer.waits,
        ended: peer.ended,
        ran: peer.ran,
        is_draining: peer.is_draining,
        refusals: peer.refused.values().cloned().collect(),
    }
}
