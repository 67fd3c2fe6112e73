//! The store of one root: a folder with a database, `jobs.db`, and a content-addressed store for
//! large bytes, `blobs/ab/ab…`, named by SHA-256. Only one process at a time has the folder open.
//!
//! A write that has returned survives a kill of the process. Submissions, plans, ends, cancels and
//! redrives also survive a power failure (`synchronous=FULL`). The latest results, events, leases
//! and moves may be lost (`synchronous=NORMAL`): always all of them since some moment, so that the
//! job returns to its state at that moment, and partitions with lost results run again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use frond_root::ledger::Position;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use crate::clock::{SetClock, unix_ms};
use crate::job::{JobId, UnixMs};

use super::rows::damaged;
use super::rules::{admit, unsigned};
use super::sql::{self, jobs, owner};
use super::{
    AcceptReport, EVENTS_KEPT, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews,
    NewJob, Page, Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo, StoreError,
    StoreResult, Submission, SweepReport, TOMBSTONES_KEPT, TakenJob, Usage, cause,
};

mod answers;
mod blobs;
mod fault;
mod open;
mod readers;
mod results;
mod session;
mod sweep;
mod writer;

use blobs::{Blobs, StoredBytes};
use readers::Readers;
use results::PendingResults;
use session::{Session, run};
use writer::{TransactionMode, WriteConnection, Writer};

/// Snapshots in which a missing file of a partial is looked for: a running leaf may replace what it
/// has kept while it is read.
const SNAPSHOTS: u32 = 8;

/// Settings of the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most bytes that the store may take, large files included; `None` is unlimited. Calls that
    /// end jobs may take 16 MiB more, so that a full store can be emptied.
    pub max_bytes: Option<u64>,
    /// Events kept per job.
    pub events_kept: u64,
    /// Tombstones kept per caller.
    pub tombstones_kept: u64,
    /// Connections for reads, at least 1.
    pub readers: usize,
    /// Clock of a test; `None` uses this process's clock.
    pub clock: Option<SetClock>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: None, events_kept: EVENTS_KEPT, tombstones_kept: TOMBSTONES_KEPT, readers: 3, clock: None }
    }
}

/// A store of jobs in a folder. Dropping it completes the pending writes and releases the folder.
pub struct SqliteStore {
    // Dropped before the writer, whose last connection checkpoints the log into the database.
    readers: Readers,
    writer: Writer,
    blobs: Arc<Blobs>,
    database: PathBuf,
    options: Options,
}

impl SqliteStore {
    /// Opens the store in `folder`, which is created, accessible to its owner only, if it does not
    /// exist. Blocks briefly.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another process has the folder open;
    /// [`StoreError::Corrupt`] for a file that is damaged or not a store; [`StoreError::Newer`] for
    /// a store of a newer Frond; [`StoreError::ReadOnly`] and [`StoreError::Full`] if the folder
    /// cannot be written.
    pub fn open(folder: &Path, options: Options) -> StoreResult<Self> {
        let place = open::StoreFolder::claim(folder)?;
        let connection = place.writer()?;
        let size = unsigned(connection.query_row("PRAGMA page_size", [], |row| row.get(0))?);
        let pages = options.max_bytes.map(|bytes| (bytes / size.max(1)).max(1));
        let readers = (0..options.readers.max(1)).map(|_| place.reader()).collect::<StoreResult<Vec<_>>>()?;
        let blobs = Arc::new(Blobs::open(place.blobs)?);
        let writer = Writer::start(WriteConnection::new(connection, pages), place.lock)?;
        Ok(Self { readers: Readers::new(readers), writer, blobs, database: place.database, options })
    }

