//! One load of an app, shared by the reconciler and the thread that runs it.

use std::sync::{Mutex, MutexGuard};

use frond_root::CancellationToken;
use frond_root::sync::lock;

/// State of one load: whether it is still wanted, and the canary to cancel when it is not.
#[derive(Default)]
pub(crate) struct Load(Mutex<Progress>);

/// Progress of a load, which decides whether it can be given up.
#[derive(Default)]
struct Progress {
    is_over: bool,
    /// The result is being stored and served: the load can no longer be given up.
    is_committing: bool,
    canary: Option<CancellationToken>,
}

/// RAII guard: while it lives, the load's result is being stored and served.
pub(crate) struct Commit<'a>(&'a Load);

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.0.lock().is_committing = false;
    }
}

impl Load {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        lock(&self.0)
    }

    /// Gives the load up: its result is dropped and its canary is cancelled. False while it
    /// commits.
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

    /// True once the load was given up: overdue, its app is gone, or the server is stopping.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Begins to store and serve the result; `None` once the load was given up.
    pub(crate) fn commit(&self) -> Option<Commit<'_>> {
        let mut progress = self.lock();
        if progress.is_over {
            return None;
        }
        progress.is_committing = true;
        Some(Commit(self))
    }

    /// Sets or clears the canary that is cancelled when the load is given up.
    pub(crate) fn cancels(&self, canary: Option<CancellationToken>) {
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
