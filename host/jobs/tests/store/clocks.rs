//! Processes that share a database use the database's clock.

use std::time::Duration;

use frond_jobs::clock::unix_ms;
use frond_jobs::postgres::PostgresStore;
use frond_jobs::store::{JobFilter, NewJob, TOMBSTONE_MS};
use frond_jobs::{End, JobState, JobStore, UnixMs};

use crate::kit::{ended, job, name, plan};
use crate::server::{Database, options};

const LEASE: Duration = Duration::from_secs(3600);

/// Stores of several processes, whose clock is minutes away from the database's.
async fn stores<const N: usize>(minutes: i64) -> Option<(Database, [PostgresStore; N])> {
    let database = Database::new().await?;
    database.skew(minutes * 60).await;
    let mut stores = Vec::new();
    for _ in 0..N {
        stores.push(PostgresStore::open(&database.place(), options(9)).await.unwrap());
    }
    Some((database, stores.try_into().unwrap_or_else(|_| panic!("as many as were asked for"))))
}

/// Asserts that a time is this many seconds ahead of this process's clock, give or take some
/// minutes, as processes may be paused.
fn is_ahead(time: Option<UnixMs>, seconds: i64) {
    let apart = i64::try_from(time.unwrap().0).unwrap() - i64::try_from(unix_ms().0).unwrap();
    assert!((apart - seconds * 1000).abs() < 300_000, "{apart} ms instead of {seconds} s");
}

#[tokio::test]
async fn a_lease_ends_by_the_clock_of_the_database() {
    for minutes in [-10, 10] {
        let Some((database, [first, second])) = stores(minutes).await else { return };
        first.submit(job(1)).await.unwrap();
        let taken = first.take("first", &JobFilter::All, LEASE).await.unwrap().unwrap();
        is_ahead(taken.job.lease_until, minutes * 60 + 3600);
        assert!(second.take("second", &JobFilter::All, LEASE).await.unwrap().is_none());
        database.skew(minutes * 60 + 3000).await;
        assert!(second.take("second", &JobFilter::All, LEASE).await.unwrap().is_none());
        first.renew(taken.job.id, taken.epoch, LEASE).await.unwrap();
        database.skew(minutes * 60 + 5000).await;
        assert!(second.take("second", &JobFilter::All, LEASE).await.unwrap().is_none());
        database.skew(minutes * 60 + 7500).await;
        let next = second.take("second", &JobFilter::All, LEASE).await.unwrap().unwrap();
        assert_eq!((next.job.id, next.epoch), (taken.job.id, 2));
        assert_eq!(name(&first.renew(taken.job.id, taken.epoch, LEASE).await), "fenced");
    }
}

#[tokio::test]
async fn all_that_is_noted_of_a_job_is_of_one_clock() {
    for minutes in [-10, 10] {
        let Some((database, [store])) = stores(minutes).await else { return };
        let submitted = store.submit(job(1)).await.unwrap().job;
        is_ahead(Some(submitted.created), minutes * 60);
        let taken = store.take("owner", &JobFilter::All, LEASE).await.unwrap().unwrap();
        is_ahead(taken.job.started, minutes * 60);
        assert_eq!(taken.job.started, Some(taken.at));
        database.skew(minutes * 60 + 5000).await;
        let again = store.take("owner", &JobFilter::All, LEASE).await.unwrap().unwrap();
        // Time that has passed by the database's clock counts, whatever a process's clock says.
        assert!(again.at.since(again.job.started.unwrap()) >= 4_900_000);
        store.plan(again.job.id, again.epoch, plan(0)).await.unwrap();
        store.merge(again.job.id, again.epoch).await.unwrap();
        let over = store.finish(again.job.id, again.epoch, ended(End::Partial, 0).0).await.unwrap();
        is_ahead(over.finished, minutes * 60 + 5000);
        is_ahead(Some(store.usage().await.unwrap().now), minutes * 60 + 5000);
        store.redrive(over.id).await.unwrap();
        is_ahead(store.usage().await.unwrap().oldest_queued, minutes * 60 + 5000);
        is_ahead(store.cancel(over.id, false).await.unwrap().finished, minutes * 60 + 5000);
    }
}

#[tokio::test]
async fn what_is_kept_for_a_time_is_kept_by_the_clock_of_the_database() {
    let Some((database, [store])) = stores(-10).await else { return };
    let submitted = store.submit(NewJob { retention_ms: 3_600_000, ..job(1) }).await.unwrap().job;
    store.cancel(submitted.id, false).await.unwrap();
    assert_eq!(store.sweep().await.unwrap().expired, 0);
    database.skew(3_000).await;
    assert_eq!(store.sweep().await.unwrap().expired, 1);
    assert_eq!(store.get(submitted.id).await.unwrap().state, JobState::Expired);
    let month = i64::try_from(TOMBSTONE_MS / 1000).unwrap();
    database.skew(month).await;
    assert_eq!(store.sweep().await.unwrap().forgotten, 0);
    database.skew(month + 3_000).await;
    assert_eq!(store.sweep().await.unwrap().forgotten, 1);
}
