//! An owner reacts to a cancel whatever it is doing.

use std::sync::Arc;

use frond_jobs::JobState;
use frond_jobs::store::HookedStore;
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, Gate, Running, until};

/// Cancels a job while its owner is held up in a call, notifies the owner, and lets the call
/// continue. The lease is hours long, so no regular renewal reports the cancel.
async fn a_cancel_during(call: &'static str) {
    let bench = Bench::new();
    let gate = Gate::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let running = Running::start(bench.hooked(gate.hook(call)), Arc::new(app));
    let id = bench.submit().await;
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    running.wakeup.notify();
    gate.open();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_events_are_written() {
    a_cancel_during("append").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_query_is_read() {
    a_cancel_during("asked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_plan_is_kept() {
    a_cancel_during("plan").await;
}

/// Cancels a job whose leaves have succeeded while its owner is held up in a call of its end.
async fn a_cancel_near_the_end(call: &'static str) {
    let bench = Bench::new();
    let gate = Gate::new();
    let app = App::new(Script::all(Turn::succeed()), Merges::sorted(), 3);
    let running = Running::start(bench.hooked(gate.hook(call)), Arc::new(app));
    let id = bench.submit().await;
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    // Without a notification: the owner ends the job without knowing of the cancel.
    gate.open();
    let ended = bench.ended(id).await;
    assert_eq!((ended.state, ended.epoch), (JobState::Cancelled, 1), "{call}");
    assert_eq!(bench.store.result(id).await.unwrap(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_answer_is_made_or_kept() {
    for call in ["accept", "merge", "finish"] {
        a_cancel_near_the_end(call).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_job_is_taken() {
    let bench = Bench::new();
    let gate = Gate::new();
    let id = bench.submit().await;
    let app = App::new(Script::all(Turn::succeed()), Merges::sorted(), 3);
    let running = Running::start(bench.hooked(gate.hook("take")), Arc::new(app));
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    gate.open();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
    assert_eq!(bench.ended(id).await.epoch, 0, "nobody took it");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_job_is_given_back() {
    let bench = Bench::new();
    let gate = Gate::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let running = Running::start(bench.hooked(gate.hook("release")), Arc::new(app));
    let id = bench.submit().await;
    bench.until(id, |job| job.state == JobState::Running).await;
    let stopping = tokio::spawn(running.stop());
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    gate.open();
    stopping.await.unwrap();
    // No other owner could take the job.
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn though_its_owner_is_killed() {
    let bench = Bench::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let running = Running::start(bench.store.clone(), Arc::new(app));
    let id = bench.submit().await;
    bench.until(id, |job| job.state == JobState::Running).await;
    running.kill().await;
    bench.store.cancel(id, false).await.unwrap();
    bench.lapse().await;
    bench.store.sweep().await.unwrap();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn though_another_process_asked_for_it() {
    let bench = Bench::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let running = Running::start(bench.store.clone(), Arc::new(app));
    let id = bench.submit().await;
    bench.until(id, |job| job.state == JobState::Running).await;
    // Without a notification, and with a lease of hours.
    bench.store.cancel(id, false).await.unwrap();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_take_events_holds_up_no_cancel() {
    let bench = Bench::new();
    let gate = Gate::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let stage = app.stage.clone();
    let running = Running::start(bench.hooked(gate.hook("append")), Arc::new(app));
    let id = bench.submit().await;
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    running.wakeup.notify();
    // The leaves stop although the events are still being written.
    until("the leaves stop", || stage.leaves.running() == 0).await;
    gate.open();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_its_owner_polls_is_not_lost() {
    let bench = Bench::new();
    let (polls, polled) = tokio::sync::watch::channel(false);
    let mut poll = polled.clone();
    let own = bench.store.clone();
    let id = bench.submit().await;
    // The end returns to its owner only after a poll that found the job ended.
    let before = |_| Box::pin(async { Ok(()) }) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>;
    let after = move |call| {
        let polls = polls.clone();
        let mut polled = polled.clone();
        let own = own.clone();
        Box::pin(async move {
            if call == "wanted" && own.get(id).await?.state.is_ended() {
                polls.send_replace(true);
            }
            if call == "finish" {
                let _ = polled.wait_for(|polled| *polled).await;
            }
            Ok(())
        }) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
    };
    let store = HookedStore::new(bench.store.clone(), Box::new(before)).and_after(Box::new(after));
    let app = App::new(Script::all(Turn::succeed()), Merges::sorted(), 3);
    let running = Running::start(Arc::new(store), Arc::new(app));
    let ended = bench.ended(id).await;
    assert_eq!(ended.state, JobState::Succeeded);
    poll.wait_for(|polled| *polled).await.unwrap();
    let tally = running.tally.clone();
    running.stop().await;
    assert_eq!(tally.lost(), 0);
}
