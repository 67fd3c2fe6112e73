//! Artifacts: versions of apps that planned jobs, stored for servers that lack them.

use bytes::Bytes;
use tokio_postgres::Row;

use crate::store::rows::{Columns, damaged};
use crate::store::rules::{sql, unsigned};
use crate::store::{Artifact, StoreError, StoreResult};

use super::session::Transaction;
use super::sizes::fits;

/// Most bytes of all artifacts together: 4 GiB.
pub const MAX_ARTIFACTS: u64 = 4 << 30;
/// Time for which an unused artifact stays, in milliseconds: a job that needs it may be about to be
/// planned.
const GRACE_MS: i64 = 60 * 60 * 1000;

/// SQL for the time of the database's clock, in Unix milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// True if the artifact is stored; extends its life by the grace period.
pub(super) async fn has(transaction: &Transaction<'_>, app: &str, version: &str) -> StoreResult<bool> {
    let update = format!("UPDATE artifacts SET used = {NOW} WHERE app = $1 AND version = $2");
    Ok(transaction.change(&update, &[&app, &version]).await? > 0)
}

pub(super) async fn keep(
    transaction: &Transaction<'_>,
    app: &str,
    version: &str,
    artifact: &Artifact,
) -> StoreResult<()> {
    // Excludes a concurrent sweep, which could remove blobs that the new artifact refers to.
    transaction.change("LOCK TABLE artifacts IN SHARE ROW EXCLUSIVE MODE", &[]).await?;
    let sum = transaction.row("SELECT COALESCE(sum(size), 0)::bigint AS sum FROM blobs", &[]).await?;
    let held = sum.map(|row| row.int("sum")).transpose()?.map_or(0, unsigned);
    let size = artifact.blobs.iter().fold(held, |sum, (_, bytes)| sum.saturating_add(bytes.len() as u64));
    if size > MAX_ARTIFACTS {
        return Err(StoreError::TooLarge { what: "bytes of the versions of planned jobs", size, limit: MAX_ARTIFACTS });
    }
    let insert =
        format!("INSERT INTO artifacts (app, version, about, used) VALUES ($1, $2, $3, {NOW}) ON CONFLICT DO NOTHING");
    if transaction.change(&insert, &[&app, &version, &artifact.about]).await? == 0 {
        return Ok(());
    }
    for (digest, bytes) in &artifact.blobs {
        fits("bytes of a component", bytes.len())?;
        let blob = "INSERT INTO blobs (digest, size, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        transaction.change(blob, &[digest, &sql(bytes.len() as u64), &&**bytes]).await?;
        let part = "INSERT INTO artifact_blobs (app, version, digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        transaction.change(part, &[&app, &version, digest]).await?;
    }
    Ok(())
}

pub(super) async fn get(transaction: &Transaction<'_>, app: &str, version: &str) -> StoreResult<Option<Artifact>> {
    let select = "SELECT about FROM artifacts WHERE app = $1 AND version = $2";
    let Some(found) = transaction.row(select, &[&app, &version]).await? else { return Ok(None) };
    let select = "SELECT digest, bytes FROM artifact_blobs JOIN blobs USING (digest) WHERE app = $1 AND version = $2";
    let blobs = transaction.rows(select, &[&app, &version]).await?;
    let blobs: StoreResult<_> = blobs.iter().map(blob_of).collect();
    Ok(Some(Artifact { about: found.text("about")?, blobs: blobs? }))
}

fn blob_of(row: &Row) -> StoreResult<(String, Bytes)> {
    Ok((row.text("digest")?, row.maybe_bytes("bytes")?.ok_or_else(|| damaged("bytes"))?))
}

/// Removes artifacts that no job can need any more. Returns the number of removed blobs.
pub(super) async fn sweep(transaction: &Transaction<'_>) -> StoreResult<u64> {
    transaction.change("LOCK TABLE artifacts IN SHARE ROW EXCLUSIVE MODE", &[]).await?;
    let unused = format!(
        "DELETE FROM artifacts a WHERE used < {NOW} - {GRACE_MS} AND NOT EXISTS (SELECT 1 FROM jobs j \
         WHERE j.app = a.app AND j.version = a.version AND j.planned = 1 AND j.state NOT IN ('succeeded', 'expired'))"
    );
    if transaction.change(&unused, &[]).await? == 0 {
        return Ok(0);
    }
    let orphans = "DELETE FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM artifact_blobs p WHERE p.digest = b.digest)";
    transaction.change(orphans, &[]).await
}
