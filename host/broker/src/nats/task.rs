//! Task that ends with its owner.

use std::future::Future;

use tokio::task::AbortHandle;

/// Running task. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct Task(AbortHandle);

impl Task {
    /// Starts a task.
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
