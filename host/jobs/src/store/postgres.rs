//! The store that several roots share: a dedicated PostgreSQL database, 14 or later. Any number of
//! processes may have it open; the first one creates or migrates the tables. The database server's
//! clock is the store's clock. Processes connect to the server directly: a pooler that shares
//! connections between transactions is refused.
//!
//! Durability is that of the server's `synchronous_commit`: with the default, a write that has
//! returned is on the server's disk. Large bytes stay in their rows, up to [`MAX_BYTES`]; larger
//! ones are refused. Texts with a NUL character are refused as well, since PostgreSQL cannot store
//! them.
//!
//! Every call is bounded in time: statements have timeouts on the server and here, and a silent
//! connection is given up.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::Pool;
use frond_root::ledger::Position;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_postgres::IsolationLevel;

use crate::job::JobId;

use super::location::{DatabaseUrl, environment};
use super::rules::admit;
use super::sql::{jobs, owner, sweep};
use super::{
    AcceptReport, Artifact, EventBatch, EventPage, Filter, Job, JobEnd, JobFilter, JobQuery, JobStore, LeaseNews,
    NewJob, Page, Partial, PartitionPage, PartitionResult, PartitionRow, PastJob, PlanRecord, ResultInfo, StoreError,
    StoreResult, Submission, SweepReport, TakenJob, Usage, chain,
};

mod answers;
mod artifacts;
mod connect;
mod dialect;
mod fault;
mod options;
mod results;
mod schema;
mod session;
mod sizes;
mod target;
mod tls;
mod usage;

use session::{Load, PooledConnection};
use sizes::{fits, size_of};

pub use artifacts::MAX_ARTIFACTS;
pub use options::Options;
pub use sizes::MAX_BYTES;

/// Time for which the measured size of the jobs is reused.
const FRESH: Duration = Duration::from_secs(1);

/// Runs `$work` in a transaction named `$transaction`, and commits.
macro_rules! writing {
    ($store:expr, $load:expr, |$transaction:ident| $work:expr) => {
        in_transaction!($store, $load, IsolationLevel::ReadCommitted, false, |$transaction| $work)
    };
}

/// Runs `$work` in a read-only transaction named `$transaction` that sees one snapshot.
macro_rules! reading {
    ($store:expr, $load:expr, |$transaction:ident| $work:expr) => {
        in_transaction!($store, $load, IsolationLevel::RepeatableRead, true, |$transaction| $work)
    };
}

macro_rules! in_transaction {
    ($store:expr, $load:expr, $isolation:expr, $read_only:expr, |$transaction:ident| $work:expr) => {{
        let mut connection = $store.lend($load).await?;
        let done: StoreResult<_> = async {
            let $transaction = connection.begin($isolation, $read_only).await?;
            let done = $work.await?;
            $transaction.commit().await?;
            Ok(done)
        }
        .await;
        connection.end(done)
    }};
}

/// Load of reading rows of any size.
const ROWS: Load = Load::Much(MAX_BYTES);
/// Load of changing many small rows.
const MANY: Load = Load::Much(0);

/// A store of jobs in PostgreSQL.
pub struct PostgresStore {
    pool: Pool,
    options: Options,
    /// Latest measured size of the jobs, in bytes, with the time of the measurement.
    used: Mutex<Option<(Instant, u64)>>,
}

impl PostgresStore {
    /// Opens the store in the database that `url` names, completed from the environment like in
    /// libpq.
    ///
    /// # Errors
    /// [`StoreError::Settings`] for a wrong URL, a pooler in transaction mode, or a database whose
    /// encoding is not UTF8; [`StoreError::Unavailable`] if the server does not answer;
    /// [`StoreError::Newer`] for a database of a newer Frond; [`StoreError::Denied`] without the
    /// necessary rights; [`StoreError::ReadOnly`] for a standby.
    pub async fn open(url: &DatabaseUrl, options: Options) -> StoreResult<Self> {
        let target = target::Target::new(url, &environment)?;
        let connector = connect::Connector::new(target, &options)?;
        schema::prepare(&connector, options.patience).await?;
        Ok(Self { pool: connect::pool(connector, &options)?, options, used: Mutex::default() })
    }

