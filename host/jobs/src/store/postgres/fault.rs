//! What PostgreSQL says, in the words of the store; and shorthands to ask it.

use std::error::Error as _;

use bytes::Bytes;
use deadpool_postgres::{PoolError, Transaction};
use refinery::error::Kind;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::store::rows::{Columns, damaged};
use crate::store::{Cause, StoreError, Stored, cause};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let fault = Fault::of(&error);
        fault.with(cause(error))
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::Unavailable(cause(error)),
            _ => Self::Other(cause(error)),
        }
    }
}

/// A migration that failed: nothing of it was applied.
pub(super) fn in_migration(error: refinery::Error) -> StoreError {
    let fault = match error.kind() {
        Kind::Connection(_, source) => source.downcast_ref().map_or(Fault::Other, Fault::of),
        _ => Fault::Other,
    };
    fault.with(cause(error))
}

enum Fault {
    Full,
    ReadOnly,
    Unavailable,
    Corrupt,
    Unkeepable,
    Other,
}

impl Fault {
    fn of(error: &Error) -> Self {
        let Some(code) = error.code() else {
            let is_io = error.source().is_some_and(|source| source.is::<std::io::Error>());
            return if is_io || error.is_closed() { Self::Unavailable } else { Self::Other };
        };
        let passing = [
            &SqlState::QUERY_CANCELED,
            &SqlState::LOCK_NOT_AVAILABLE,
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            &SqlState::OUT_OF_MEMORY,
            &SqlState::TOO_MANY_CONNECTIONS,
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
        ];
        match code {
            code if *code == SqlState::DISK_FULL => Self::Full,
            code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly,
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::ReadOnly,
            code if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => Self::Corrupt,
            code if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE => Self::Unkeepable,
            code if *code == SqlState::UNTRANSLATABLE_CHARACTER => Self::Unkeepable,
            // Class 08: the connection.
            code if passing.contains(&code) || code.code().starts_with("08") => Self::Unavailable,
            _ => Self::Other,
        }
    }

    fn with(self, cause: Cause) -> StoreError {
        match self {
            Self::Full => StoreError::Full,
            Self::ReadOnly => StoreError::ReadOnly,
            Self::Unavailable => StoreError::Unavailable(cause),
            Self::Corrupt => StoreError::Corrupt(cause),
            Self::Unkeepable => StoreError::Unkeepable(cause),
            Self::Other => StoreError::Other(cause),
        }
    }
}

impl Columns for Row {
    fn maybe_int(&self, column: &str) -> Stored<Option<i64>> {
        self.try_get(column).map_err(|_| damaged(column))
    }

    fn maybe_text(&self, column: &str) -> Stored<Option<String>> {
        self.try_get(column).map_err(|_| damaged(column))
    }

    fn maybe_bytes(&self, column: &str) -> Stored<Option<Bytes>> {
        let bytes: Option<Vec<u8>> = self.try_get(column).map_err(|_| damaged(column))?;
        Ok(bytes.map(Bytes::from))
    }
}

/// Now, in Unix milliseconds: the database's time, unless a test has set one as the parameter of this number. The time of
/// the statement, not of its transaction, which may have waited for a row.
pub(super) fn now(parameter: u8) -> String {
    format!("COALESCE(${parameter}::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)")
}

/// What a statement is given.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// All rows of a statement that the connection knows from the second time on.
pub(super) async fn rows(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Stored<Vec<Row>> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query(&statement, values).await?)
}

/// The one row of a statement, if it has any.
pub(super) async fn row(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Stored<Option<Row>> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_opt(&statement, values).await?)
}

/// How many rows a statement has changed.
pub(super) async fn execute(transaction: &Transaction<'_>, sql: &str, values: Values<'_>) -> Stored<u64> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.execute(&statement, values).await?)
}
