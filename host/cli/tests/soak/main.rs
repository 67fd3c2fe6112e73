//! A server under everything at once: good, bad and hostile queries, clients that vanish, apps that change. Nobody is told
//! anything wrong, and afterwards nothing is left behind. Some seconds in `make test`, ten minutes in `make soak`.
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
mod server;

use std::time::Duration;

use crowd::Crowd;
use server::{Server, State};

/// How much more a server may hold when it is idle again than when it was new: caches, what it remembers of queries, what the
/// allocator and the pools keep for the next.
const SLACK: u64 = 128 << 20;
/// Below this, memory is still on its way to where it stays.
const SETTLED: Duration = Duration::from_secs(60);

fn time() -> Duration {
    let seconds =
        std::env::var("FROND_SOAK_SECONDS").map_or(8, |text| text.parse().expect("FROND_SOAK_SECONDS is a number"));
    Duration::from_secs(seconds)
}

/// Looks at the server once a second, and says what it sees.
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
        let (first, last) = (most(&states[..third]), most(&states[states.len() - third..]));
        assert!(
            last < first + first / 4,
            "memory grows: {first} bytes at the most in the first third, {last} in the last"
        );
    }
    server.stop();
}
