//! Opening of a store: its folder, lock, connections and schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::migrations;
use crate::store::{StoreError, StoreResult, cause};

use super::blobs::{make_folder, sync_folder};
use super::fault::{in_migration, on_disk};

/// SQLite `application_id` of a store: "Frnd".
const APPLICATION: i64 = 0x4672_6E64;
/// Wait for other users of the database file, such as a backup.
const BUSY: Duration = Duration::from_secs(5);
/// Largest file, in bytes, that is checked completely when it is opened: takes some hundred
/// milliseconds.
const CHECKED: u64 = 64 << 20;

/// A folder that this process has locked.
pub(super) struct StoreFolder {
    pub(super) database: PathBuf,
    pub(super) blobs: PathBuf,
    pub(super) lock: File,
}

impl StoreFolder {
    /// Creates missing files and folders, and locks the folder against other processes for the
    /// lifetime of `lock`.
    pub(super) fn claim(folder: &Path) -> StoreResult<Self> {
        make_folder(folder)?;
        let database = folder.join("jobs.db");
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let lock = options.open(folder.join("jobs.lock")).map_err(on_disk)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                StoreError::Unavailable(cause(format!("another process has `{}` open", folder.display())))
            }
            TryLockError::Error(error) => on_disk(error),
        })?;
        // SQLite creates its other files with the permissions of this one.
        let file = options.open(&database).map_err(on_disk)?;
        // Respects a read-only file even if the user, such as root, could write it.
        if file.metadata().map_err(on_disk)?.permissions().readonly() {
            return Err(StoreError::ReadOnly(cause("the file is marked as read-only")));
        }
        // Makes the folder's entry in its parent, and the database's in the folder, durable.
        sync_folder(folder)?;
        if let Some(parent) = folder.canonicalize().map_err(on_disk)?.parent() {
            // May fail for lack of permission.
            let _ = sync_folder(parent);
        }
        Ok(Self { database, blobs: folder.join("blobs"), lock })
    }

    /// Opens the connection for writes, and migrates the schema.
    pub(super) fn writer(&self) -> StoreResult<Connection> {
        let mut connection = Connection::open_with_flags(&self.database, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        connection.busy_timeout(BUSY)?;
        recognize(&connection)?;
        // Takes effect only in an empty file.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(64);
        check(&connection, &self.database)?;
        migrate(&mut connection)?;
        connection.pragma_update(None, "application_id", APPLICATION)?;
        Ok(connection)
    }

    /// Opens a connection for reads.
    pub(super) fn reader(&self) -> StoreResult<Connection> {
        let connection = Connection::open_with_flags(&self.database, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn number(connection: &Connection, sql: &str) -> StoreResult<i64> {
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Refuses a file that is not a database, or that belongs to another program.
fn recognize(connection: &Connection) -> StoreResult<()> {
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    let ours = number(connection, &format!("SELECT count(*) FROM sqlite_schema WHERE name = '{}'", migrations::TABLE))?;
    let application = number(connection, "PRAGMA application_id")?;
    // A process killed during its first open leaves a file with the tables but without the
    // application id.
    if tables == 0 || application == APPLICATION || (application == 0 && ours == 1) {
        Ok(())
    } else {
        Err(StoreError::Corrupt(cause("the file is a database of another program")))
    }
}

fn check(connection: &Connection, file: &Path) -> StoreResult<()> {
    if std::fs::metadata(file).map_or(0, |file| file.len()) > CHECKED {
        return Ok(());
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Corrupt(cause(found))),
    }
}

fn migrate(connection: &mut Connection) -> StoreResult<()> {
    let table = migrations::TABLE;
    if number(connection, &format!("SELECT count(*) FROM sqlite_schema WHERE name = '{table}'"))? == 1 {
        migrations::check(
            &migrations::SQLITE,
            number(connection, &format!("SELECT COALESCE(max(version), 0) FROM {table}"))?,
        )?;
    }
    migrations::runner(&migrations::SQLITE)?.run(connection).map_err(in_migration)?;
    Ok(())
}
