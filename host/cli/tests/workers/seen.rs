//! Accounts of a query's workers: who ran what, and when; what was lost, and what is absent.

use frond_testkit::Nats;
use serde_json::Value;

use super::kit::{Folder, frond};
use super::serving::{RAIL, Server};
use super::{QUERIES, query, sleepers_of, worker, worker_with};

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
    // On a busy machine others may be lost, too, and join again.
    let number = |key: &str| workers[key].as_u64().unwrap();
    assert!(number("joined") >= 2 && number("lost") >= 1, "{workers}");
    assert!(number("attempts_lost") >= 1 && number("attempts") >= 4 + number("attempts_lost"), "{workers}");
    assert_eq!(number("attempts"), answer["coverage"]["attempts"]["started"].as_u64().unwrap());
    let named = workers["named"].as_array().unwrap();
    assert_eq!(named.iter().map(|one| one["attempts"].as_u64().unwrap()).sum::<u64>(), number("attempts"), "{workers}");
    let mut names: Vec<_> = named.iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["killed", "other"], "{workers}");
    let explained = frond(["explain"]).arg(&recording).run().expect(0).out();
    let told = explained.lines().find(|line| line.starts_with("workers  ")).unwrap_or_else(|| panic!("{explained}"));
    let joined = format!("{} joined, {} lost · ", number("joined"), number("lost"));
    assert!(told.contains(&joined) && told.contains("other ") && told.contains("killed "), "{told}");
    let alone = query(QUERIES[0]).arg("--stats").run().expect(0);
    assert!(!alone.err().contains("workers  "), "{}", alone.err());
    let apart = query(QUERIES[0]).args(["--stats", "--workers", "2"]).run().expect(0);
    assert!(apart.err().contains("workers  ") && apart.err().contains(" joined"), "{}", apart.err());
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
    if !server.running.said().contains(&absence("gpu")) {
        server.running.wait_for(&absence("gpu"));
    }
    server.end().expect(0);
}

/// Events of a query to two workers with these partitions.
fn recorded(nats: &Nats, keys: &[String]) -> (Folder, Vec<Value>) {
    let folder = Folder::new();
    let recording = folder.path("run.ndjson");
    let keys: Vec<_> = keys.iter().map(|key| format!(r#"{{"key":"{key}","data":""}}"#)).collect();
    let text = format!(r#"{{"query":{{}},"partitions":[{}]}}"#, keys.join(","));
    let asked = query(&["examples/faulty", &text, "--floor", "all", "--local", "false", "--nats", &nats.url()]);
    asked.arg("--record").arg(&recording).run().expect(0);
    let lines = std::fs::read_to_string(&recording).unwrap();
    (folder, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Microseconds of all attempts, with their waits and without.
fn times(events: &[Value]) -> Vec<(u64, u64)> {
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    let number = |event: &Value, key: &str| event[key].as_u64().unwrap_or_default();
    let time = |start: &Value| {
        let is_its = |end: &&Value| end["partition"] == start["partition"] && end["attempt"] == start["attempt"];
        let end = of("attempt-ended").find(is_its).unwrap();
        let time = number(end, "at") - number(start, "at");
        (time, time - number(end, "waited"))
    };
    of("attempt-started").map(time).collect()
}

#[test]
fn the_times_of_attempts_on_workers_are_those_that_they_took() {
    let Some(nats) = Nats::start() else { return };
    let _workers = [worker(&nats, "a"), worker(&nats, "b")];
    let keys: Vec<_> = (0..30).map(|leaf| format!("sleep-ms:50-{leaf}")).collect();
    let (folder, events) = recorded(&nats, &keys);
    let slept = times(&events);
    assert!(slept.len() == 30 && slept.iter().all(|(time, _)| *time >= 50_000), "each sleeps for 50 ms: {slept:?}");
    let explained = folder.frond("explain run.ndjson").run().expect(0).out();
    let median = explained.lines().find(|line| line.starts_with("leaf")).unwrap_or_else(|| panic!("{explained}"));
    assert!(!median.contains("µs"), "{median}");
    // Begins and ends of short leaves arrive together.
    let keys: Vec<_> = (0..400).map(|leaf| format!("ok-{leaf}")).collect();
    let (_folder, events) = recorded(&nats, &keys);
    let short = times(&events);
    let used = events.last().unwrap()["coverage"]["timings"]["leaf_used"].as_f64().unwrap() * 1000.0;
    let sum: u64 = short.iter().map(|(_, time)| time + 2).sum();
    assert!(sum as f64 >= used, "the slots were used for {used} µs, and all attempts took {sum} µs");
}
