//! Planning runs within the job's timeout, reacts to its cancel, and ends the job if it fails.

use std::sync::Arc;

use frond_jobs::store::{Job, NewJob};
use frond_jobs::{JobState, StoreError};
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, Running, job};

fn app(hangs: bool) -> Arc<App> {
    Arc::new(App { hangs, ..App::new(Script::all(Turn::succeed()), Merges::sorted(), 3) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_takes_too_long_ends_the_job() {
    let bench = Bench::new();
    let id = bench.store.submit(NewJob { run_timeout_ms: 100, ..job() }).await.unwrap().job.id;
    let running = Running::start(bench.store.clone(), app(true));
    let ended = bench.ended(id).await;
    assert_eq!(ended.state, JobState::Failed);
    assert_eq!(ended.reason.unwrap()["reason"], "deadline");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_a_job_that_is_being_planned() {
    let bench = Bench::new();
    let id = bench.submit().await;
    let running = Running::start(bench.store.clone(), app(true));
    bench.until(id, |job| job.state == JobState::Planning).await;
    bench.store.cancel(id, false).await.unwrap();
    running.wakeup.notify();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
}

/// A job of which the store refuses this call, with this error.
async fn refused(refused: &'static str, why: &'static str) -> Job {
    let bench = Bench::new();
    let id = bench.submit().await;
    let once = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let hook = move |call| {
        // Only the first call fails, so that the end with the error is stored.
        let refuses = call == refused && once.swap(false, std::sync::atomic::Ordering::SeqCst);
        let why = Box::<dyn std::error::Error + Send + Sync>::from(why);
        let outcome = if refuses { Err(StoreError::Unkeepable(why.into())) } else { Ok(()) };
        Box::pin(async { outcome }) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
    };
    let running = Running::start(bench.hooked(Box::new(hook)), app(false));
    let ended = bench.ended(id).await;
    running.stop().await;
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_store_keeps_ends_the_job_with_its_reason() {
    for call in ["plan", "accept", "finish"] {
        let ended = refused(call, "invalid byte sequence: 0x00").await;
        assert_eq!((ended.state, ended.epoch), (JobState::Failed, 1), "{call}");
        let reason = ended.reason.unwrap();
        assert_eq!(reason["reason"], "refused");
        assert!(reason["detail"].as_str().unwrap().contains("invalid byte sequence"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_is_short_however_long_its_error_is() {
    let ended = refused("plan", "x".repeat(100_000).leak()).await;
    let reason = ended.reason.unwrap();
    let detail = reason["detail"].as_str().unwrap();
    assert!(detail.len() <= 4 << 10 && detail.ends_with('…'), "{} bytes", detail.len());
}