    /// Bytes that jobs take, without their events; measured at most [`FRESH`] ago.
    async fn used(&self) -> StoreResult<u64> {
        let known = *self.used.lock();
        if let Some((_, used)) = known.filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(used);
        }
        let used = reading!(self, MANY, |transaction| usage::used(&transaction))?;
        *self.used.lock() = Some((Instant::now(), used));
        Ok(used)
    }

    /// Refuses growth of a store that has reached its limit.
    async fn grows(&self) -> StoreResult<()> {
        match self.options.max_bytes {
            Some(most) if self.used().await? > most => Err(StoreError::Full(None)),
            _ => Ok(()),
        }
    }

    /// Removes unreachable partitions, of one job or of all, and old tombstones.
    async fn trim(&self, id: Option<JobId>) -> StoreResult<()> {
        let kept = self.options.tombstones_kept;
        while writing!(self, MANY, |transaction| sweep::trim(&transaction, id, kept))? {}
        Ok(())
    }

    /// Trims a job that has just ended. On an error, the sweep does it later.
    async fn trim_now(&self, id: JobId) {
        if let Err(error) = self.trim(Some(id)).await {
            tracing::debug!(job = %id, error = chain(&error), "partials are left to the sweep");
        }
    }

    async fn lend(&self, load: Load) -> StoreResult<PooledConnection<'_>> {
        PooledConnection::new(&self.pool, &self.options, load).await
    }
}

#[async_trait]
impl JobStore for PostgresStore {
    async fn submit(&self, job: NewJob) -> StoreResult<Submission> {
        fits("bytes of a query", job.query.len())?;
        if self.options.max_bytes.is_some() {
            admit(self.used().await?, self.options.max_bytes)?;
        }
        writing!(self, Load::of([job.query.len()]), |transaction| jobs::submit(&transaction, &job))
    }

    async fn get(&self, id: JobId) -> StoreResult<Job> {
        reading!(self, Load::Little, |transaction| jobs::get(&transaction, id))
    }

    async fn get_of(&self, id: JobId, caller: &str) -> StoreResult<Job> {
        reading!(self, Load::Little, |transaction| jobs::get_of(&transaction, id, caller))
    }

    async fn bytes_of(&self, caller: &str) -> StoreResult<u64> {
        reading!(self, Load::Little, |transaction| jobs::bytes_of(&transaction, caller))
    }

    async fn asked(&self, id: JobId) -> StoreResult<JobQuery> {
        reading!(self, ROWS, |transaction| jobs::asked(&transaction, id))
    }

    async fn list(&self, filter: &Filter, page: Page) -> StoreResult<Vec<Job>> {
        reading!(self, Load::Little, |transaction| jobs::list(&transaction, filter, page))
    }

