//! Jobs that outlive their servers, and jobs that crash them.

use std::sync::Arc;
use std::time::Duration;

use frond_jobs::JobState;
use frond_jobs::processor::LIVES;
use frond_jobs::store::JobFilter;
use frond_root::journal::KeptPartial;
use frond_root::{Coverage, FailureKind};
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, Running};

fn good() -> Arc<App> {
    Arc::new(App::new(Script::all(Turn::succeed()), Merges::sorted(), 6))
}

/// Takes the job without releasing it, like a process that is killed.
async fn lose(bench: &Bench) {
    bench.store.take("lost", &JobFilter::All, Duration::ZERO).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_its_servers_fails_and_says_so() {
    let bench = Bench::new();
    let id = bench.submit().await;
    for _ in 0..LIVES {
        lose(&bench).await;
    }
    let running = Running::start(bench.store.clone(), good());
    let job = bench.ended(id).await;
    let reason = job.reason.unwrap();
    assert_eq!((job.state, reason["reason"].as_str()), (JobState::Failed, Some("lost")));
    assert!(reason["detail"].as_str().unwrap().contains(&format!("{LIVES} times in a row")), "{reason}");
    // Once the cause is removed, a redrive runs the job again.
    bench.store.redrive(id).await.unwrap();
    running.wakeup.notify();
    assert_eq!(bench.ended(id).await.state, JobState::Succeeded);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_lost_less_often_goes_on() {
    let bench = Bench::new();
    let id = bench.submit().await;
    for _ in 1..LIVES {
        lose(&bench).await;
    }
    let running = Running::start(bench.store.clone(), good());
    assert_eq!(bench.ended(id).await.state, JobState::Succeeded);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_a_job_is_that_of_all_its_lives() {
    let bench = Bench::new();
    let id = bench.submit().await;
    let turn = |index, _| match index {
        0..3 => Turn::succeed(),
        3 => Turn::fail(FailureKind::Trap),
        _ => Turn::never(),
    };
    let first = Running::start(bench.store.clone(), Arc::new(App::new(Script::by(turn), Merges::sorted(), 6)));
    let told = |job: &frond_jobs::Job| {
        let account = &job.account;
        job.counts.done == 3 && account.attempts.started == 6 && account.failures.contains_key(&FailureKind::Trap)
    };
    let left = bench.until(id, told).await;
    first.kill().await;
    bench.lapse().await;
    let second = Running::start(bench.store.clone(), good());
    let job = bench.ended(id).await;
    assert_eq!((job.state, job.epoch, job.counts.attempts), (JobState::Succeeded, 2, 9));
    let coverage: Coverage = serde_json::from_value(job.coverage.unwrap()).unwrap();
    assert_eq!((coverage.partitions.succeeded, coverage.attempts.started), (6, 9));
    assert_eq!(coverage.failures.get(&FailureKind::Trap), Some(&1));
    assert!(left.account.timings.total > 0.0 && coverage.timings.total > left.account.timings.total, "{coverage:?}");
    assert!(coverage.timings.gather <= coverage.timings.total, "{coverage:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_that_ended_and_were_not_stored_do_not_run_again() {
    let bench = Bench::new();
    let id = bench.submit().await;
    let turn = |index, _| if index < 2 { Turn::succeed() } else { Turn::never() };
    let first = Running::start(bench.store.clone(), Arc::new(App::new(Script::by(turn), Merges::sorted(), 6)));
    bench.until(id, |job| job.counts.done == 2).await;
    first.kill().await;
    bench.lapse().await;
    let app = good();
    let kept = |partition: u32| KeptPartial {
        partition,
        attempt: 1,
        ran: Duration::from_millis(5),
        partial: format!("kept {partition}").into(),
        units: None,
        replaces: 0,
    };
    // One that is stored already, and two that are not.
    *app.kept.lock().unwrap() = [1, 3, 4].map(|partition| (1, kept(partition))).to_vec();
    let second = Running::start(bench.store.clone(), app.clone());
    let job = bench.ended(id).await;
    assert_eq!((job.state, job.counts.done), (JobState::Succeeded, 6));
    let ran = app.stage.leaves.counts().attempts();
    assert_eq!(ran.keys().copied().collect::<Vec<_>>(), [2, 5], "{ran:?}");
    assert!(app.kept.lock().unwrap().is_empty(), "whoever kept them may forget them");
    second.stop().await;
}
