//! The root's side: gives attempts of its queries to workers, next to the slots of this process.
//!
//! Workers pull: each has as many attempts as it has slots, and those that its leaves take in two
//! round trips. A slow worker so has little that others could run, and a lost one loses little: its
//! attempts are claimable again at once.

mod absent;
mod clock;
mod conversation;
mod dealing;
mod drained;
mod keeping;
mod membership;
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
mod view;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::LeafRunner;
use tokio::time::{Instant, timeout};

use crate::carrier::Carrier;
use crate::session::{Lost, Settings};

use absent::EmptyPool;
use runner::WorkersRunner;
use shared::Shared;

pub use peer::{MAX_WORKER_SLOTS, Origin};
pub use recall::{HeldPartial, HeldPartials};
pub use source::{LeafCodes, LeafSource, ShippedCode};
pub use tally::Tally;
pub use view::{DrainView, WorkerState, WorkerView};

/// Workers of a root. They may join and leave at any time.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
}

impl Workers {
    /// No workers yet, beside `local` slots of this process. Runs on the current runtime until the
    /// last clone is dropped.
    #[must_use]
    pub fn new(local: u32, settings: Settings) -> Self {
        let shared = Arc::new(Shared::new(local, settings));
        tokio::spawn(dealing::deal_when_nudged(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Adds the worker at the other end of the carrier. Ends when the worker is lost, with the
    /// reason.
    pub async fn converse(&self, carrier: Carrier) -> Lost {
        self.converse_with(carrier, Origin::default()).await
    }

    /// Adds a worker as [`converse`](Self::converse) does, with all that is known of it.
    pub async fn converse_with(&self, carrier: Carrier, origin: Origin) -> Lost {
        conversation::converse(&self.shared, carrier, origin).await
    }

    /// Lists a worker that cannot join, with the reason.
    pub fn refuse(&self, name: &str, why: String) {
        self.shared.refuse(name, why);
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

    /// Has queries carry a remark, for people, while no worker of this pool takes attempts.
    /// `has_others` tells whether leaves run meanwhile, on other slots.
    pub fn remark_if_absent(&self, pool: &str, has_others: bool) {
        self.shared.state.lock().pool = Some(EmptyPool { name: pool.to_owned(), has_others });
    }

    /// The remark on queries, if no worker of the pool takes attempts.
    #[must_use]
    pub fn absence(&self) -> Option<String> {
        self.shared.state.lock().absence()
    }

    /// Waits until each worker of the broker that is here now has heard that this root leaves. The
    /// caller gives the conversations up meanwhile.
    pub(crate) fn left(&self) -> impl Future<Output = ()> + use<> {
        let state = self.shared.state.lock();
        let peers = state.peers.values().filter(|peer| peer.origin.process.is_some());
        let sessions: Vec<_> = peers.map(|peer| peer.sender.clone()).collect();
        async move {
            for session in sessions {
                session.closed().await;
            }
        }
    }

    /// All workers, in the order in which they joined.
    #[must_use]
    pub fn list(&self) -> Vec<WorkerView> {
        let now = Instant::now();
        let state = self.shared.state.lock();
        let peers = state.peers.values().filter(|peer| !peer.is_visitor);
        peers.map(|peer| WorkerView::of(peer, &state.queries, now)).collect()
    }

    /// Workers that are not in [`list`](Self::list): processes that stand ready, and for ten
    /// minutes, up to 64 of each, those that were drained and have left, and those that cannot
    /// join. One is left out while another one of its name is here.
    #[must_use]
    pub fn absent(&self) -> Vec<WorkerView> {
        let state = self.shared.state.lock();
        let mut absent = state.absent.views(Instant::now());
        absent.retain(|one| !state.staying().any(|peer| *peer.name == *one.name));
        absent
    }

    /// Asks all workers of this name, on behalf of `by`, to take no more attempts, and to leave
    /// once theirs have ended. Returns their number. A process that was asked is asked again
    /// whenever it joins; another one of the same name stays.
    #[must_use]
    pub fn drain(&self, name: &str, by: &str) -> usize {
        self.shared.drain(name, by)
    }

    /// Counts of what happened to all workers since the start.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.state.lock().counters.tally()
    }
}
