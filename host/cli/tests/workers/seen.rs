//! What a query tells of its workers.

use frond_testkit::{Nats, Proxy};
use serde_json::Value;

use super::kit::{Folder, frond};
use super::serving::{RAIL, Server};
use super::{QUERIES, count, query, sleepers, sleepers_of, worker, worker_with};

/// Leaves of a query.
const LEAVES: usize = 30;

#[test]
fn a_query_tells_which_workers_it_had_and_what_their_loss_cost() {
    let Some(nats) = Nats::start() else { return };
    // One leaf at a time, so that each of both has some.
    let mut killed = worker_with(&nats, "killed", &["--waiting", "0"]);
    let _other = worker_with(&nats, "other", &["--waiting", "0"]);
    let folder = Folder::new();
    let recording = folder.path("run.ndjson");
    // Long enough that none has ended when the worker is killed.
    let asked = sleepers_of(&nats, 4, 3000).args(["--format", "json", "--record"]).arg(&recording);
    let mut asked = asked.start();
    asked.wait_for(r#""worker":"killed""#);
    killed.signal("KILL");
    let answer = asked.end().expect(0).json();
    let workers = &answer["coverage"]["workers"];
    assert_eq!((workers["joined"].as_u64(), workers["lost"].as_u64()), (Some(2), Some(1)), "{workers}");
    let attempts = |one: &Value| one["attempts"].as_u64().unwrap();
    let named = workers["named"].as_array().unwrap();
    assert_eq!(named.iter().map(attempts).sum::<u64>(), attempts(workers), "{workers}");
    assert_eq!(attempts(workers), answer["coverage"]["attempts"]["started"].as_u64().unwrap());
    assert_eq!((named[0]["name"].as_str(), named[1]["name"].as_str()), (Some("other"), Some("killed")), "{workers}");
    assert_eq!(workers["attempts_lost"].as_u64(), Some(attempts(&named[1])), "{workers}");
    let explained = frond(["explain"]).arg(&recording).run().expect(0).out();
    let told = explained.lines().find(|line| line.starts_with("workers  ")).unwrap_or_else(|| panic!("{explained}"));
    assert!(told.contains("2 joined, 1 lost") && told.contains("other ") && told.contains("killed "), "{told}");
    let alone = query(QUERIES[0]).arg("--stats").run().expect(0);
    assert!(!alone.err().contains("workers  "), "{}", alone.err());
    let apart = query(QUERIES[0]).args(["--stats", "--workers", "2"]).run().expect(0);
    assert!(apart.err().contains("workers  2 joined"), "{}", apart.err());
}

/// Remark on a query to this pool, which nobody is in.
fn absence(pool: &str) -> String {
    format!("no worker of the pool `{pool}` has joined: ")
}

#[test]
fn a_pool_without_workers_is_told_early_and_with_the_answer() {
    let Some(nats) = Nats::start() else { return };
    let _worker = worker(&nats, "elsewhere");
    let asked = |args: &[&str]| query(QUERIES[0]).args(["--nats", &nats.url(), "--pool", "gpu"]).args(args);
    let here = asked(&["--format", "json"]).run().expect(0);
    let notes = here.json()["coverage"]["notes"].clone();
    let remark = format!("{}other slots run its leaves (`frond worker", absence("gpu"));
    assert!(notes[0].as_str().is_some_and(|note| note.starts_with(&remark)) && notes[1].is_null(), "{notes}");
    // Once early, and once with the answer.
    assert_eq!(here.err().matches(&absence("gpu")).count(), 2, "{}", here.err());
    let mut waiting = asked(&["--local", "false"]).start();
    waiting.wait_for(&format!("{}leaves wait for one", absence("gpu")));
    let _late = worker_with(&nats, "late", &["--pool", "gpu"]);
    let ended = waiting.end().expect(0);
    assert_eq!(ended.err().matches(&absence("gpu")).count(), 1, "it has joined: {}", ended.err());
}

#[test]
fn a_server_tells_that_no_worker_of_its_pool_is_there() {
    let Some(nats) = Nats::start() else { return };
    let mut server = Server::start(&["--nats", &nats.url(), "--pool", "gpu"], "");
    let (status, answer) = server.send("POST", "/v1/apps/rail/query?deadline=60s", RAIL);
    assert_eq!(status, 200, "{answer}");
    let list: Value = serde_json::from_str(&server.send("GET", "/v1/queries", "").1).unwrap();
    let id = list["queries"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}"));
    let record: Value = serde_json::from_str(&server.send("GET", &format!("/v1/queries/{id}"), "").1).unwrap();
    let notes = &record["coverage"]["notes"];
    assert!(notes[0].as_str().is_some_and(|note| note.starts_with(&absence("gpu"))), "{record}");
    server.running.wait_for(&absence("gpu"));
    server.end().expect(0);
}

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
