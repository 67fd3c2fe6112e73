//! Callers with all places of a processor, beside others whose jobs wait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use frond_jobs::processor::Settings;
use frond_jobs::store::NewJob;
use frond_jobs::{AppProvider, AppVersion, JobId, JobState, NoVersion};
use frond_testkit::{Merges, Script, Stage, Turn};

use crate::kit::{App, Bench, Running, job};
use crate::lapsing::Time;

/// Longer than any of these tests.
const LEASE: Duration = Duration::from_secs(36_000);
const TURN: Duration = Duration::from_secs(10);

/// Two apps: `quick`, whose leaves succeed, and `slow`, of whose leaves only the first ends.
struct Apps {
    quick: App,
    slow: App,
}

impl Apps {
    fn new() -> Arc<Self> {
        let slow = Script::by(|index, _| if index == 0 { Turn::succeed() } else { Turn::never() });
        Arc::new(Self {
            quick: App::new(Script::all(Turn::succeed()), Merges::sorted(), 3),
            slow: App::new(slow, Merges::sorted(), 3),
        })
    }

    /// Stage of the slow app.
    fn stage(&self) -> Arc<Stage> {
        self.slow.stage.clone()
    }

    fn named(&self, name: &str) -> Arc<dyn AppVersion> {
        let app = if name == "quick" { &self.quick } else { &self.slow };
        Arc::new(app.clone())
    }
}

#[async_trait]
impl AppProvider for Apps {
    fn apps(&self) -> Vec<String> {
        ["quick", "slow"].map(str::to_owned).into()
    }

    fn app(&self, name: &str) -> Option<Arc<dyn AppVersion>> {
        Some(self.named(name))
    }

    async fn version(&self, name: &str, _version: &str) -> Result<Arc<dyn AppVersion>, NoVersion> {
        Ok(self.named(name))
    }
}

async fn submit(bench: &Bench, app: &str, caller: &str) -> JobId {
    let new = NewJob { app: app.to_owned(), caller: Some(caller.to_owned()), ..job() };
    bench.store.submit(new).await.unwrap().job.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_all_places_gives_its_latest_job_back_for_anothers() {
    let bench = Bench::new();
    let settings = Settings { lease: LEASE, at_once: 2, turn: Duration::ZERO, ..Settings::default() };
    let running = Running::by(bench.store.clone(), Apps::new(), settings);
    let mut greedy = Vec::new();
    for _ in 0..2 {
        let id = submit(&bench, "slow", "greedy").await;
        running.wakeup.notify();
        bench.until(id, |job| job.state == JobState::Running && job.counts.done == 1).await;
        greedy.push(id);
    }
    let quiet = submit(&bench, "quick", "quiet").await;
    running.wakeup.notify();
    assert_eq!(bench.ended(quiet).await.state, JobState::Succeeded);
    // The job comes again, with its partial, once there is room.
    let back = bench.until(greedy[1], |job| job.state == JobState::Running && job.epoch == 2).await;
    assert_eq!((back.counts.done, back.counts.failed), (1, 0));
    let first = bench.store.get(greedy[0]).await.unwrap();
    assert_eq!((first.state, first.epoch), (JobState::Running, 1), "it was never disturbed");
    assert_eq!(running.tally.lost(), 0, "a job that is given back is not lost");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn callers_take_turns_at_a_single_place() {
    let time = Time::new();
    let bench = Bench::by(time.clock.clone());
    let apps = Apps::new();
    let stage = apps.stage();
    let greedy = submit(&bench, "slow", "greedy").await;
    time.clock.set(time.now().plus(1));
    let quiet = submit(&bench, "quick", "quiet").await;
    let settings = Settings { lease: LEASE, at_once: 1, turn: TURN, ..Settings::default() };
    let start = time.start.elapsed();
    let running = Running::by(bench.store.clone(), apps, settings);
    Time::until("the leaves run", || stage.leaves.running() > 0).await;
    let until = async |id: JobId, epoch: u64| {
        while bench.store.get(id).await.unwrap().epoch < epoch {
            assert!(time.start.elapsed() < start + TURN * 100, "it never has a turn");
            time.pass().await;
        }
    };
    until(quiet, 1).await;
    assert!(time.start.elapsed() >= start + TURN, "the turn of the other was cut short");
    until(greedy, 2).await;
    assert_eq!(running.tally.lost(), 0);
    running.kill().await;
}
