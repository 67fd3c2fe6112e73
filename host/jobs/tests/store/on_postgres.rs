//! Faults specific to PostgreSQL: several processes, and a remote server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_jobs::clock::SetClock;
use frond_jobs::postgres::{MAX_BYTES, Options, PostgresStore};
use frond_jobs::store::location::DatabaseUrl;
use frond_jobs::store::{Artifact, JobFilter, NewJob, Outcome, RunnableJobs};
use frond_jobs::{End, JobStore, StoreError};
use tokio_postgres::NoTls;

use crate::kit::{
    OLDER, Store, a_migrated_store_goes_on, answering, at, degraded, done, ended, id, job, job_of, name, plan, result,
    running,
};
use crate::server::Database;

/// A separate database; ends the test if there is none.
macro_rules! database {
    ($how:ident) => {
        match Database::$how().await {
            Some(database) => database,
            None => return,
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_once_make_the_tables_once() {
    let database = Arc::new(database!(empty));
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let database = Arc::clone(&database);
        opening.spawn(async move { database.open(9).await.unwrap().usage().await.unwrap().jobs });
    }
    assert_eq!(opening.join_all().await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_database_of_a_newer_frond_is_refused() {
    let database = database!(new);
    database.run("INSERT INTO refinery_schema_history VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')").await;
    let refused = database.open(9).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Newer { found: 99, known: 8 })), "{refused:?}");
}

#[tokio::test]
async fn an_older_database_is_migrated_with_its_partials() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    let (job, epoch) = running(&store, 3).await;
    store.accept(job, epoch, vec![done(0), degraded(1)]).await.unwrap();
    drop(store);
    for older in OLDER {
        database.run(older).await;
    }
    let store = database.open(9).await.unwrap();
    a_migrated_store_goes_on(&store, job, epoch).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = DatabaseUrl::from(format!("postgres://frond@127.0.0.1:{closed}/frond").as_str());
    assert_eq!(name(&PostgresStore::open(&url, Options::default()).await.map(|_| ())), "unavailable");
}

