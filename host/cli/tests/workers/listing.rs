//! Views of a server's workers: whether it is ready, who has left and why, which processes stand
//! ready.

use std::process::Command;

use frond_testkit::Nats;
use serde_json::Value;

use super::isolated::{PI as PI_RANGE, app};
use super::kit::{frond, until};
use super::serving::{PI, RAIL, Server, alone, in_state};
use super::{count, sleepers_of, worker, worker_with};

/// Status and body of the check of readiness, once it has this status.
fn ready_once(server: &Server, wanted: u16) -> String {
    until("the server is as ready as it should be", || {
        let (status, body) = server.send("GET", "/readyz", "");
        (status == wanted).then_some(body)
    })
}

#[test]
fn a_server_whose_leaves_run_on_workers_only_is_ready_while_there_is_one() {
    let Some(nats) = Nats::start() else { return };
    let server = Server::start(&["--nats", &nats.url(), "--local", "false"], "");
    let why = ready_once(&server, 503);
    assert!(why.starts_with("not ready\nno worker of the pool `default` has joined"), "{why}");
    let first = worker(&nats, "a");
    assert_eq!(ready_once(&server, 200), "ready\n");
    drop(first);
    ready_once(&server, 503);
    let second = worker(&nats, "b");
    ready_once(&server, 200);
    server.frond(&["workers", "drain", "b"]).run().expect(0);
    let why = ready_once(&server, 503);
    assert!(why.contains("no worker of the pool `default` is left, and 1 was drained: "), "{why}");
    drop(second);
    server.end().expect(0);
    let own = Server::start(&["--nats", &nats.url()], "");
    assert_eq!(own.send("GET", "/readyz", ""), (200, "ready\n".to_owned()), "its own slots answer");
    own.end().expect(0);
}

#[test]
fn the_log_has_a_line_for_each_worker_that_joins_drains_leaves_or_is_lost() {
    let Some(nats) = Nats::start() else { return };
    let server = Server::start(&["--nats", &nats.url()], "");
    let mut stopped = worker(&nats, "stopped");
    let killed = worker(&nats, "killed");
    let _drained = worker(&nats, "drained");
    server.workers_once(|workers| in_state(workers, "working").len() == 3);
    stopped.signal("TERM");
    stopped.end().expect(0);
    drop(killed);
    server.frond(&["workers", "drain", "drained"]).run().expect(0);
    let listed = server.workers_once(|workers| in_state(workers, "drained").len() == 2 && workers.len() == 2);
    let by = |name: &str| listed.iter().find(|one| one["name"] == name).unwrap()["drained_by"].as_str();
    assert_eq!((by("stopped"), by("drained")), (None, Some("anybody")));
    let ended = server.end().expect(0);
    let log = ended.err();
    let lines = |words: &[&str]| log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    for (level, name, what) in [
        ("INFO", "stopped", "a worker has joined"),
        ("INFO", "killed", "a worker has joined"),
        ("INFO", "drained", "a worker has joined"),
        ("INFO", "stopped", "a worker drains"),
        ("INFO", "drained", "a worker drains"),
        ("INFO", "stopped", "a drained worker has left"),
        ("INFO", "drained", "a drained worker has left"),
        ("WARN", "killed", "a worker is lost"),
    ] {
        let worker = format!("worker=\"{name}\"");
        assert_eq!(lines(&[level, &worker, what, "pool=\"default\"", "slots=1"]), 1, "{name}, {what}:\n{log}");
    }
    assert_eq!(lines(&["by=\"anybody\""]), 1, "{log}");
    assert_eq!(lines(&["event: "]), 0, "the broker's client says nothing in its own words:\n{log}");
}

#[test]
fn a_drained_worker_leaves_its_root_for_good_and_serves_others() {
    let Some(nats) = Nats::start() else { return };
    let mut worker = worker(&nats, "a");
    let server = Server::start(&["--nats", &nats.url()], "");
    server.workers_once(|workers| in_state(workers, "working") == ["a"]);
    server.frond(&["workers", "drain", "a"]).run().expect(0);
    worker.wait_for("the root has drained this worker");
    // Each of them takes as long as a root needs to announce itself again.
    for _ in 0..3 {
        let asked = sleepers_of(&nats, 2, 400).run().expect(0);
        assert_eq!(count(&asked), 2);
    }
    server.workers_once(|workers| workers.len() == 1 && in_state(workers, "drained") == ["a"]);
    server.end().expect(0);
    worker.signal("TERM");
    let ended = worker.end().expect(0);
    let lines = |what: &str| ended.err().lines().filter(|line| line.contains(what)).count();
    assert_eq!((lines("joined a root"), lines("left a root")), (4, 4), "{}", ended.err());
    assert_eq!(lines("the session was closed"), 3, "each query said goodbye: {}", ended.err());
}

