//! Helpers for the tests of stores.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_jobs::account::Account;
use frond_jobs::clock::SetClock;
use frond_jobs::sqlite::{Options, SqliteStore};
use frond_jobs::store::{
    Bounds, Idempotency, Job, JobEnd, JobFilter, LeaseNews, Locator, NewJob, Outcome, PartitionPage, PartitionPlan,
    PartitionResult, PartitionRow, PlanRecord, StoreResult, Submission, SweepReport, TakenJob,
};
use frond_jobs::{End, JobId, JobStore, StoreError, UnixMs};
use frond_root::ledger::PartialRange;
use frond_root::{Failure, FailureKind, Floor, QueryId};
use serde_json::json;
use tempfile::TempDir;

/// Events that the stores of tests keep per job.
pub(crate) const EVENTS: u64 = 50;
/// Tombstones that the stores of tests keep per caller.
pub(crate) const STONES: u64 = 2;

/// A store whose clock is set by each call that takes a time.
#[derive(Clone)]
pub(crate) struct Store {
    store: Arc<dyn JobStore>,
    clock: SetClock,
}

impl Deref for Store {
    type Target = dyn JobStore;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl Store {
    /// Wraps the store that `open` makes with a clock.
    pub(crate) fn with<S: JobStore + 'static>(open: impl FnOnce(SetClock) -> S) -> Self {
        let clock = SetClock::default();
        Self::of(open(clock.clone()), clock)
    }

    /// Wraps a store that uses the clock.
    pub(crate) fn of<S: JobStore + 'static>(store: S, clock: SetClock) -> Self {
        Self { store: Arc::new(store), clock }
    }

    /// Submits the job, at as many milliseconds as its number.
    pub(crate) async fn submit(&self, job: NewJob) -> StoreResult<Submission> {
        let now = number(job.id);
        self.submit_at(job, at(now)).await
    }

    pub(crate) async fn submit_at(&self, job: NewJob, now: UnixMs) -> StoreResult<Submission> {
        self.clock.set(now);
        self.store.submit(job).await
    }

    pub(crate) async fn take(
        &self,
        owner: &str,
        apps: &JobFilter,
        now: UnixMs,
        until: UnixMs,
    ) -> StoreResult<Option<TakenJob>> {
        self.clock.set(now);
        self.store.take(owner, apps, Duration::from_millis(until.since(now))).await
    }

    pub(crate) async fn renew(&self, id: JobId, epoch: u64, until: UnixMs) -> StoreResult<LeaseNews> {
        let lease = Duration::from_millis(until.since(self.clock.now()));
        self.store.renew(id, epoch, lease).await
    }

    pub(crate) async fn release_at(&self, id: JobId, epoch: u64, now: UnixMs) -> StoreResult<()> {
        self.clock.set(now);
        self.store.release(id, epoch).await
    }

    pub(crate) async fn finish(&self, id: JobId, epoch: u64, (ended, now): (JobEnd, UnixMs)) -> StoreResult<Job> {
        self.clock.set(now);
        self.store.finish(id, epoch, ended).await
    }

    pub(crate) async fn cancel(&self, id: JobId, keep_partial: bool, now: UnixMs) -> StoreResult<Job> {
        self.clock.set(now);
        self.store.cancel(id, keep_partial).await
    }

    pub(crate) async fn redrive(&self, id: JobId, now: UnixMs) -> StoreResult<Job> {
        self.clock.set(now);
        self.store.redrive(id).await
    }

    pub(crate) async fn sweep(&self, now: UnixMs) -> StoreResult<SweepReport> {
        self.clock.set(now);
        self.store.sweep().await
    }
}

/// A store that can be closed and opened again.
pub(crate) struct Bench {
    store: Option<Store>,
    place: Where,
}

enum Where {
    Folder(TempDir),
    #[cfg(feature = "postgres")]
    Database(crate::server::Database),
}

impl Bench {
    pub(crate) fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        Self { store: Some(sqlite(&folder)), place: Where::Folder(folder) }
    }

    /// `None`, with a message, if there is no PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        let database = crate::server::Database::new().await?;
        Some(Self { store: Some(postgres(&database).await), place: Where::Database(database) })
    }

    pub(crate) fn store(&self) -> Store {
        self.store.clone().unwrap()
    }

    pub(crate) async fn reopen(&mut self) {
        let store = self.store.take().unwrap();
        assert_eq!(Arc::strong_count(&store.store), 1, "somebody still has the store open");
        drop(store);
        self.store = Some(match &self.place {
            Where::Folder(folder) => sqlite(folder),
            #[cfg(feature = "postgres")]
            Where::Database(database) => postgres(database).await,
        });
    }
}

