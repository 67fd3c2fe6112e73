//! What a query tells of its workers.

use frond_testkit::{Nats, Proxy};
use serde_json::Value;

use super::kit::{Folder, frond};
use super::{count, sleepers, worker_with};

/// Leaves of a query.
const LEAVES: usize = 30;

#[test]
fn the_times_of_attempts_on_workers_are_those_that_they_took() {
    let Some(nats) = Nats::start() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let link = runtime.block_on(Proxy::before(nats.port()));
    // Frames wait for each other on the way, so that begins and ends of leaves arrive together.
    link.slow_down(true);
    let url = format!("nats://127.0.0.1:{}", link.port());
    let mut far = frond(["worker", "--nats", &url, "--name", "far", "--slots", "8", "--trust-roots"]).start();
    far.wait_for("worker ");
    let folder = Folder::new();
    let recording = folder.path("run.ndjson");
    let ended = sleepers(&nats, LEAVES).arg("--record").arg(&recording).run().expect(0);
    assert_eq!(count(&ended), LEAVES as u64);
    let events: Vec<Value> =
        std::fs::read_to_string(&recording).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    let mut times: Vec<_> = of("attempt-started")
        .map(|start| {
            let is_its = |end: &&Value| end["partition"] == start["partition"] && end["attempt"] == start["attempt"];
            let end = of("attempt-ended").find(is_its).unwrap();
            end["at"].as_u64().unwrap() - start["at"].as_u64().unwrap()
        })
        .collect();
    times.sort_unstable();
    assert_eq!(times.len(), LEAVES);
    assert!(times[0] >= 20_000, "each of them sleeps for 20 ms: {times:?}");
    let explained = frond(["explain"]).arg(&recording).run().expect(0).out();
    let median = explained.lines().find(|line| line.contains("p50")).unwrap_or_else(|| panic!("{explained}"));
    assert!(!median.contains("µs"), "{median}");
}