    async fn take(&self, owner: &str, apps: &JobFilter, lease: Duration) -> StoreResult<Option<TakenJob>> {
        // The query skips a row that another transaction changed concurrently, without looking at
        // the next row.
        for _ in 0..TRIES {
            match writing!(self, Load::Little, |transaction| owner::take(&transaction, owner, apps, lease))? {
                Some(taken) => return Ok(Some(taken)),
                None if !self.is_waiting(apps).await? => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    async fn renew(&self, id: JobId, epoch: u64, lease: Duration) -> StoreResult<LeaseNews> {
        writing!(self, Load::Little, |transaction| owner::renew(&transaction, id, epoch, lease))
    }

    async fn wanted(&self, id: JobId, epoch: u64) -> StoreResult<LeaseNews> {
        reading!(self, Load::Little, |transaction| owner::wanted(&transaction, id, epoch))
    }

    async fn release(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        writing!(self, Load::Little, |transaction| owner::release(&transaction, id, epoch))
    }

    async fn plan(&self, id: JobId, epoch: u64, planned: PlanRecord) -> StoreResult<()> {
        fits("bytes of a planned query", planned.query.as_ref().map_or(0, Bytes::len))?;
        for one in &planned.partitions {
            fits("bytes of a piece of a plan", size_of(one))?;
        }
        self.grows().await?;
        writing!(self, Load::of(planned.partitions.iter().map(size_of)), |transaction| owner::plan(
            &transaction,
            id,
            epoch,
            &planned
        ))
    }

    async fn partitions(&self, id: JobId, page: &PartitionPage) -> StoreResult<Vec<PartitionRow>> {
        reading!(self, ROWS, |transaction| owner::partitions(&transaction, id, page))
    }

    async fn accept(&self, id: JobId, epoch: u64, results: Vec<PartitionResult>) -> StoreResult<AcceptReport> {
        self.grows().await?;
        writing!(self, Load::of(results.iter().map(results::size)), |transaction| results::accept(
            &transaction,
            id,
            epoch,
            &results
        ))
    }

    async fn partials(&self, id: JobId, after: Option<Position>, max_bytes: u64) -> StoreResult<Vec<Partial>> {
        reading!(self, ROWS, |transaction| results::partials(&transaction, id, after, max_bytes))
    }

    async fn merge(&self, id: JobId, epoch: u64) -> StoreResult<()> {
        writing!(self, Load::Little, |transaction| owner::merge(&transaction, id, epoch))
    }

    async fn finish(&self, id: JobId, epoch: u64, ended: JobEnd) -> StoreResult<Job> {
        fits("bytes of an answer", ended.result.as_ref().map_or(0, Bytes::len))?;
        let load = Load::of(ended.result.as_ref().map(Bytes::len));
        let job = writing!(self, load, |transaction| owner::finish(&transaction, id, epoch, &ended, None))?;
        self.trim_now(id).await;
        Ok(job)
    }

    async fn result_info(&self, id: JobId) -> StoreResult<Option<ResultInfo>> {
        reading!(self, Load::Little, |transaction| answers::info(&transaction, id))
    }

    async fn result_part(&self, id: JobId, epoch: u64, from: u64, most: u32) -> StoreResult<Bytes> {
        reading!(self, ROWS, |transaction| answers::part(&transaction, id, epoch, from, most))
    }

    async fn cancel(&self, id: JobId, keep_partial: bool) -> StoreResult<Job> {
        writing!(self, Load::Little, |transaction| jobs::cancel(&transaction, id, keep_partial))
    }

    async fn redrive(&self, id: JobId) -> StoreResult<Job> {
        writing!(self, MANY, |transaction| jobs::redrive(&transaction, id))
    }

    async fn retain(&self, id: JobId, retention_ms: u64) -> StoreResult<Job> {
        writing!(self, Load::Little, |transaction| jobs::retain(&transaction, id, retention_ms))
    }

    async fn delete(&self, id: JobId) -> StoreResult<Job> {
        writing!(self, MANY, |transaction| sweep::delete(&transaction, id))?;
        self.trim_now(id).await;
        self.get(id).await
    }

    async fn append(&self, id: JobId, epoch: u64, news: EventBatch) -> StoreResult<()> {
        writing!(self, MANY, |transaction| owner::append(&transaction, id, epoch, &news, self.options.events_kept))
    }

    async fn events(&self, id: JobId, after: u64, limit: u32) -> StoreResult<EventPage> {
        reading!(self, MANY, |transaction| jobs::events(&transaction, id, after, limit))
    }

    async fn history(&self, app: &str, version: &str, limit: u32) -> StoreResult<Vec<PastJob>> {
        reading!(self, Load::Little, |transaction| jobs::history(&transaction, app, version, limit))
    }

    async fn sweep(&self) -> StoreResult<SweepReport> {
        let mut swept = SweepReport::default();
        // One transaction per job, so that no other call waits long for a row.
        while let Some(bytes) = writing!(self, MANY, |transaction| sweep::expire(&transaction))? {
            swept.expired += 1;
            swept.bytes += bytes;
        }
        writing!(self, MANY, |transaction| jobs::end_cancelled(&transaction))?;
        self.trim(None).await?;
        swept.forgotten = writing!(self, MANY, |transaction| sweep::forget(&transaction))?;
        swept.blobs_removed = writing!(self, MANY, |transaction| artifacts::sweep(&transaction))?;
        Ok(swept)
    }

    async fn ping(&self) -> StoreResult<()> {
        reading!(self, Load::Little, |transaction| usage::ping(&transaction))
    }

    async fn usage(&self) -> StoreResult<Usage> {
        reading!(self, Load::Little, |transaction| usage::usage(&transaction))
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn has_artifact(&self, app: &str, version: &str) -> StoreResult<bool> {
        writing!(self, Load::Little, |transaction| artifacts::has(&transaction, app, version))
    }

    async fn keep_artifact(&self, app: &str, version: &str, artifact: &Artifact) -> StoreResult<()> {
        let load = Load::of(artifact.blobs.iter().map(|(_, bytes)| bytes.len()));
        writing!(self, load, |transaction| artifacts::keep(&transaction, app, version, artifact))
    }

    async fn artifact(&self, app: &str, version: &str) -> StoreResult<Option<Artifact>> {
        reading!(self, ROWS, |transaction| artifacts::get(&transaction, app, version))
    }
}

/// Most attempts of a take that loses races.
const TRIES: u32 = 16;

impl PostgresStore {
    async fn is_waiting(&self, apps: &JobFilter) -> StoreResult<bool> {
        reading!(self, Load::Little, |transaction| owner::is_waiting(&transaction, apps))
    }
}
