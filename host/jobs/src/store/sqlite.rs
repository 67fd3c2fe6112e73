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
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use crate::clock::{SetClock, ms, unix_ms};
use crate::job::{JobId, UnixMs};

use super::rules::{admit, unsigned};
use super::{
    AcceptReport, EVENTS_KEPT, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews,
    NewJob, Page, Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo, StoreError,
    StoreResult, Submission, SweepReport, TOMBSTONES_KEPT, TakenJob, Usage, cause,
};

mod answers;
mod blobs;
mod fault;
mod jobs;
mod open;
mod owner;
mod readers;
mod results;
mod sweep;
mod writer;

use blobs::Blobs;
use readers::Readers;
use results::PendingResults;
use writer::{TransactionMode, WriteConnection, Writer};

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
        self.write(TransactionMode::PASS, owner::lapse).await
    }

    /// Removes unreachable partitions, of one job or of all, and old tombstones.
    async fn trim(&self, id: Option<JobId>) -> StoreResult<()> {
        let kept = self.options.tombstones_kept;
        while self.write(TransactionMode::END, move |connection| sweep::trim(connection, id, kept)).await? {}
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

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.readers.read(work).await
    }

    async fn write<T: Send + 'static>(
        &self,
        mode: TransactionMode,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.writer.write(mode, work).await
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
        let now = self.now();
        let most = self.options.max_bytes;
        let files = self.blobs.bytes();
        self.write(TransactionMode::PROMISE, move |connection| {
            if most.is_some() {
                admit(sweep::used(connection)?.saturating_add(files), most)?;
            }
            jobs::submit(connection, &job, now)
        })
        .await
    }

    async fn get(&self, id: JobId) -> StoreResult<Job> {
        self.read(move |connection| jobs::get(connection, id)).await
    }

    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job> {
        let caller = caller.to_owned();
        self.read(move |connection| jobs::get_of(connection, id, &caller)).await
    }

    async fn bytes_of(&self, caller: &str) -> StoreResult<u64> {
        let caller = caller.to_owned();
        self.read(move |connection| jobs::bytes_of(connection, &caller)).await
    }

    async fn asked(&self, id: JobId) -> StoreResult<JobQuery> {
        self.read(move |connection| jobs::asked(connection, id)).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
        let filter = filter.clone();
        self.read(move |connection| jobs::list(connection, &filter, page)).await
    }

    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>> {
        let owner = owner.to_owned();
        let apps = apps.clone();
        let now = self.now();
        let until = now.plus(ms(lease));
        self.write(TransactionMode::PASS, move |connection| owner::take(connection, &owner, &apps, now, until)).await
    }

    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews> {
        let until = self.now().plus(ms(lease));
        self.write(TransactionMode::PASS, move |connection| owner::renew(connection, id, epoch, until)).await
    }

    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
        self.read(move |connection| owner::wanted(connection, id, epoch)).await
    }

    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        let now = self.now();
        self.write(TransactionMode::PASS, move |connection| owner::release(connection, id, epoch, now)).await
    }

    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()> {
        self.write(TransactionMode::PROMISE, move |connection| owner::plan(connection, id, epoch, &planned)).await
    }

    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
        let page = page.clone();
        self.read(move |connection| owner::partitions(connection, id, &page)).await
    }

    async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport> {
        let large = results::large(&results);
        let pending = self.stowing(large, move |blobs| PendingResults::new(blobs, id, epoch, results)).await?;
        self.writer.accept(pending).await
    }

    async fn partials(&self, id: JobId, after: Option<u32>, max_bytes: u64) -> StoreResult<Vec<Partial>> {
        let blobs = Arc::clone(&self.blobs);
        self.read(move |connection| results::partials(connection, &blobs, id, after, max_bytes)).await
    }

    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        self.write(TransactionMode::PASS, move |connection| owner::merge(connection, id, epoch)).await
    }

    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job> {
        let result = ended.result.clone();
        let large = result.as_ref().map_or(0, blobs::large);
        let stowed = self.stowing(large, move |blobs| result.map(|bytes| blobs.take(bytes)).transpose()).await?;
        let now = self.now();
        let finish = move |connection: &Connection| owner::finish(connection, id, epoch, &ended, stowed.as_ref(), now);
        let job = self.write(TransactionMode::END, finish).await?;
        self.trim_now(id).await;
        Ok(job)
    }

    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>> {
        let blobs = Arc::clone(&self.blobs);
        self.read(move |connection| answers::info(connection, &blobs, id)).await
    }

    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes> {
        let blobs = Arc::clone(&self.blobs);
        self.read(move |connection| answers::part(connection, &blobs, id, epoch, from, most)).await
    }

    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job> {
        let now = self.now();
        self.write(TransactionMode::END, move |connection| jobs::cancel(connection, id, keep_partial, now)).await
    }

    async fn redrive(&self, id: JobId) -> StoreResult<Job> {
        let now = self.now();
        self.write(TransactionMode::END, move |connection| jobs::redrive(connection, id, now)).await
    }

    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job> {
        self.write(TransactionMode::END, move |connection| jobs::retain(connection, id, retention_ms)).await
    }

    async fn delete(&self, id: JobId) -> StoreResult<Job> {
        let now = self.now();
        self.write(TransactionMode::END, move |connection| sweep::delete(connection, id, now)).await?;
        self.trim_now(id).await;
        self.get(id).await
    }

    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()> {
        let kept = self.options.events_kept;
        self.write(TransactionMode::GROW, move |connection| owner::append(connection, id, epoch, &news, kept)).await
    }

    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
        self.read(move |connection| jobs::events(connection, id, after, limit)).await
    }

    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
        let app = app.to_owned();
        let version = version.to_owned();
        self.read(move |connection| jobs::history(connection, &app, &version, limit)).await
    }

    async fn sweep(&self) -> StoreResult<SweepReport> {
        let now = self.now();
        let mut swept = SweepReport::default();
        // In short transactions, so that others can write in between. The database is durable
        // before a file is removed.
        while let Some(bytes) =
            self.write(TransactionMode::END, move |connection| sweep::expire(connection, now)).await?
        {
            swept.expired += 1;
            swept.bytes += bytes;
        }
        self.trim(None).await?;
        let end = move |connection: &Connection| {
            jobs::end_cancelled(connection, now)?;
            sweep::forget(connection, now)
        };
        swept.forgotten = self.write(TransactionMode::END, end).await?;
        while self.write(TransactionMode::END, sweep::vacuum).await? {}
        let blobs = Arc::clone(&self.blobs);
        let sweeping = move |connection: &Connection| blobs.sweep(|digest| sweep::is_used(connection, digest));
        swept.blobs_removed = self.read(sweeping).await?;
        Ok(swept)
    }

    async fn ping(&self) -> StoreResult<()> {
        self.read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    async fn usage(&self) -> StoreResult<Usage> {
        let now = self.now();
        let blobs = Arc::clone(&self.blobs);
        let database = self.database.clone();
        self.read(move |connection| {
            let log = database.with_extension("db-wal");
            let bytes = size_of(&database) + size_of(&log) + blobs.bytes();
            jobs::usage(connection, bytes, now)
        })
        .await
    }
}
