//! An owner whose lease cannot be renewed stops by itself.

use std::sync::Arc;
use std::time::Duration;

use frond_jobs::JobState;
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, Gate, Running, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_falls_silent_ends_the_work_with_the_lease() {
    let (bench, gate) = (Bench::new(), Gate::new());
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let stage = app.stage.clone();
    let running = Running::with(bench.hooked(gate.hook("renew")), Arc::new(app), Duration::from_secs(1));
    let id = bench.submit().await;
    until("the leaves run", || stage.leaves.running() > 0).await;
    gate.entered().await;
    // No renewal is ever answered.
    until("the leaves stop", || stage.leaves.running() == 0).await;
    until("the job counts as lost", || running.tally.lost() == 1).await;
    let job = bench.store.get(id).await.unwrap();
    assert!(!job.state.is_ended(), "it is left to others: {job:?}");
    gate.open();
    assert_eq!(bench.until(id, |job| job.epoch > 1).await.state, JobState::Running);
    running.stop().await;
}