#[test]
fn a_drained_process_of_the_server_is_replaced_without_an_alarm() {
    let server = Server::start(&["--workers", "1"], "");
    let works = |but: u64| pids(&server.workers(), "working").into_iter().find(|pid| *pid != but);
    let first = until("a process works", || works(0));
    let list = server.workers();
    let name = list.iter().find(|one| one["pid"] == first).unwrap()["name"].as_str().unwrap().to_owned();
    server.frond(&["workers", "drain", &name]).run().expect(0);
    until("another one works", || works(first));
    let ended = server.end().expect(0);
    assert!(ended.err().contains("has left, as it was asked to"), "{}", ended.err());
    assert!(!ended.err().contains("WARN"), "{}", ended.err());
}

#[test]
fn a_worker_has_a_name_by_which_it_can_be_drained() {
    for name in [".", "..", ""] {
        let refused = frond(["worker", "--nats", "nats://127.0.0.1:1", "--name", name]).run();
        assert_ne!(refused.code, Some(0));
    }
    let Some(nats) = Nats::start() else { return };
    for name in [".", ".."] {
        let refused = frond(["worker", "--nats", &nats.url(), "--name", name]).run().expect(64);
        assert!(refused.err().contains(&format!("cannot be named `{name}`")), "{}", refused.err());
    }
    let _worker = worker(&nats, "a/../b c");
    let server = Server::start(&["--nats", &nats.url()], "");
    server.workers_once(|workers| in_state(workers, "working").len() == 1);
    server.frond(&["workers", "drain", "a/../b c"]).run().expect(0);
    server.workers_once(|workers| in_state(workers, "drained") == ["a/../b c"]);
    server.end().expect(0);
}

fn pids(processes: &[Value], state: &str) -> Vec<u64> {
    let mut pids: Vec<_> =
        processes.iter().filter(|one| one["state"] == state).map(|one| one["pid"].as_u64().unwrap()).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn a_spare_process_takes_the_place_of_an_isolated_one_that_is_killed() {
    let apps = app("pi", "\"process\"", PI_RANGE);
    let server = Server::serving(apps.dir(), tempfile::tempdir().unwrap(), &[], "[workers]\nspare-processes = 1\n");
    let settled = || {
        let all = server.isolated();
        (pids(&all, "working").len() == 2 && pids(&all, "spare").len() == 1).then_some(all)
    };
    let before = until("two processes work, and one stands ready", settled);
    assert!(before.iter().all(|one| one["kind"] == "process"), "{before:?}");
    let works = pids(&before, "working");
    let stands = pids(&before, "spare");
    let answer = server.ask("app", PI);
    assert!(Command::new("kill").args(["-9", &works[0].to_string()]).status().unwrap().success());
    let mut expected = vec![works[1], stands[0]];
    expected.sort_unstable();
    until("the spare works", || (pids(&server.isolated(), "working") == expected).then_some(()));
    let after = until("another one stands ready", settled);
    assert_eq!(pids(&after, "working"), expected);
    assert!(!works.contains(&pids(&after, "spare")[0]) && pids(&after, "spare") != stands, "{after:?}");
    assert_eq!(server.ask("app", PI), answer);
    let table = server.frond(&["workers", "list"]).run().expect(0).out();
    assert!(table.contains("isolated process") && table.contains(&works[1].to_string()), "{table}");
    let name = after[0]["name"].as_str().unwrap();
    let shown = server.frond(&["workers", "show", name]).run().expect(0).out();
    assert!(shown.contains("process") && shown.contains(name), "{shown}");
    assert!(server.workers().is_empty(), "they are no workers of other apps");
    let refused = server.frond(&["workers", "drain", name]).run().expect(64);
    assert!(refused.err().contains("is not drained"), "{}", refused.err());
    let refused = server.frond(&["workers", "drain", "nobody"]).run().expect(64);
    assert!(refused.err().contains("no worker of this name"), "{}", refused.err());
    server.end().expect(0);
}

#[test]
fn a_server_may_run_a_few_leaves_itself() {
    let Some(nats) = Nats::start() else { return };
    let _worker = worker_with(&nats, "a", &[]);
    let server = Server::start(&["--nats", &nats.url(), "--local-slots", "1"], "");
    let workers = server.workers_once(|workers| workers.len() == 1);
    assert_eq!(workers[0]["first_slot"], 1, "its slots come after the one of the server");
    let (_, list) = server.send("GET", "/v1/workers", "");
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap()["local_slots"], 1);
    assert_eq!(server.ask("rail", RAIL), alone("rail", RAIL));
    server.end().expect(0);
    let leaves: Vec<_> = (0..6).map(|leaf| format!(r#"{{"key":"ok-{leaf}","data":""}}"#)).collect();
    let query = format!(r#"{{"query":{{}},"partitions":[{}]}}"#, leaves.join(","));
    let asked = frond(["query", "examples/faulty", &query, "--progress", "json", "--floor", "all", "--slots", "4"]);
    let ended = asked.args(["--nats", &nats.url(), "--local-slots", "1"]).run().expect(0);
    assert_eq!(ended.json()["count"], 6);
    let events = ended.events();
    let started: Vec<_> = events.iter().filter(|event| event["event"] == "attempt-started").collect();
    assert!(started.len() >= 6, "{events:?}");
    for event in started {
        let slot = event["slot"].as_u64().unwrap();
        assert_eq!(event["worker"].is_null(), slot == 0, "only slot 0 is of this process: {event}");
    }
}
