//! The root's side: gives attempts of its queries to workers, next to the slots of this process.
//!
//! Workers pull: each has as many attempts as it has slots, and those that its leaves take in two
//! round trips. A slow worker so has little that others could run, and a lost one loses little: its
//! attempts are claimable again at once.

mod clock;
mod conversation;
mod dealing;
mod drained;
mod keeping;
mod memo_key;
mod orders;
mod peer;
mod queries;
mod recall;
mod runner;
mod shared;
mod source;
mod supplies;
mod tally;
mod unstored;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::LeafRunner;
use tokio::time::{Instant, timeout};

use crate::carrier::Carrier;
use crate::nats::PeerId;
use crate::session::{Lost, Settings};

use peer::{Origin, Peer};
use queries::Queries;
use runner::WorkersRunner;
use shared::Shared;

pub use peer::MAX_WORKER_SLOTS;
pub use recall::{HeldPartial, HeldPartials};
pub use source::{LeafCodes, LeafSource, ShippedCode};
pub use tally::Tally;

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
    /// Time since its last sign of life.
    pub last_heard: Option<Duration>,
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
    /// Reason why it gets no attempts now. `None` if it does, if its slots are busy, or if no query
    /// has any.
    pub idle_because: Option<String>,
    /// Reasons why it cannot run some leaves.
    pub refusals: Vec<String>,
}

/// Workers of a root. They may join and leave at any time.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
    are_expendable: bool,
}

impl Workers {
    /// No workers yet, beside `local` slots of this process. Runs on the current runtime until the
    /// last clone is dropped.
    #[must_use]
    pub fn new(local: u32, settings: Settings) -> Self {
        let shared = Arc::new(Shared::new(local, settings));
        tokio::spawn(dealing::deal_when_nudged(Arc::downgrade(&shared)));
        Self { shared, are_expendable: false }
    }

    /// A handle for adding those workers that may be killed: processes with one slot, whose keeper
    /// ends them when their conversation ends, and whose leaves may not be interrupted otherwise.
    ///
    /// An attempt on such a worker that has not ended at its deadline, or soon after its query,
    /// ends there and then, and the worker is dropped.
    #[must_use]
    pub fn expendable(self) -> Self {
        Self { are_expendable: true, ..self }
    }

    /// Adds the worker at the other end of the carrier. Ends when the worker is lost, with the
    /// reason.
    pub async fn converse(&self, carrier: Carrier) -> Lost {
        self.converse_with(carrier, None).await
    }

    /// Adds a worker as [`converse`](Self::converse) does. Its `process` tells it from another one
    /// of its name: one that was [drained](Self::drain) is told to leave when it comes again.
    pub async fn converse_with(&self, carrier: Carrier, process: Option<PeerId>) -> Lost {
        let origin = Origin { process, is_expendable: self.are_expendable };
        conversation::converse(&self.shared, carrier, origin).await
    }

    /// True if this process was [drained](Self::drain).
    #[must_use]
    pub fn has_drained(&self, process: PeerId) -> bool {
        self.shared.state.lock().drained.has(process)
    }

    /// A runner of a leaf: on workers, and on `local` slots.
    #[must_use]
    pub fn runner(&self, source: LeafSource, local: Option<Arc<dyn LeafRunner>>) -> Arc<dyn LeafRunner> {
        Arc::new(WorkersRunner::new(self.shared.clone(), source, local))
    }

    /// Slots of all workers.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.shared.slots()
    }

    /// Waits until so many workers take attempts, for `time` at most.
    pub async fn joined(&self, count: usize, time: Duration) {
        let all = async {
            loop {
                let joined = self.shared.joined.notified();
                if self.shared.staying() >= count {
                    return;
                }
                joined.await;
            }
        };
        // Those that have joined by then are there.
        let _ = timeout(time, all).await;
    }

    /// Asks all workers for the partials that they keep under a memo's key, and waits for them, for
    /// `time` at most.
    pub async fn recall(&self, key: Bytes, time: Duration) -> HeldPartials {
        self.shared.recall(key, time).await
    }

    /// Has workers forget what they kept: it is stored.
    pub fn forget(&self, held: &HeldPartials) {
        self.shared.forget(held);
    }

    /// Has queries carry a remark, for people, while no worker of a broker is there.
    pub fn remark_if_absent(&self, remark: String) {
        self.shared.state.lock().if_absent = Some(remark);
    }

    /// The remark on queries, if no worker of a broker is there.
    #[must_use]
    pub fn absence(&self) -> Option<String> {
        self.shared.state.lock().absence().map(str::to_owned)
    }

    /// All workers, in the order in which they joined.
    #[must_use]
    pub fn list(&self) -> Vec<WorkerView> {
        let now = Instant::now();
        let state = self.shared.state.lock();
        state.peers.values().map(|peer| view(peer, &state.queries, now)).collect()
    }

    /// Asks all workers of this name to take no more attempts, and to leave once theirs have ended.
    /// Returns their number. A process that was asked is asked again whenever it joins; another one
    /// of the same name stays.
    #[must_use]
    pub fn drain(&self, name: &str) -> usize {
        self.shared.drain(name)
    }

    /// Counts of what happened to all workers since the start.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.state.lock().counters.tally()
    }
}

fn view(peer: &Peer, queries: &Queries, now: Instant) -> WorkerView {
    WorkerView {
        name: peer.name.to_string(),
        version: peer.version.clone(),
        slots: peer.slots,
        first: peer.first,
        age: now.saturating_duration_since(peer.since),
        round_trip: peer.sender.round_trip(),
        last_heard: peer.sender.last_heard(),
        attempts: peer.held.len(),
        waiting: peer.waits,
        ended: peer.ended,
        ran: peer.ran,
        is_draining: peer.is_draining,
        idle_because: peer.idle_because(queries, now),
        refusals: peer.refused.values().cloned().collect(),
    }
}
