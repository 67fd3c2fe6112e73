//! One load of an app, as the keeper and the thread that runs it see it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use frond_root::Cancel;

/// State of one load: whether it is still wanted, and the canary to cancel when it is not.
#[derive(Default)]
pub(crate) struct Load(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    is_over: bool,
    /// What it came to is being stored and served: it is not given up then.
    is_committing: bool,
    canary: Option<Cancel>,
}

/// What a load came to is being stored and served, as long as this lives.
pub(crate) struct Commit<'a>(&'a Load);

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.0.lock().is_committing = false;
    }
}

impl Load {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the load up: whatever comes of it is dropped, and its canary is cancelled. False while it commits.
    pub(crate) fn give_up(&self) -> bool {
        let mut progress = self.lock();
        if progress.is_committing {
            return false;
        }
        progress.is_over = true;
        if let Some(canary) = &progress.canary {
            canary.cancel();
        }
        true
    }

    /// True once nobody wants it any more: its time is over, its app has gone, or the server is stopping.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Begins to store and serve what it came to; nothing once it was given up.
    pub(crate) fn commit(&self) -> Option<Commit<'_>> {
        let mut progress = self.lock();
        if progress.is_over {
            return None;
        }
        progress.is_committing = true;
        Some(Commit(self))
    }

    /// Names the canary that ends with the load, or none.
    pub(crate) fn cancels(&self, canary: Option<Cancel>) {
        let mut progress = self.lock();
        if let (true, Some(canary)) = (progress.is_over, &canary) {
            canary.cancel();
        }
        progress.canary = canary;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_is_not_committed_and_what_commits_is_not_given_up() {
        let load = Load::default();
        let commit = load.commit();
        assert!(commit.is_some() && !load.give_up() && !load.is_over());
        drop(commit);
        assert!(load.give_up() && load.is_over() && load.commit().is_none());
    }
}
