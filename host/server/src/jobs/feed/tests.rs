//! Followers share a reader, and see its store's errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use frond_jobs::End;
use frond_jobs::sqlite::{Options, SqliteStore};
use frond_jobs::store::{EventBatch, HookedStore, JobEnd, JobFilter, NewJob};
use frond_root::{Floor, QueryId};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;

/// Timeout far beyond any normal wait: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running job, and a store whose reads can be counted, blocked and failed.
struct Bench {
    own: Arc<dyn JobStore>,
    store: Arc<dyn JobStore>,
    id: JobId,
    epoch: u64,
    /// A permit for each call of `get`.
    permits: Arc<Semaphore>,
    gets: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    feeds: Feeds,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let own: Arc<dyn JobStore> = Arc::new(SqliteStore::open(folder.path(), Options::default()).unwrap());
        let id = QueryId::new().into();
        let job = NewJob {
            id,
            app: "app".to_owned(),
            version: "v".to_owned(),
            query: Bytes::new(),
            floor: Floor::All,
            required: Vec::new(),
            run_timeout_ms: 1_000_000,
            retention_ms: 1_000_000,
            weight: 1,
            caller: None,
            idempotency: None,
            bounds: frond_jobs::store::Bounds::default(),
        };
        own.submit(job).await.unwrap();
        let epoch = own.take("owner", &JobFilter::All, Duration::from_secs(1000)).await.unwrap().unwrap().epoch;
        let permits = Arc::new(Semaphore::new(0));
        let gets = Arc::new(AtomicUsize::new(0));
        let fails = Arc::new(AtomicBool::new(false));
        let permitted = permits.clone();
        let counted = gets.clone();
        let failing = fails.clone();
        let hook = move |call| -> std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>> {
            let permitted = permitted.clone();
            let counted = counted.clone();
            let failing = failing.clone();
            Box::pin(async move {
                if call == "get" {
                    permitted.acquire().await.unwrap().forget();
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                if failing.load(Ordering::SeqCst) {
                    Err(StoreError::Corrupt(Box::<dyn std::error::Error + Send + Sync>::from("a page").into()))
                } else {
                    Ok(())
                }
            })
        };
        let store = Arc::new(HookedStore::new(own.clone(), Box::new(hook)));
        Self { own, store, id, epoch, permits, gets, fails, feeds: Feeds::default(), _folder: folder }
    }

    async fn write(&self, lines: &[&str]) {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.own.append(self.id, self.epoch, EventBatch { lines, ..EventBatch::default() }).await.unwrap();
    }

    async fn follow(&self, after: u64) -> Follower {
        let job = self.own.get(self.id).await.unwrap();
        Follower { store: self.store.clone(), feed: self.feeds.of(&self.store, &job), id: self.id, after }
    }
}

/// The numbers of the next events.
async fn next(follower: &mut Follower) -> Result<Option<Vec<u64>>, StoreError> {
    let page = tokio::time::timeout(PATIENCE, follower.next()).await.expect("it goes on")?;
    Ok(page.map(|page| page.events.into_iter().map(|(number, _)| number).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_followers_are_one_reader() {
    let bench = Bench::new().await;
    let mut followers = Vec::new();
    for _ in 0..50 {
        followers.push(bench.follow(0).await);
    }
    for round in 1..=3 {
        bench.write(&["{}"]).await;
        // The store allows one read of the job per round, for all followers.
        bench.permits.add_permits(1);
        for follower in &mut followers {
            assert_eq!(next(follower).await.unwrap(), Some(vec![round]));
        }
    }
    assert_eq!(bench.gets.load(Ordering::SeqCst), 3);
    drop(followers);
    bench.feeds.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_comes_late_misses_nothing() {
    let bench = Bench::new().await;
    let mut first = bench.follow(0).await;
    bench.write(&["{}", "{}", "{}"]).await;
    bench.permits.add_permits(1);
    assert_eq!(next(&mut first).await.unwrap(), Some(vec![1, 2, 3]));
    let mut late = bench.follow(1).await;
    assert_eq!(next(&mut late).await.unwrap(), Some(vec![2, 3]));
    bench.write(&["{}"]).await;
    bench.permits.add_permits(1);
    assert_eq!(next(&mut late).await.unwrap(), Some(vec![4]));
    // The job had no followers here before: its events are older than the feed.
    let other = Feeds::default();
    let job = bench.own.get(bench.id).await.unwrap();
    let feed = other.of(&bench.store, &job);
    let mut follower = Follower { store: bench.store.clone(), feed, id: bench.id, after: 2 };
    assert_eq!(next(&mut follower).await.unwrap(), Some(vec![3, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_ends_its_followers() {
    let bench = Bench::new().await;
    let mut follower = bench.follow(0).await;
    bench.write(&["{}"]).await;
    let ended = JobEnd { end: End::Failed, reason: None, coverage: Value::Null, result: None, content_type: None };
    bench.own.finish(bench.id, bench.epoch, ended).await.unwrap();
    bench.permits.add_permits(2);
    assert_eq!(next(&mut follower).await.unwrap(), Some(vec![1]));
    assert_eq!(next(&mut follower).await.unwrap(), None);
    assert!(follower.feed.ended().await.unwrap().state.is_ended());
    // Followers of an ended job need no reader.
    let mut late = bench.follow(0).await;
    assert_eq!((next(&mut late).await.unwrap(), next(&mut late).await.unwrap()), (Some(vec![1]), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_no_end() {
    let bench = Bench::new().await;
    let mut follower = bench.follow(0).await;
    bench.write(&["{}"]).await;
    bench.permits.add_permits(1);
    assert_eq!(next(&mut follower).await.unwrap(), Some(vec![1]));
    bench.fails.store(true, Ordering::SeqCst);
    bench.permits.add_permits(1);
    assert!(matches!(next(&mut follower).await, Err(StoreError::Corrupt(_))));
    assert!(follower.feed.ended().await.is_err());
    // A new follower resumes at its cursor once the store works again.
    bench.fails.store(false, Ordering::SeqCst);
    let mut again = bench.follow(1).await;
    bench.write(&["{}"]).await;
    bench.permits.add_permits(1);
    assert_eq!(next(&mut again).await.unwrap(), Some(vec![2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_breaks_off_where_its_store_fails() {
    let bench = Bench::new().await;
    bench.write(&["{}", "{}"]).await;
    let job = bench.own.get(bench.id).await.unwrap();
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let response = super::super::follow::live(&bench.feeds, bench.store.clone(), &job, 1, permit);
    bench.fails.store(true, Ordering::SeqCst);
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    assert!(body.is_err(), "the stream ends as if the job had: {body:?}");
    let lines = super::super::follow::lines(bench.store.clone(), bench.id);
    assert!(axum::body::to_bytes(lines.into_body(), 1 << 20).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_lets_its_followers_go() {
    let bench = Bench::new().await;
    let mut follower = bench.follow(0).await;
    bench.feeds.close().await;
    assert!(matches!(next(&mut follower).await, Err(StoreError::Unavailable(_))));
}
