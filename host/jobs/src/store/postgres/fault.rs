//! Maps errors of PostgreSQL to errors of the store, with shorthands for statements.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::{PoolError, TimeoutType};
use refinery::error::Kind;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, Row};

use crate::store::rows::{Columns, damaged};
use crate::store::{Cause, StoreError, StoreResult, TimedOut, cause, chain};

/// The server's message, for logs: its code and text. Clients of the API see neither.
#[derive(Debug)]
pub(super) enum ServerMessage {
    /// An error with its SQLSTATE code.
    Code(SqlState, String),
    /// An error of the connection.
    Words(String),
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code, text) => write!(f, "PostgreSQL says {}: {text}", code.code()),
            Self::Words(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ServerMessage {}

impl From<&Error> for ServerMessage {
    fn from(error: &Error) -> Self {
        let Some(db_error) = error.as_db_error() else {
            return Self::Words(chain(error));
        };
        let more = [("detail", db_error.detail()), ("hint", db_error.hint())];
        let more = more.into_iter().filter_map(|(name, text)| Some(format!(" ({name}: {})", text?)));
        Self::Code(db_error.code().clone(), db_error.message().to_owned() + &more.collect::<String>())
    }
}

/// Error of a response that did not arrive in time.
pub(super) fn silent(patience: Duration) -> StoreError {
    StoreError::Unavailable(cause(TimedOut(format!("PostgreSQL has not answered for {patience:?}"))))
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Fault::of(&error).with(cause(ServerMessage::from(&error)))
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        let why = match error {
            PoolError::Backend(error) => return error.into(),
            PoolError::Timeout(TimeoutType::Wait) => "all connections to the database are busy",
            PoolError::Timeout(_) => "the database has not answered a new connection in time",
            error => return Self::Other(cause(error)),
        };
        Self::Unavailable(cause(TimedOut(why.to_owned())))
    }
}

/// Maps the error of a failed migration, of which nothing was applied.
pub(super) fn in_migration(error: refinery::Error) -> StoreError {
    match error.kind() {
        Kind::Connection(_, source) => match source.downcast_ref::<Error>() {
            Some(source) => Fault::of(source).with(cause(ServerMessage::from(source))),
            None => StoreError::Other(cause(error)),
        },
        _ => StoreError::Other(cause(error)),
    }
}

/// Kind of a database error, by its SQLSTATE.
enum Fault {
    Full,
    ReadOnly,
    Denied,
    Settings,
    Unavailable,
    TimedOut,
    Corrupt,
    Unkeepable,
    Other,
}

impl Fault {
    fn of(error: &Error) -> Self {
        let Some(code) = error.code() else {
            let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
            // A wrong certificate is permanent; a broken handshake may not be.
            let is_tls = error.to_string().starts_with("error performing TLS handshake");
            return match io {
                Some(io) if is_tls && io.kind() == std::io::ErrorKind::InvalidData => Self::Settings,
                None if is_tls => Self::Settings,
                Some(_) => Self::Unavailable,
                None if error.is_closed() => Self::Unavailable,
                None => Self::Other,
            };
        };
        let passing = [
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
            // No schema on the search path is usable.
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE || *code == SqlState::INVALID_SCHEMA_NAME => Self::Denied,
            code if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => Self::Corrupt,
            code if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE => Self::Unkeepable,
            code if *code == SqlState::UNTRANSLATABLE_CHARACTER => Self::Unkeepable,
            code if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE => Self::TimedOut,
            // Class 08: connection errors.
            code if passing.contains(&code) || code.code().starts_with("08") => Self::Unavailable,
            // Class 28: authentication errors; and a missing database.
            code if code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME => Self::Settings,
            _ => Self::Other,
        }
    }

    fn with(self, cause: Cause) -> StoreError {
        match self {
            Self::Full => StoreError::Full(Some(cause)),
            Self::ReadOnly => StoreError::ReadOnly(cause),
            Self::Denied => {
                let what = "the role of the store of jobs lacks rights in its database\n\
                     (it needs SELECT, INSERT, UPDATE and DELETE on the tables: see host/docs/jobs.md)";
                StoreError::Denied { what: what.to_owned(), cause }
            }
            Self::Settings => StoreError::Settings(format!("the database does not let the store of jobs in: {cause}")),
            Self::Unavailable => StoreError::Unavailable(cause),
            Self::TimedOut => StoreError::Unavailable(Arc::new(TimedOut(cause.to_string()))),
            Self::Corrupt => StoreError::Corrupt(cause),
            Self::Unkeepable => StoreError::Unkeepable(cause),
            Self::Other => StoreError::Other(cause),
        }
    }
}

impl Columns for Row {
    fn maybe_int(&self, column: &str) -> StoreResult<Option<i64>> {
        self.try_get(column).map_err(|_| damaged(column))
    }

    fn maybe_text(&self, column: &str) -> StoreResult<Option<String>> {
        self.try_get(column).map_err(|_| damaged(column))
    }

    fn maybe_bytes(&self, column: &str) -> StoreResult<Option<Bytes>> {
        let bytes: Option<Vec<u8>> = self.try_get(column).map_err(|_| damaged(column))?;
        Ok(bytes.map(Bytes::from))
    }
}
