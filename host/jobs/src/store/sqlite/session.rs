//! Transactions on SQLite. A statement never waits for another one, so each call is done when it is
//! first polled.

use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql, params, params_from_iter};

use crate::job::UnixMs;
use crate::store::rows::Columns;
use crate::store::rules::sql as number;
use crate::store::sql::{Sql, Value};
use crate::store::{Locator, PartitionPlan, StoreError, StoreResult, cause};

/// Transaction of one call.
pub(super) struct Session<'c> {
    pub(super) connection: &'c Connection,
    now: UnixMs,
}

impl<'c> Session<'c> {
    /// Begins the call, at the time `now`.
    pub(super) fn new(connection: &'c Connection, now: UnixMs) -> Self {
        Self { connection, now }
    }

    pub(super) fn prepare(&self, sql: &str) -> StoreResult<CachedStatement<'c>> {
        // SQLite numbers `$1` by its place in the statement, and `?1` as it says.
        Ok(self.connection.prepare_cached(&sql.replace('$', "?"))?)
    }

    fn read<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&dyn Columns) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut all = Vec::new();
        // An update with RETURNING completes when all its rows are read.
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }

    fn write_partitions(&self, job: i64, partitions: &[PartitionPlan]) -> StoreResult<()> {
        let mut insert = self.prepare(
            "INSERT INTO partitions (job, idx, key, weight, elsewhere, inline) VALUES ($1, $2, $3, $4, $5, $6)",
        )?;
        for (index, one) in (0_u32..).zip(partitions) {
            let (elsewhere, inline) = match &one.place {
                Locator::Elsewhere(text) => (Some(text), None),
                Locator::Inline(bytes) => (None, Some(&**bytes)),
            };
            insert.execute(params![job, index, one.key.as_str(), number(one.weight), elsewhere, inline])?;
        }
        Ok(())
    }

    fn write_events(&self, job: i64, first: i64, lines: &[String]) -> StoreResult<()> {
        let mut insert = self.prepare("INSERT INTO events (job, seq, line) VALUES ($1, $2, $3)")?;
        for (number, line) in (first..).zip(lines) {
            insert.execute(params![job, number, line])?;
        }
        Ok(())
    }
}

impl Sql for Session<'_> {
    // All writes are made by one thread, one after the other.
    const LOCK: &'static str = "";
    const LOCK_FREE: &'static str = "";
    const LEAST: &'static str = "min";
    const GREATEST: &'static str = "max";
    const FILES: bool = true;

    fn runnable() -> String {
        // The store is not shared: its only process can run every job of its apps.
        String::new()
    }

    fn now(parameter: u8) -> String {
        format!("${parameter}")
    }

    fn among(column: &str, parameter: u8) -> String {
        format!("{column} IN (SELECT value FROM json_each(${parameter}))")
    }

    fn time(&self) -> Value<'static> {
        number(self.now.0).into()
    }

    fn select<T: Send>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&dyn Columns) -> StoreResult<T> + Send,
    ) -> impl Future<Output = StoreResult<Vec<T>>> + Send {
        ready(self.read(sql, values, read))
    }

    fn execute(&self, sql: &str, values: &[Value<'_>]) -> impl Future<Output = StoreResult<u64>> + Send {
        let changed = self.prepare(sql).and_then(|mut statement| Ok(statement.execute(params_from_iter(values))?));
        ready(changed.map(|rows| rows as u64))
    }

    fn lock_caller(&self, _: &str) -> impl Future<Output = StoreResult<()>> + Send {
        ready(Ok(()))
    }

    fn add_partitions(&self, job: i64, partitions: &[PartitionPlan]) -> impl Future<Output = StoreResult<()>> + Send {
        ready(self.write_partitions(job, partitions))
    }

    fn add_events(&self, job: i64, first: i64, lines: &[String]) -> impl Future<Output = StoreResult<()>> + Send {
        ready(self.write_events(job, first, lines))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Runs a call on a [`Session`].
pub(super) fn run<T>(call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(StoreError::Other(cause("a call to SQLite has waited"))),
    }
}
