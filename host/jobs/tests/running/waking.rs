//! A cancel is heard whatever the owner is at.

use std::sync::Arc;

use frond_jobs::JobState;
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, Gate, Running, until};

/// Cancels a job while its owner is held up in a call, rings, and lets the call go on: the lease is hours long, and so is
/// the time until its owner would renew it by itself.
async fn a_cancel_during(call: &'static str) {
    let (bench, gate) = (Bench::new(), Gate::new());
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let running = Running::start(bench.hooked(gate.hook(call)), Arc::new(app));
    let id = bench.submit().await;
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    running.bell.ring();
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

#[tokio::test(flavor = "multi_thread")]
async fn though_another_process_asked_for_it() {
    let bench = Bench::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let running = Running::start(bench.store.clone(), Arc::new(app));
    let id = bench.submit().await;
    bench.until(id, |job| job.state == JobState::Running).await;
    // Nobody rings, and the lease is hours long.
    bench.store.cancel(id, false).await.unwrap();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_take_events_holds_up_no_cancel() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let stage = app.stage.clone();
    let running = Running::start(bench.hooked(gate.hook("append")), Arc::new(app));
    let id = bench.submit().await;
    gate.entered().await;
    bench.store.cancel(id, false).await.unwrap();
    running.bell.ring();
    // Its leaves stop though the events are still being written.
    until("the leaves stop", || stage.leaves.running() == 0).await;
    gate.open();
    assert_eq!(bench.ended(id).await.state, JobState::Cancelled);
    running.stop().await;
}
