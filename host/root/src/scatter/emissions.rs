//! Partials that running attempts have handed over, as the query's task reads and stores them.

use super::Scatter;
use crate::sync::lock;
use crate::work::{AttemptId, Emission, StoredAttempt};

impl Scatter {
    /// Takes the last emission of an attempt.
    #[must_use]
    pub fn take_emission(&self, id: AttemptId) -> Option<Emission> {
        lock(&self.emitted).remove(&id)
    }

    /// Forgets what an attempt has emitted and kept.
    pub(super) fn forget_emission(&self, id: AttemptId) {
        lock(&self.keepers).remove(&id);
        lock(&self.emitted).remove(&id);
    }

    /// Waits until a running attempt has kept something.
    pub(crate) async fn has_keepers(&self) {
        self.keepers_wake.notified().await;
    }

    /// Copies what running attempts have kept since the last call, in the order of the attempts.
    pub(crate) fn copy_keeps(&self) -> Vec<(AttemptId, Emission)> {
        let keepers = std::mem::take(&mut *lock(&self.keepers));
        let emitted = lock(&self.emitted);
        keepers.into_iter().filter_map(|id| Some((id, emitted.get(&id)?.clone()))).collect()
    }

    /// Takes the last emissions of all attempts that have not ended, in the order of the attempts.
    #[must_use]
    pub fn take_emissions(&self) -> Vec<(AttemptId, Emission)> {
        let mut emissions: Vec<_> = lock(&self.emitted).drain().collect();
        emissions.sort_by_key(|(id, _)| *id);
        emissions
    }

    /// Tells runners which attempts have been stored, if workers keep them until then.
    pub(crate) fn stored(&self, attempts: &[StoredAttempt]) {
        if self.window.memo.is_some() && !attempts.is_empty() {
            // A hook may use this scatter: release the lock first.
            let hooks = lock(&self.on_stored).clone();
            hooks.iter().for_each(|hook| hook(attempts));
        }
    }
}
