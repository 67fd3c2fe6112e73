//! Pool of read-only connections, each used by one call at a time.

use deadpool::unmanaged::Pool;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use crate::store::{StoreError, StoreResult, cause};

/// Pool of read-only connections.
pub(super) struct Readers(Pool<Connection>);

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self(Pool::from(connections))
    }

    /// Runs `work` on a thread for blocking work. Its reads see one snapshot only if it opens a
    /// transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let connection = self.0.get().await.map_err(|error| StoreError::Other(cause(error)))?;
        let read = move || {
            let done = work(&connection);
            // A snapshot that could not be closed would fail every later read of this connection.
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
            done
        };
        spawn_blocking(read).await.map_err(|error| StoreError::Other(cause(error)))?
    }
}
