//! Pages of partials: how they are read, and what a sweep does meanwhile.

use bytes::Bytes;
use frond_root::ledger::PartialRange;
use frond_root::{Floor, QueryId};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::UnixMs;
use crate::store::sqlite::session::run;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Bounds, JobFilter, JobStore, Locator, NewJob, PartitionPlan, PlanRecord};

fn open() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("jobs"), Options::default()).unwrap();
    (folder, store)
}

/// Makes a running job of two partitions. Returns its id and epoch.
async fn running(store: &SqliteStore) -> (JobId, u64) {
    let job = NewJob {
        id: JobId::from(QueryId::from(1)),
        app: "rail".to_owned(),
        version: "v1".to_owned(),
        query: Bytes::new(),
        floor: Floor::BestEffort,
        required: Vec::new(),
        run_timeout_ms: 60_000,
        retention_ms: 60_000,
        weight: 1,
        caller: None,
        idempotency: None,
        bounds: Bounds::default(),
    };
    store.submit(job).await.unwrap();
    let taken = store.take("owner", &JobFilter::All, std::time::Duration::from_secs(3600)).await.unwrap().unwrap();
    let partition = |key: &str| PartitionPlan { key: key.into(), weight: 1, place: Locator::Inline(Bytes::new()) };
    let partitions = vec![partition("a"), partition("b")];
    let planned = PlanRecord { version: "v1".to_owned(), query: None, partitions };
    store.plan(taken.job.id, taken.epoch, planned).await.unwrap();
    (taken.job.id, taken.epoch)
}

#[test]
fn a_page_is_read_in_the_order_of_the_indexes() {
    let (_folder, store) = open();
    let connection = Connection::open(&store.database).unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {}", page().replace('$', "?"));
    let mut explain = connection.prepare(&explain).unwrap();
    let steps = explain.query_map([1, 2, 3], |row| row.get("detail")).unwrap();
    let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE") || step.contains("SCAN")), "{steps:#?}");
    assert!(steps.iter().any(|step| step.starts_with("SEARCH parts") && step.contains("begins")), "{steps:#?}");
}

#[tokio::test]
async fn a_file_whose_partial_is_replaced_while_it_is_read_is_no_damage() {
    let (_folder, store) = open();
    let (job, epoch) = running(&store).await;
    let large = |byte| Bytes::from(vec![byte; 2 << 20]);
    let result = |index, outcome| PartitionResult { index, attempt: 1, epoch: None, run_ms: 1, outcome };
    let kept = |end, byte| result(1, Outcome::Part(PartialRange { begin: 0, end, until: end, of: 9 }, large(byte)));
    let whole = result(0, Outcome::Done(Bytes::from("whole")));
    store.accept(job, epoch, vec![whole, kept(1, 1)]).await.unwrap();

    let connection = Connection::open(&store.database).unwrap();
    let older = connection.unchecked_transaction().unwrap();
    let read = |db: &Connection, after| {
        let partials = run(partials(&Session::new(db, UnixMs(0)), &store.blobs, job, after, u64::MAX)).unwrap();
        partials.map(|all| all.iter().map(|one| (one.index, one.bytes.first().copied())).collect::<Vec<_>>())
    };
    let all = [(0, Some(b'w')), (1, Some(1))];
    assert_eq!(read(&older, None).unwrap(), all);
    store.accept(job, epoch, vec![kept(2, 2)]).await.unwrap();
    assert_eq!(read(&older, None).unwrap(), all, "the file is there until the sweep");
    assert_eq!(store.sweep().await.unwrap().blobs_removed, 1);
    assert_eq!(read(&older, None).unwrap(), [(0, Some(b'w'))]);
    assert_eq!(read(&older, Some((0, 0))), None);
    drop(older);
    assert_eq!(read(&connection, Some((0, 0))).unwrap(), [(1, Some(2))]);
}
