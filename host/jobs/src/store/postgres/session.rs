//! Connections lent for one call, and transactions whose every statement is answered in time or given up. A connection that
//! has fallen silent is not lent again.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::time::{Instant, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use crate::store::{StoreError, StoreResult, cause};

use super::Options;
use super::fault::silent;

/// What a server carries at the least: statements with large values are waited for accordingly.
const BYTES_A_SECOND: u64 = 4 << 20;
/// How long after a server's own limit for statements its word about that is waited for.
const LATER: Duration = Duration::from_secs(5);
/// A call that was dropped after more than this may have waited for a connection that is silent.
const BRIEF: Duration = Duration::from_secs(1);

/// How much a call carries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// A few rows: whoever asks has an answer soon, or an error.
    Little,
    /// Many rows, or so many bytes.
    Much(u64),
}

impl Load {
    pub(super) fn of(bytes: impl IntoIterator<Item = usize>) -> Self {
        Self::Much(bytes.into_iter().fold(0, |sum, bytes| sum.saturating_add(bytes as u64)))
    }

    /// How long one statement is waited for.
    fn patience(self, options: &Options) -> Duration {
        match self {
            Self::Little => options.patience,
            Self::Much(bytes) => options.statement_timeout + LATER + Duration::from_secs(bytes / BYTES_A_SECOND),
        }
    }
}

/// A connection for one call.
pub(super) struct PooledConnection<'p> {
    pool: &'p Pool,
    client: Option<Object>,
    since: Instant,
    patience: Duration,
}

impl<'p> PooledConnection<'p> {
    pub(super) async fn new(pool: &'p Pool, options: &Options, load: Load) -> StoreResult<Self> {
        let client = Some(pool.get().await?);
        Ok(Self { pool, client, since: Instant::now(), patience: load.patience(options) })
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, isolation: IsolationLevel, read_only: bool) -> StoreResult<Transaction<'_>> {
        let patience = self.patience;
        let client = self.client.as_mut().ok_or_else(|| StoreError::Unavailable(cause("the connection is gone")))?;
        let building = client.build_transaction().isolation_level(isolation);
        // A database that is read-only by default stays so.
        let building = if read_only { building.read_only(true) } else { building };
        Ok(Transaction { inner: heard(patience, building.start()).await?, patience })
    }

    /// Gives the connection back, unless what became of its call makes it doubtful.
    pub(super) fn end<T>(mut self, done: StoreResult<T>) -> StoreResult<T> {
        let Some(client) = self.client.take() else { return done };
        if let Err(StoreError::Unavailable(_) | StoreError::Other(_)) = &done {
            drop(Object::take(client));
            // What one has met, the idle ones may have met as well.
            if self.since.elapsed() >= self.patience {
                self.pool.retain(|_, _| false);
            }
        }
        done
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|_| self.since.elapsed() > BRIEF) {
            drop(Object::take(client));
        }
    }
}

/// A transaction of a call.
pub(super) struct Transaction<'c> {
    inner: deadpool_postgres::Transaction<'c>,
    patience: Duration,
}

/// What a statement is given.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Transaction<'_> {
    pub(super) async fn rows(&self, sql: &str, values: Values<'_>) -> StoreResult<Vec<Row>> {
        heard(self.patience, async {
            // The connection knows it from the second time on.
            let statement = self.inner.prepare_cached(sql).await?;
            self.inner.query(&statement, values).await
        })
        .await
    }

    pub(super) async fn execute(&self, sql: &str, values: Values<'_>) -> StoreResult<u64> {
        heard(self.patience, async {
            let statement = self.inner.prepare_cached(sql).await?;
            self.inner.execute(&statement, values).await
        })
        .await
    }

    pub(super) async fn commit(self) -> StoreResult<()> {
        heard(self.patience, self.inner.commit()).await
    }
}

/// The answer of a server, if it comes in time.
pub(super) async fn heard<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> StoreResult<T> {
    match timeout(patience, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(silent(patience)),
    }
}
