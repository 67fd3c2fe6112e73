//! Opening a store: its folder, its lock, its connections, its schema.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::migrations;
use crate::store::{StoreError, StoreResult, cause};

use super::blobs::{make_folder, sync_folder};
use super::fault::{in_migration, on_disk};

/// What tells our files from other databases: "Frnd".
const APPLICATION: i64 = 0x4672_6E64;
/// How long to wait for others that hold the file, a copy being made for one.
const BUSY: Duration = Duration::from_secs(5);
/// Files to this size are checked whole when they are opened: some hundred milliseconds.
const CHECKED: u64 = 64 << 20;

/// A folder that is ours alone.
pub(super) struct StoreFolder {
    pub(super) database: PathBuf,
    pub(super) blobs: PathBuf,
    pub(super) lock: File,
}

impl StoreFolder {
    /// Makes what is not there, and keeps other processes out for as long as the lock lives.
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
        // SQLite gives its other files the permissions of this one.
        let file = options.open(&database).map_err(on_disk)?;
        // A file that says so is not written, not even by a user who could.
        if file.metadata().map_err(on_disk)?.permissions().readonly() {
            return Err(StoreError::ReadOnly(cause("the file is marked as read-only")));
        }
        // A database that was just made is not lost with its folder's entry, nor the folder with its parent's.
        sync_folder(folder)?;
        if let Some(parent) = folder.canonicalize().map_err(on_disk)?.parent() {
            // Not everybody may open it.
            let _ = sync_folder(parent);
        }
        Ok(Self { database, blobs: folder.join("blobs"), lock })
    }

    /// The connection that writes, with the schema up to date.
    pub(super) fn writer(&self) -> StoreResult<Connection> {
        let mut connection = Connection::open_with_flags(&self.database, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        connection.busy_timeout(BUSY)?;
        recognize(&connection)?;
        // Takes effect in an empty file only.
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

    /// A connection that reads.
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

/// Refuses what is no database, or that of something else.
fn recognize(connection: &Connection) -> StoreResult<()> {
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema")?;
    let ours = number(connection, &format!("SELECT count(*) FROM sqlite_schema WHERE name = '{}'", migrations::TABLE))?;
    let application = number(connection, "PRAGMA application_id")?;
    // Killed while it was first opened, a file of ours has our tables and not yet our name.
    match tables == 0 || application == APPLICATION || (application == 0 && ours == 1) {
        true => Ok(()),
        false => Err(StoreError::Corrupt(cause("the file is a database of another program"))),
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
