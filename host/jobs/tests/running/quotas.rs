//! Quotas of callers apply to a job's stored bytes while it runs.

use std::sync::Arc;

use frond_jobs::JobState;
use frond_jobs::store::NewJob;
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, QUOTA, Running, job};

/// An app with ten partials of three times a caller's quota in total.
fn app() -> Arc<App> {
    let partial = vec![b'x'; usize::try_from(QUOTA * 3 / 10).unwrap()];
    Arc::new(App::new(Script::all(Turn::give(partial)), Merges::sorted(), 10))
}

fn of(caller: Option<&str>) -> NewJob {
    NewJob { caller: caller.map(str::to_owned), ..job() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_keeps_more_than_its_caller_may_fails_and_others_go_on() {
    let bench = Bench::new();
    let greedy = bench.store.submit(of(Some("ann"))).await.unwrap().job.id;
    let free = bench.store.submit(of(None)).await.unwrap().job.id;
    let running = Running::start(bench.store.clone(), app());
    let ended = bench.ended(greedy).await;
    assert_eq!(ended.state, JobState::Failed);
    let reason = ended.reason.unwrap();
    assert_eq!(reason["reason"], "quota");
    assert!(reason["detail"].as_str().unwrap().contains("use all of their 100000 bytes"), "{reason}");
    assert!(bench.store.bytes_of("ann").await.unwrap() <= QUOTA);
    assert_eq!(bench.ended(free).await.state, JobState::Succeeded);
    running.stop().await;
}
