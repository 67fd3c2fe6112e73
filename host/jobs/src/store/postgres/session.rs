//! Pooled connections for single calls, and transactions with a timeout for each statement. A
//! connection that has fallen silent is not reused.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::time::{Instant, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use crate::store::rules::sql;
use crate::store::{StoreError, StoreResult, cause};

use super::fault::silent;
use super::options::Options;

/// Assumed least throughput to the server, in bytes per second: extends the timeout of large
/// statements.
const BYTES_A_SECOND: u64 = 4 << 20;
/// Margin after the server's statement timeout, for its error to arrive.
const LATER: Duration = Duration::from_secs(5);
/// A call dropped after more than this may have waited on a silent connection, which is then
/// closed.
const BRIEF: Duration = Duration::from_secs(1);

/// Amount of data of a call; decides its timeout.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// A few rows: the caller gets an answer or an error soon.
    Little,
    /// Many rows, or this many bytes.
    Much(u64),
}

impl Load {
    pub(super) fn of(bytes: impl IntoIterator<Item = usize>) -> Self {
        Self::Much(bytes.into_iter().fold(0, |sum, bytes| sum.saturating_add(bytes as u64)))
    }

    /// Timeout of one statement.
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
    /// Time that a test has set, in Unix milliseconds.
    set: Option<i64>,
}

impl<'p> PooledConnection<'p> {
    pub(super) async fn new(pool: &'p Pool, options: &Options, load: Load) -> StoreResult<Self> {
        let client = Some(pool.get().await?);
        let set = options.clock.as_ref().map(|clock| sql(clock.now().0));
        Ok(Self { pool, client, since: Instant::now(), patience: load.patience(options), set })
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, isolation: IsolationLevel, read_only: bool) -> StoreResult<Transaction<'_>> {
        let patience = self.patience;
        let set = self.set;
        let client = self.client.as_mut().ok_or_else(|| StoreError::Unavailable(cause("the connection is gone")))?;
        let building = client.build_transaction().isolation_level(isolation);
        // Never set to false, so that a database that is read-only by default stays so.
        let building = if read_only { building.read_only(true) } else { building };
        Ok(Transaction { inner: heard(patience, building.start()).await?, set, patience })
    }

    /// Returns the connection to the pool, unless the result of its call makes it suspect.
    pub(super) fn end<T>(mut self, done: StoreResult<T>) -> StoreResult<T> {
        let Some(client) = self.client.take() else { return done };
        if let Err(StoreError::Unavailable(_) | StoreError::Other(_)) = &done {
            drop(Object::take(client));
            // The idle connections may have failed in the same way.
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

/// Transaction of one call.
pub(super) struct Transaction<'c> {
    inner: deadpool_postgres::Transaction<'c>,
    /// Time that a test has set, in Unix milliseconds.
    pub(super) set: Option<i64>,
    patience: Duration,
}

/// Parameters of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Transaction<'_> {
    /// Returns all rows of a statement.
    pub(super) async fn rows(&self, sql: &str, values: Values<'_>) -> StoreResult<Vec<Row>> {
        heard(self.patience, async {
            // Prepared once per connection, and cached.
            let statement = self.inner.prepare_cached(sql).await?;
            self.inner.query(&statement, values).await
        })
        .await
    }

    /// Returns the only row of a statement, if there is one.
    pub(super) async fn row(&self, sql: &str, values: Values<'_>) -> StoreResult<Option<Row>> {
        Ok(self.rows(sql, values).await?.pop())
    }

    /// Returns the number of rows that a statement changed.
    pub(super) async fn change(&self, sql: &str, values: Values<'_>) -> StoreResult<u64> {
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

/// Awaits a response of the server, with a timeout.
pub(super) async fn heard<T>(
    patience: Duration,
    response: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> StoreResult<T> {
    match timeout(patience, response).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(silent(patience)),
    }
}