#[tokio::test]
async fn lost_connections_pass() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    store.submit(job(1)).await.unwrap();
    database.hang_up().await;
    let found = loop {
        match store.get(id(1)).await {
            Err(StoreError::Unavailable(_)) => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(found.id, id(1));
}

#[tokio::test]
async fn who_waits_too_long_for_another_gives_up() {
    let database = database!(new);
    let options = Options { statement_timeout: Duration::from_secs(2), ..Options::default() };
    let store = PostgresStore::open(&database.place(), options).await.unwrap();
    let (mut other, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE jobs").await.unwrap();
    assert_eq!(name(&store.submit(job(1)).await), "unavailable");
    transaction.rollback().await.unwrap();
    assert!(store.submit(job(1)).await.unwrap().fresh);
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_read_only() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    store.submit(job(1)).await.unwrap();
    database.forbid_writes().await;
    let found = loop {
        match store.get(id(1)).await {
            Err(StoreError::Unavailable(_)) => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(found.id, id(1));
    let refused = loop {
        match store.submit(job(2)).await {
            Err(StoreError::Unavailable(_)) => {}
            other => break other,
        }
    };
    assert_eq!(name(&refused), "read only");
    assert_eq!(name(&database.open(9).await.map(|_| ())), "read only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takers_in_several_processes_never_get_the_same_job() {
    const JOBS: u64 = 40;
    let database = database!(new);
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..4 {
        let store = database.open(9).await.unwrap();
        if taker == 0 {
            for number in 1..=JOBS {
                store.submit(job(number)).await.unwrap();
            }
        }
        takers.spawn(async move {
            let mut mine = Vec::new();
            while let Some(taken) = store.take("taker", &JobFilter::All, at(100), at(9999)).await.unwrap() {
                mine.push(taken.job.id);
            }
            mine
        });
    }
    let all = takers.join_all().await.concat();
    assert_eq!((all.len() as u64, all.iter().collect::<HashSet<_>>().len() as u64), (JOBS, JOBS));
}

#[tokio::test]
async fn an_owner_in_another_process_is_fenced() {
    let database = database!(new);
    let first = database.open(9).await.unwrap();
    let second = database.open(9).await.unwrap();
    let (job, stale) = running(&first, 2).await;
    let taken = second.take("second", &JobFilter::All, at(5000), at(6000)).await.unwrap().unwrap();
    assert_eq!(name(&first.accept(job, stale, vec![done(0)]).await), "fenced");
    second.accept(job, taken.epoch, vec![done(0)]).await.unwrap();
    assert_eq!(name(&first.finish(job, stale, ended(End::Failed, 5500)).await), "fenced");
}

#[tokio::test]
async fn what_is_too_large_for_a_row_is_refused() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    let large = Bytes::from(vec![0; usize::try_from(MAX_BYTES).unwrap() + 1]);
    let (job, epoch) = running(&store, 1).await;
    assert_eq!(name(&store.submit(NewJob { query: large.clone(), ..crate::kit::job(2) }).await), "too large");
    let partial = result(0, Outcome::Done(large.clone()));
    assert_eq!(name(&store.accept(job, epoch, vec![partial]).await), "too large");
    store.merge(job, epoch).await.unwrap();
    let end = answering(End::Succeeded, 50, large);
    assert_eq!(name(&store.finish(job, epoch, end).await), "too large");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_its_connection_in_order() {
    let database = database!(new);
    let clock = SetClock::default();
    let options = Options { connections: 1, clock: Some(clock.clone()), ..Options::default() };
    let store = Store::of(PostgresStore::open(&database.place(), options).await.unwrap(), clock);
    let (job, epoch) = running(&store, 64).await;
    for index in 0..64 {
        let mut accepting = store.accept(job, epoch, vec![done(index)]);
        // One poll further each time, so that the future is dropped in each of its states.
        for _ in 0..index {
            let poll = std::future::poll_fn(|context| std::task::Poll::Ready(accepting.as_mut().poll(context)));
            if poll.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let kept = store.get(job).await.unwrap().counts.done;
    let now = store.accept(job, epoch, (0..64).map(done).collect()).await.unwrap();
    assert_eq!(kept + now.fresh.len() as u64, 64);
}

#[tokio::test]
async fn a_store_that_has_all_it_may_have_takes_no_new_jobs() {
    let database = database!(new);
    let options = Options { max_bytes: Some(10 << 20), ..Options::default() };
    let store = PostgresStore::open(&database.place(), options).await.unwrap();
    let fat = NewJob { query: Bytes::from(vec![b'q'; 10 << 20]), ..crate::kit::job(1) };
    assert!(store.submit(fat).await.unwrap().fresh);
    // The size of the jobs is measured again after a while.
    let mut number = 2;
    let refused = loop {
        match store.submit(crate::kit::job(number)).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    store.cancel(id(1), false).await.unwrap();
    store.delete(id(1)).await.unwrap();
    while store.submit(crate::kit::job(number)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// Fills the store with a job of some 16 MiB of partials, and deletes it. Returns the bytes that
/// the store took in between.
async fn fill_and_delete(store: &Store, number: u64) -> u64 {
    let job = id(number);
    store.submit(crate::kit::job(number)).await.unwrap();
    let epoch = crate::kit::take(store, number * 10_000).await.unwrap().epoch;
    store.plan(job, epoch, plan(64)).await.unwrap();
    // Incompressible bytes, from a random number generator (xorshift).
    let mut state = number;
    for index in 0..64 {
        let mut bytes = Vec::with_capacity(256 << 10);
        while bytes.len() < 256 << 10 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        store.accept(job, epoch, vec![result(index, Outcome::Done(bytes.into()))]).await.unwrap();
    }
    store.finish(job, epoch, ended(End::Cancelled, number * 10_000 + 50)).await.unwrap();
    let full = store.usage().await.unwrap().bytes;
    store.delete(job).await.unwrap();
    store.sweep(at(number * 10_000 + 60)).await.unwrap();
    full
}

#[tokio::test]
async fn room_that_is_swept_is_used_again() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    // Only this test vacuums.
    let off = "SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)";
    database.run(&format!("ALTER TABLE partitions {off}; ALTER TABLE jobs {off}")).await;
    let first = fill_and_delete(&store, 1).await;
    assert!(first > 16 << 20, "{first}");
    for number in 2..=4 {
        database.run("VACUUM").await;
        let again = fill_and_delete(&store, number).await;
        assert!(again < first + first / 4, "{first} bytes have become {again}");
    }
}

#[tokio::test]
async fn a_text_that_postgres_does_not_keep_is_refused() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    let (job, epoch) = crate::kit::planning(&store).await;
    let mut planned = plan(2);
    planned.partitions[1].key = "a\0b".into();
    assert!(matches!(store.plan(job, epoch, planned).await, Err(StoreError::Unkeepable(_))));
    assert_eq!(store.get(job).await.unwrap().counts.partitions, 0);
    store.plan(job, epoch, plan(2)).await.unwrap();
}

fn artifact(about: &str, blobs: &[&str]) -> Artifact {
    let blob = |name: &&str| ((*name).to_owned(), Bytes::from(format!("bytes of {name}")));
    Artifact { about: about.to_owned(), blobs: blobs.iter().map(blob).collect() }
}

#[tokio::test]
async fn artifacts_share_their_blobs_and_go_when_no_job_needs_them() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    assert!(store.is_shared() && !store.has_artifact("rail", "v1").await.unwrap());
    let one = artifact("1", &["a", "b"]);
    let two = artifact("2", &["b", "c"]);
    store.keep_artifact("rail", "v1", &one).await.unwrap();
    store.keep_artifact("rail", "v2", &two).await.unwrap();
    store.keep_artifact("rail", "v2", &artifact("again", &[])).await.unwrap();
    assert!(store.has_artifact("rail", "v1").await.unwrap() && !store.has_artifact("bus", "v1").await.unwrap());
    let mut kept = store.artifact("rail", "v2").await.unwrap().unwrap();
    kept.blobs.sort();
    assert_eq!(kept, two);
    assert_eq!(store.sweep(at(1)).await.unwrap().blobs_removed, 0, "one that was just kept stays");
    // A job is planned with the first version.
    running(&store, 1).await;
    database.run("UPDATE artifacts SET used = 0").await;
    assert_eq!(store.sweep(at(1)).await.unwrap().blobs_removed, 1);
    assert_eq!(store.artifact("rail", "v2").await.unwrap(), None);
    assert!(store.artifact("rail", "v1").await.unwrap().is_some());
}

#[tokio::test]
async fn owners_take_only_what_they_can_run() {
    let database = database!(new);
    let store = database.open(9).await.unwrap();
    // The job was planned with "v1", and runs for at most 60 s.
    let (job, epoch) = running(&store, 1).await;
    store.release(job, epoch).await.unwrap();
    let able = |versions: &[&str], unable: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        JobFilter::Runnable(RunnableJobs {
            apps: vec!["rail".to_owned()],
            versions: names(versions),
            unable: names(unable),
        })
    };
    let take = async |apps: JobFilter, now: u64| {
        let taken = store.take("owner", &apps, at(now), at(now + 10)).await.unwrap();
        if let Some(taken) = &taken {
            store.release(taken.job.id, taken.epoch).await.unwrap();
        }
        taken.is_some()
    };
    assert!(!take(able(&["v2"], &[]), 20).await, "nobody has it");
    assert!(take(able(&["v2", "v1"], &[]), 20).await, "the owner has it");
    store.keep_artifact("rail", "v1", &artifact("", &["a"])).await.unwrap();
    assert!(take(able(&[], &[]), 20).await, "the store has it");
    assert!(!take(able(&[], &["v1"]), 20).await, "it was of no use to this owner");
    assert!(take(able(&[], &["v1"]), 60_010).await, "its time is over, which somebody has to say");
    store.submit(job_of(2, "rail")).await.unwrap();
    assert!(take(able(&[], &["v1"]), 20).await, "any version can plan");
}
