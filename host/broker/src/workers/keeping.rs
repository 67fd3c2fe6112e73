//! Partials that workers keep for queries with a memo: what is stored, recalled, and forgotten.

use std::time::Duration;

use bytes::Bytes;
use frond_root::StoredAttempt;
use tokio::time::timeout;

use super::memo_key::MemoKey;
use super::recall::HeldPartials;
use super::shared::{Shared, State};
use crate::frames::{self, Forget, MOST_GIVEN_BACK, Recall, Said, Stored};

impl Shared {
    /// Tells workers which attempts of a query are stored.
    pub(super) fn stored(&self, query: u64, attempts: &[StoredAttempt]) {
        let mut state = self.state.lock();
        for (worker, partials) in state.unstored.stored(query, attempts) {
            let Some(peer) = state.peers.get(&worker) else { continue };
            for partials in partials.chunks(MOST_GIVEN_BACK) {
                peer.sender.post(frames::encoded(Said::Stored(Stored { partials: partials.to_vec() })));
            }
        }
    }

    /// Recalls what workers keep under a key.
    pub(super) async fn recall(&self, key: Bytes, time: Duration) -> HeldPartials {
        let key = MemoKey::new(key);
        let id = key.id();
        let (recall, answered) = {
            let mut state = self.state.lock();
            let State { peers, recalls, .. } = &mut *state;
            let keepers = || peers.iter().filter(|(_, peer)| peer.keeps);
            let (recall, answered) = recalls.begin(key, keepers().map(|(number, _)| *number).collect());
            for (_, peer) in keepers() {
                peer.sender.post(frames::encoded(Said::Recall(Recall { recall, id: id.clone() })));
            }
            (recall, answered)
        };
        // Also if the future is dropped.
        let _end = EndOnDrop { shared: self, recall };
        // What has come by then is there.
        let _ = timeout(time, answered.notified()).await;
        self.state.lock().recalls.end(recall)
    }

    /// Has workers forget what they kept.
    pub(super) fn forget(&self, held: &HeldPartials) {
        let state = self.state.lock();
        for (worker, numbers) in &held.numbers {
            if let Some(peer) = state.peers.get(worker) {
                let forget = Forget { id: held.id.clone(), partials: numbers.clone() };
                peer.sender.post(frames::encoded(Said::Forget(forget)));
            }
        }
    }
}

/// RAII guard that ends a recall.
struct EndOnDrop<'a> {
    shared: &'a Shared,
    recall: u64,
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.shared.state.lock().recalls.end(self.recall);
    }
}
