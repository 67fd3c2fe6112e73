//! Maps errors of SQLite and the file system to errors of the store.

use bytes::Bytes;
use refinery::error::Kind;
use rusqlite::{Error, ErrorCode, Row};

use crate::store::rows::Columns;
use crate::store::{Cause, StoreError, StoreResult, cause};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let is_of_another_type =
            matches!(error, Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::Utf8Error(..));
        match error.sqlite_error_code() {
            None if is_of_another_type => Self::Corrupt(cause(error)),
            code => by_code(code, cause(error)),
        }
    }
}

/// Maps the error of a failed migration, of which nothing was applied.
pub(super) fn in_migration(error: refinery::Error) -> StoreError {
    let code = match error.kind() {
        Kind::Connection(_, source) => source.downcast_ref::<Error>().and_then(Error::sqlite_error_code),
        _ => None,
    };
    by_code(code, cause(error))
}

fn by_code(code: Option<ErrorCode>, cause: Cause) -> StoreError {
    match code {
        Some(ErrorCode::DiskFull) => StoreError::Full(Some(cause)),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(cause),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(cause),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Corrupt(cause),
        _ => StoreError::Other(cause),
    }
}

/// Maps an error of the file system.
pub(super) fn on_disk(error: std::io::Error) -> StoreError {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => StoreError::Full(Some(cause(error))),
        PermissionDenied | ReadOnlyFilesystem => StoreError::ReadOnly(cause(error)),
        _ => StoreError::Other(cause(error)),
    }
}

impl Columns for Row<'_> {
    fn maybe_int(&self, column: &str) -> StoreResult<Option<i64>> {
        Ok(self.get(column)?)
    }

    fn maybe_text(&self, column: &str) -> StoreResult<Option<String>> {
        Ok(self.get(column)?)
    }

    fn maybe_bytes(&self, column: &str) -> StoreResult<Option<Bytes>> {
        Ok(self.get::<_, Option<Vec<u8>>>(column)?.map(Bytes::from))
    }
}