    /// Lets all leases lapse, so that the jobs of a former process can be taken at once: only one
    /// process has the folder open. Call it after opening, before the first take.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    pub async fn lapse(&self) -> StoreResult<()> {
        self.write(TransactionMode::PASS, async |db| sweep::lapse(db.connection)).await
    }

    /// Removes unreachable partitions, of one job or of all, and old tombstones.
    async fn trim(&self, id: Option<JobId>) -> StoreResult<()> {
        let kept = self.options.tombstones_kept;
        while self.write(TransactionMode::END, async move |db| sql::sweep::trim(db, id, kept).await).await? {}
        Ok(())
    }

    /// Trims a job that has just ended. On an error, the sweep does it later.
    async fn trim_now(&self, id: JobId) {
        if let Err(error) = self.trim(Some(id)).await {
            tracing::debug!(job = %id, %error, "partials are left to the sweep");
        }
    }

    fn now(&self) -> UnixMs {
        self.options.clock.as_ref().map_or_else(unix_ms, SetClock::now)
    }

    /// Runs a call that reads one snapshot.
    async fn read<T: Send + 'static>(
        &self,
        call: impl AsyncFnOnce(&Session<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let now = self.now();
        let read = move |connection: &Connection| {
            let snapshot = connection.unchecked_transaction()?;
            run(call(&Session::new(&snapshot, now)))
        };
        self.readers.read(read).await
    }

    /// Runs a call in a transaction of the writer.
    async fn write<T: Send + 'static>(
        &self,
        mode: TransactionMode,
        call: impl AsyncFnOnce(&Session<'_>) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let now = self.now();
        self.writer.write(mode, move |connection| run(call(&Session::new(connection, now)))).await
    }

    /// Runs work that may write large files, on a thread for blocking work.
    async fn stowing<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl FnOnce(&Blobs) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        if bytes == 0 {
            return work(&self.blobs);
        }
        let blobs = Arc::clone(&self.blobs);
        let database = self.database.clone();
        let quota = self.options.max_bytes;
        let stowing = spawn_blocking(move || {
            let all = size_of(&database).saturating_add(blobs.bytes()).saturating_add(bytes);
            if quota.is_some_and(|quota| all > quota) {
                return Err(StoreError::Full(None));
            }
            work(&blobs)
        });
        stowing.await.map_err(|error| StoreError::Other(cause(error)))?
    }
}

