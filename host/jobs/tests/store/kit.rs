//! What tests ask for, and the stores that they ask.

use std::sync::Arc;

use bytes::Bytes;
use frond_jobs::sqlite::{Options, SqliteStore};
use frond_jobs::store::{
    Accepted, Apps, Ended, Idempotency, Job, NewJob, Outcome, PartitionPage, PartitionRow, Place, Planned,
    PlannedPartition, Taken,
};
use frond_jobs::{End, JobId, JobStore, StoreError, UnixMs};
use frond_root::{Failure, FailureKind, Floor, QueryId};
use serde_json::json;
use tempfile::TempDir;

/// The events that the stores of tests keep of a job.
pub(crate) const EVENTS: u64 = 50;

/// A store that can be closed and opened again.
pub(crate) struct Bench {
    store: Option<Arc<dyn JobStore>>,
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

    /// `None`, aloud, where there is no PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        let database = crate::server::Database::new().await?;
        Some(Self { store: Some(postgres(&database).await), place: Where::Database(database) })
    }

    pub(crate) fn store(&self) -> Arc<dyn JobStore> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    pub(crate) async fn reopen(&mut self) {
        let store = self.store.take().unwrap();
        assert_eq!(Arc::strong_count(&store), 1, "somebody still has the store open");
        drop(store);
        self.store = Some(match &self.place {
            Where::Folder(folder) => sqlite(folder),
            #[cfg(feature = "postgres")]
            Where::Database(database) => postgres(database).await,
        });
    }
}

fn sqlite(folder: &TempDir) -> Arc<dyn JobStore> {
    let options = Options { events_kept: EVENTS, ..Options::default() };
    Arc::new(SqliteStore::open(&folder.path().join("jobs"), options).unwrap())
}

#[cfg(feature = "postgres")]
async fn postgres(database: &crate::server::Database) -> Arc<dyn JobStore> {
    Arc::new(database.open(EVENTS).await.unwrap())
}

pub(crate) fn at(ms: u64) -> UnixMs {
    UnixMs(ms)
}

/// The id of the `number`th job: later numbers are newer.
pub(crate) fn id(number: u64) -> JobId {
    JobId::from(QueryId::from(u128::from(number) << 80))
}

/// The `number`th job, asked for at that millisecond.
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
        created: at(number),
    }
}

pub(crate) fn job_of(number: u64, app: &str) -> NewJob {
    NewJob { app: app.to_owned(), ..job(number) }
}

pub(crate) fn key(key: &str, fingerprint: &str) -> Option<Idempotency> {
    Some(Idempotency { key: key.to_owned(), fingerprint: Bytes::copy_from_slice(fingerprint.as_bytes()) })
}

/// A plan of `count` partitions of weight 10.
pub(crate) fn plan(count: usize) -> Planned {
    let partition = |index| PlannedPartition {
        key: format!("p{index}").into(),
        weight: 10,
        place: if index % 2 == 0 {
            Place::Elsewhere(format!("file {index}"))
        } else {
            Place::Inline(Bytes::from("here"))
        },
    };
    let version = "v1".to_owned();
    Planned { version, query: Some(Bytes::from("planned")), partitions: (0..count).map(partition).collect() }
}

pub(crate) fn result(index: u32, outcome: Outcome) -> Accepted {
    Accepted { index, attempt: 1, run_ms: 7, outcome }
}

pub(crate) fn done(index: u32) -> Accepted {
    result(index, Outcome::Done(Bytes::from(format!("partial {index}"))))
}

pub(crate) fn degraded(index: u32) -> Accepted {
    result(index, Outcome::Degraded(Bytes::from(format!("piece {index}"))))
}

pub(crate) fn failed(index: u32) -> Accepted {
    result(index, Outcome::Failed(Failure::new(FailureKind::Trap, format!("trap {index}"))))
}

pub(crate) fn ended(end: End, now: u64) -> Ended {
    let result = matches!(end, End::Succeeded | End::Partial).then(|| Bytes::from("answer"));
    Ended {
        end,
        reason: (end == End::Failed).then(|| json!({"reason": "below-floor"})),
        coverage: json!({"complete": end == End::Succeeded}),
        result,
        content_type: Some("application/json".to_owned()),
        now: at(now),
    }
}

/// Takes the next job, at `now`, until 1000 ms later.
pub(crate) async fn take(store: &Arc<dyn JobStore>, now: u64) -> Option<Taken> {
    store.take("owner", &Apps::All, at(now), at(now + 1000)).await.unwrap()
}

/// Submits the first job and takes it: it is planning, under the epoch that is returned.
pub(crate) async fn planning(store: &Arc<dyn JobStore>) -> (JobId, u64) {
    store.submit(job(1)).await.unwrap();
    let taken = take(store, 10).await.unwrap();
    (taken.job.id, taken.epoch)
}

/// The same with a plan of `count` partitions: it is running.
pub(crate) async fn running(store: &Arc<dyn JobStore>, count: usize) -> (JobId, u64) {
    let (id, epoch) = planning(store).await;
    store.plan(id, epoch, plan(count)).await.unwrap();
    (id, epoch)
}

/// The same, ended at 100 ms, with what `results` say.
pub(crate) async fn over(store: &Arc<dyn JobStore>, results: Vec<Accepted>, end: End) -> JobId {
    let (id, epoch) = running(store, results.len()).await;
    store.accept(id, epoch, results).await.unwrap();
    store.merge(id, epoch).await.unwrap();
    store.finish(id, epoch, ended(end, 100)).await.unwrap();
    id
}

pub(crate) async fn rows(store: &Arc<dyn JobStore>, id: JobId) -> Vec<PartitionRow> {
    let page = PartitionPage { after: None, limit: 1000, states: Vec::new() };
    store.partitions(id, &page).await.unwrap()
}

pub(crate) async fn get(store: &Arc<dyn JobStore>, id: JobId) -> Job {
    store.get(id).await.unwrap()
}

/// The error's name, for comparisons.
pub(crate) fn name<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> &'static str {
    match answer.as_ref().unwrap_err() {
        StoreError::NotFound(_) => "not found",
        StoreError::Expired(_) => "expired",
        StoreError::Fenced { .. } => "fenced",
        StoreError::Illegal(illegal) if illegal.is_late() => "late",
        StoreError::Illegal(_) => "illegal",
        StoreError::NoPartition { .. } => "no partition",
        StoreError::KeyReused => "key reused",
        StoreError::Full => "full",
        StoreError::ReadOnly => "read only",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Newer { .. } => "newer",
        StoreError::TooLarge { .. } => "too large",
        other => panic!("{other}: {other:?}"),
    }
}
