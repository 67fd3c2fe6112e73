//! Pool of read-only connections, each used by one call at a time.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::store::{StoreResult, cause};

use super::StoreError;

pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let places = Arc::new(Semaphore::new(connections.len()));
        Self { free: Arc::new(Mutex::new(connections)), places }
    }

    /// Runs `work` on a thread for blocking work. Its reads see one snapshot only if it opens a
    /// transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let permit = Arc::clone(&self.places).acquire_owned().await.map_err(|error| StoreError::Other(cause(error)))?;
        let free = Arc::clone(&self.free);
        let reading = spawn_blocking(move || {
            let connection = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = connection.ok_or_else(|| StoreError::Other(cause("a connection is missing")))?;
            let read = work(&connection);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            read
        });
        reading.await.map_err(|error| StoreError::Other(cause(error)))?
    }
}