fn sqlite(folder: &TempDir) -> Store {
    let options =
        |clock| Options { events_kept: EVENTS, tombstones_kept: STONES, clock: Some(clock), ..Options::default() };
    // A child that another test starts has this process's open files until it runs its own program,
    // and with them the lock of a store that was closed just before.
    let is_held = |error: &dyn ToString| error.to_string().contains("another process");
    Store::with(|clock| {
        let mut opened = SqliteStore::open(&folder.path().join("jobs"), options(clock.clone()));
        for _ in 0..1000 {
            match &opened {
                Err(error) if is_held(error) => std::thread::park_timeout(std::time::Duration::from_millis(10)),
                _ => break,
            }
            opened = SqliteStore::open(&folder.path().join("jobs"), options(clock.clone()));
        }
        opened.unwrap()
    })
}

#[cfg(feature = "postgres")]
async fn postgres(database: &crate::server::Database) -> Store {
    database.open(EVENTS).await.unwrap()
}

pub(crate) fn at(ms: u64) -> UnixMs {
    UnixMs(ms)
}

/// Id of the `number`th job: later numbers are newer.
pub(crate) fn id(number: u64) -> JobId {
    JobId::from(QueryId::from(u128::from(number) << 80))
}

/// Number of such a job.
fn number(id: JobId) -> u64 {
    let bits = u128::from_str_radix(&id.to_string(), 16).unwrap();
    u64::try_from(bits >> 80).unwrap()
}

/// The `number`th job.
pub(crate) fn job(number: u64) -> NewJob {
    NewJob {
        id: id(number),
        app: "rail".to_owned(),
        version: "v1".to_owned(),
        query: Bytes::from(format!("query {number}")),
        floor: Floor::AtLeast(0.8),
        required: vec!["p0".into()],
        run_timeout_ms: 60_000,
        retention_ms: 1000,
        weight: 1,
        caller: Some("ann".to_owned()),
        idempotency: None,
        bounds: Bounds::default(),
    }
}

pub(crate) fn job_of(number: u64, app: &str) -> NewJob {
    NewJob { app: app.to_owned(), ..job(number) }
}

pub(crate) fn key(key: &str, fingerprint: &str) -> Option<Idempotency> {
    Some(Idempotency { key: key.to_owned(), fingerprint: Bytes::copy_from_slice(fingerprint.as_bytes()) })
}

/// A plan of `count` partitions of weight 10.
pub(crate) fn plan(count: usize) -> PlanRecord {
    let partition = |index| PartitionPlan {
        key: format!("p{index}").into(),
        weight: 10,
        place: if index % 2 == 0 {
            Locator::Elsewhere(format!("file {index}"))
        } else {
            Locator::Inline(Bytes::from("here"))
        },
    };
    let version = "v1".to_owned();
    PlanRecord { version, query: Some(Bytes::from("planned")), partitions: (0..count).map(partition).collect() }
}

pub(crate) fn result(index: u32, outcome: Outcome) -> PartitionResult {
    PartitionResult { index, attempt: 1, epoch: None, run_ms: 7, outcome }
}

pub(crate) fn done(index: u32) -> PartitionResult {
    result(index, Outcome::Done(Bytes::from(format!("partial {index}"))))
}

pub(crate) fn degraded(index: u32) -> PartitionResult {
    result(index, Outcome::Degraded(Bytes::from(format!("piece {index}"))))
}

pub(crate) fn failed(index: u32) -> PartitionResult {
    result(index, Outcome::Failed(Failure::new(FailureKind::Trap, format!("trap {index}"))))
}

/// The partial of a part of 12 units: where it begins and ends, and up to where the rest is
/// skipped.
pub(crate) fn part(index: u32, [begin, end, until]: [u64; 3], bytes: Bytes) -> PartitionResult {
    result(index, Outcome::Part(PartialRange { begin, end, until, of: 12 }, bytes))
}

/// Statements that make the tables those of version 7.
pub(crate) const OLDER: [&str; 4] = [
    "DROP TABLE parts",
    "ALTER TABLE partitions DROP COLUMN units",
    "ALTER TABLE partitions DROP COLUMN covered",
    "DELETE FROM refinery_schema_history WHERE version = 8",
];

