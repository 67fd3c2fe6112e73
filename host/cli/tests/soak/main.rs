//! Soak test: one server with valid, invalid and hostile queries, clients that disconnect, and apps
//! that change, all at once. No reply is wrong, and no resources leak. It takes some seconds in
//! `make test`, and ten minutes in `make soak`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop where they are"
)]

#[path = "../kit/mod.rs"]
mod kit;

mod crashes;
mod crowd;
mod resuming;
mod server;

use std::time::Duration;

use crowd::Crowd;
use server::{Server, State};

/// Bytes by which an idle server may exceed its initial memory: caches, records of queries, and
/// memory retained by the allocator and the pools.
const SLACK: u64 = 128 << 20;
/// Duration of the soak from which memory is expected to be stable.
const SETTLED: Duration = Duration::from_secs(60);

fn time() -> Duration {
    let seconds =
        std::env::var("FROND_SOAK_SECONDS").map_or(8, |text| text.parse().expect("FROND_SOAK_SECONDS is a number"));
    Duration::from_secs(seconds)
}

/// Samples the server's state once a second, and prints it.
async fn watch(server: &Server, crowd: &Crowd, time: Duration) -> Vec<State> {
    let mut states = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for second in 0..=time.as_secs() {
        ticks.tick().await;
        let state = server.state().await;
        if second % 30 == 0 || second == time.as_secs() {
            println!("{second:4} s: {state:?}, {}", crowd.summary());
        }
        states.push(state);
    }
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_bears_with_everybody_and_nothing_is_left_behind() {
    let server = Server::start();
    server.ready().await;
    let new = server.state().await;
    let crowd = Crowd::gather(&server.url);
    let states = watch(&server, &crowd, time()).await;
    let seen = crowd.disperse().await;
    let idle = server.idle(&new).await;
    println!("idle: {idle:?}");

    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("frond_queries_begun_total", &[]), metrics.sum("frond_queries_total", &[]), "queries");
    let attempts = metrics.sum("frond_events_total", &["kind=\"attempt-ended\""]);
    assert!(
        metrics.sum("frond_leaves_total", &[]) >= attempts,
        "leaves are counted that have no event, never the reverse"
    );
    let complete = metrics.sum("frond_queries_total", &["app=\"steady\"", "outcome=\"complete\""]);
    assert_eq!(complete, seen.complete as f64, "each answer is counted once");
    assert!(seen.everything_happened(), "{seen:?}");
    assert!(idle.resident < new.resident + SLACK, "memory: {new:?} {idle:?}");
    if time() > SETTLED {
        let third = states.len() / 3;
        let most = |states: &[State]| states.iter().map(|state| state.resident).max().unwrap_or(0);
        let first = most(&states[..third]);
        let last = most(&states[states.len() - third..]);
        assert!(
            last < first + first / 4,
            "memory grows: {first} bytes at the most in the first third, {last} in the last"
        );
    }
    server.stop();
}