fn size_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn submit(&self, job: NewJob) -> StoreResult<Submission> {
        let most = self.options.max_bytes;
        let files = self.blobs.bytes();
        self.write(TransactionMode::PROMISE, async move |db| {
            if most.is_some() {
                admit(sweep::used(db.connection)?.saturating_add(files), most)?;
            }
            jobs::submit(db, &job).await
        })
        .await
    }

    async fn get(&self, id: JobId) -> StoreResult<Job> {
        self.read(async move |db| jobs::get(db, id).await).await
    }

    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job> {
        let caller = caller.to_owned();
        self.read(async move |db| jobs::get_of(db, id, &caller).await).await
    }

    async fn bytes_of(&self, caller: &str) -> StoreResult<u64> {
        let caller = caller.to_owned();
        self.read(async move |db| jobs::bytes_of(db, &caller).await).await
    }

    async fn asked(&self, id: JobId) -> StoreResult<JobQuery> {
        self.read(async move |db| jobs::asked(db, id).await).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
        let filter = filter.clone();
        self.read(async move |db| jobs::list(db, &filter, page).await).await
    }

    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>> {
        let owner = owner.to_owned();
        let apps = apps.clone();
        self.write(TransactionMode::PASS, async move |db| owner::take(db, &owner, &apps, lease).await).await
    }

    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews> {
        self.write(TransactionMode::PASS, async move |db| owner::renew(db, id, epoch, lease).await).await
    }

    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
        self.read(async move |db| owner::wanted(db, id, epoch).await).await
    }

    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.write(TransactionMode::PASS, async move |db| owner::release(db, id, epoch).await).await
    }

    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()> {
        self.write(TransactionMode::PROMISE, async move |db| owner::plan(db, id, epoch, &planned).await).await
    }

    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
        let page = page.clone();
        self.read(async move |db| owner::partitions(db, id, &page).await).await
    }

    async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport> {
        let large = results::large(&results);
        let pending = self.stowing(large, move |blobs| PendingResults::new(blobs, id, epoch, results)).await?;
        self.writer.accept(pending).await
    }

    async fn partials(&self, id: JobId, after: Option<Position>, max_bytes: u64) -> StoreResult<Vec<Partial>> {
        for _ in 0..SNAPSHOTS {
            let blobs = Arc::clone(&self.blobs);
            let read = self.read(async move |db| results::partials(db, &blobs, id, after, max_bytes).await);
            if let Some(partials) = read.await? {
                return Ok(partials);
            }
        }
        Err(damaged(blobs::FILE))
    }

    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.write(TransactionMode::PASS, async move |db| owner::merge(db, id, epoch).await).await
    }

    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job> {
        let result = ended.result.clone();
        let large = result.as_ref().map_or(0, blobs::large);
        let stored = self.stowing(large, move |blobs| result.map(|bytes| blobs.take(bytes)).transpose()).await?;
        let finish = async move |db: &Session<'_>| {
            let file = stored.as_ref().and_then(StoredBytes::digest);
            let job = owner::finish(db, id, epoch, &ended, file).await?;
            // Returned, so that a file stays pinned until its row is committed.
            Ok((job, stored))
        };
        let (job, stored) = self.write(TransactionMode::END, finish).await?;
        // A sweep may hold the lock of the pins while it looks at files.
        drop(tokio::task::spawn_blocking(move || drop(stored)));
        self.trim_now(id).await;
        Ok(job)
    }

    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>> {
        let blobs = Arc::clone(&self.blobs);
        self.read(async move |db| answers::info(db, &blobs, id).await).await
    }

    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes> {
        let blobs = Arc::clone(&self.blobs);
        self.read(async move |db| answers::part(db, &blobs, id, epoch, from, most).await).await
    }

    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job> {
        self.write(TransactionMode::END, async move |db| jobs::cancel(db, id, keep_partial).await).await
    }

    async fn redrive(&self, id: JobId) -> StoreResult<Job> {
        self.write(TransactionMode::END, async move |db| jobs::redrive(db, id).await).await
    }

    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job> {
        self.write(TransactionMode::END, async move |db| jobs::retain(db, id, retention_ms).await).await
    }

    async fn delete(&self, id: JobId) -> StoreResult<Job> {
        self.write(TransactionMode::END, async move |db| sql::sweep::delete(db, id).await).await?;
        self.trim_now(id).await;
        self.get(id).await
    }

    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()> {
        let kept = self.options.events_kept;
        self.write(TransactionMode::GROW, async move |db| owner::append(db, id, epoch, &news, kept).await).await
    }

    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
        self.read(async move |db| jobs::events(db, id, after, limit).await).await
    }

    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
        let app = app.to_owned();
        let version = version.to_owned();
        self.read(async move |db| jobs::history(db, &app, &version, limit).await).await
    }

    async fn sweep(&self) -> StoreResult<SweepReport> {
        let mut swept = SweepReport::default();
        // In short transactions, so that others can write in between. The database is durable
        // before a file is removed.
        while let Some(bytes) = self.write(TransactionMode::END, async |db| sql::sweep::expire(db).await).await? {
            swept.expired += 1;
            swept.bytes += bytes;
        }
        self.trim(None).await?;
        let end = async |db: &Session<'_>| {
            jobs::end_cancelled(db).await?;
            sql::sweep::forget(db).await
        };
        swept.forgotten = self.write(TransactionMode::END, end).await?;
        while self.write(TransactionMode::END, async |db| sweep::vacuum(db.connection)).await? {}
        let blobs = Arc::clone(&self.blobs);
        // Not in one snapshot: a row that is committed meanwhile must be seen.
        let sweeping = move |connection: &Connection| blobs.sweep(|digest| sweep::is_used(connection, digest));
        swept.blobs_removed = self.readers.read(sweeping).await?;
        Ok(swept)
    }

    async fn ping(&self) -> StoreResult<()> {
        self.readers.read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    async fn usage(&self) -> StoreResult<Usage> {
        let database = self.database.clone();
        let blobs = Arc::clone(&self.blobs);
        let now = self.now();
        self.read(async move |db| {
            let log = database.with_extension("db-wal");
            let bytes = size_of(&database) + size_of(&log) + blobs.bytes();
            jobs::usage(db, Usage { bytes, now, ..Usage::default() }).await
        })
        .await
    }
}