/// Checks a migrated store with a running job of three partitions, of which two have partials.
pub(crate) async fn a_migrated_store_goes_on(store: &Store, job: JobId, epoch: u64) {
    let partials = store.partials(job, None, u64::MAX).await.unwrap();
    assert_eq!(
        partials.iter().map(|one| (one.index, one.range, one.degraded)).collect::<Vec<_>>(),
        [(0, None, false), (1, None, true)]
    );
    let results = vec![part(0, [0, 1, 1], Bytes::new()), part(2, [4, 12, 12], Bytes::from("end"))];
    let accepted = store.accept(job, epoch, results).await.unwrap();
    assert_eq!((accepted.fresh, accepted.discarded), (vec![2], 1));
    let counts = get(store, job).await.counts;
    assert_eq!((counts.done, counts.degraded, counts.settled_weight), (1, 1, 10 + 10 + 6));
    let accepted = store.accept(job, epoch, vec![part(2, [0, 3, 4], Bytes::from("begin"))]).await.unwrap();
    assert_eq!(accepted.fresh, [2]);
    let counts = get(store, job).await.counts;
    assert_eq!((counts.done, counts.degraded, counts.settled_weight), (2, 1, 30));
}

pub(crate) fn ended(end: End, now: u64) -> (JobEnd, UnixMs) {
    let result = matches!(end, End::Succeeded | End::Partial).then(|| Bytes::from("answer"));
    let ended = JobEnd {
        end,
        reason: (end == End::Failed).then(|| json!({"reason": "below-floor"})),
        coverage: json!({"complete": end == End::Succeeded}),
        result,
        content_type: Some("application/json".to_owned()),
    };
    (ended, at(now))
}

/// End with the answer `result`.
pub(crate) fn answering(end: End, now: u64, result: Bytes) -> (JobEnd, UnixMs) {
    let (ended, now) = ended(end, now);
    (JobEnd { result: Some(result), ..ended }, now)
}

/// Takes the next job, at `now`, until 1000 ms later.
pub(crate) async fn take(store: &Store, now: u64) -> Option<TakenJob> {
    store.take("owner", &JobFilter::All, at(now), at(now + 1000)).await.unwrap()
}

/// Submits the first job and takes it. Returns the job, in the state `planning`, and its epoch.
pub(crate) async fn planning(store: &Store) -> (JobId, u64) {
    store.submit(job(1)).await.unwrap();
    let taken = take(store, 10).await.unwrap();
    (taken.job.id, taken.epoch)
}

/// Makes a `planning` job and stores a plan of `count` partitions, so that the job is running.
pub(crate) async fn running(store: &Store, count: usize) -> (JobId, u64) {
    let (id, epoch) = planning(store).await;
    store.plan(id, epoch, plan(count)).await.unwrap();
    (id, epoch)
}

/// Makes a running job, stores `results`, and ends it at 100 ms.
pub(crate) async fn over(store: &Store, results: Vec<PartitionResult>, end: End) -> JobId {
    let (id, epoch) = running(store, results.len()).await;
    store.accept(id, epoch, results).await.unwrap();
    store.merge(id, epoch).await.unwrap();
    store.finish(id, epoch, ended(end, 100)).await.unwrap();
    id
}

pub(crate) async fn rows(store: &Store, id: JobId) -> Vec<PartitionRow> {
    let page = PartitionPage { after: None, limit: 1000, states: Vec::new() };
    store.partitions(id, &page).await.unwrap()
}

/// The job as a list has it, without its large parts.
pub(crate) fn listed(job: Job) -> Job {
    Job { required: Vec::new(), account: Account::default(), coverage: None, ..job }
}

pub(crate) async fn get(store: &Store, id: JobId) -> Job {
    store.get(id).await.unwrap()
}

/// Name of the error, for comparisons.
pub(crate) fn name<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> &'static str {
    match answer.as_ref().unwrap_err() {
        StoreError::NotFound(_) => "not found",
        StoreError::Expired(_) => "expired",
        StoreError::Fenced { .. } => "fenced",
        StoreError::Illegal(illegal) if illegal.is_late() => "late",
        StoreError::Illegal(_) => "illegal",
        StoreError::NoPartition { .. } => "no partition",
        StoreError::KeyReused => "key reused",
        StoreError::OverBound(_) => "over bound",
        StoreError::Full(_) => "full",
        StoreError::ReadOnly(_) => "read only",
        StoreError::Denied { .. } => "denied",
        StoreError::Settings(_) => "settings",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Newer { .. } => "newer",
        StoreError::TooLarge { .. } => "too large",
        StoreError::Unkeepable(_) => "unkeepable",
        other => panic!("{other}: {other:?}"),
    }
}
