//! Leases of a former process, and space of the database and its files.

use rusqlite::{Connection, OptionalExtension};

use crate::store::StoreResult;
use crate::store::rules::unsigned;

/// Most free pages that one transaction returns to the disk.
const PAGES: u32 = 4_096;

/// Lets all leases lapse.
pub(super) fn lapse(connection: &Connection) -> StoreResult<()> {
    connection.execute(
        "UPDATE jobs SET lease_until = 0 WHERE state IN ('planning', 'running', 'merging') AND lease_until > 0",
        [],
    )?;
    Ok(())
}

/// Returns some free pages to the disk. Returns false if there are none left.
pub(super) fn vacuum(connection: &Connection) -> StoreResult<bool> {
    let free = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
    let before = free()?;
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    let after = free()?;
    Ok(after > 0 && after < before)
}

/// Bytes of the database's pages in use.
pub(super) fn used(connection: &Connection) -> StoreResult<u64> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    Ok(unsigned(pages).saturating_mul(unsigned(number("PRAGMA page_size")?)))
}

/// True if a row refers to the file.
pub(super) fn is_used(connection: &Connection, digest: &str) -> StoreResult<bool> {
    let mut select = connection.prepare_cached(
        "SELECT 1 FROM partitions WHERE blob = ?1 UNION ALL SELECT 1 FROM parts WHERE blob = ?1 \
         UNION ALL SELECT 1 FROM jobs WHERE result_blob = ?1 LIMIT 1",
    )?;
    Ok(select.query_row([digest], |_| Ok(())).optional()?.is_some())
}
