//! Workers, from outside: processes of this machine, and workers behind a NATS server, give the
//! answers of one process, whatever is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod faults;
mod isolated;
#[path = "../kit/mod.rs"]
mod kit;
mod listing;
mod odd;
mod seen;
mod serving;

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use frond_testkit::Nats;
use kit::{Ended, Frond, Running, frond};

/// Queries whose answers do not depend on who runs the leaves.
const QUERIES: [&[&str]; 4] = [
    &["examples/rail", r#"{"from":"London","budget":60}"#],
    &["examples/wordcount", r#"{"top":5}"#, "--input", "host/docs/*.md"],
    &["examples/grep", r#"{"pattern":"limit"}"#, "--input", "host/**/*.rs"],
    &["examples/pi", r#"{"seed":1}"#],
];

fn query(args: &[&str]) -> Frond {
    frond(["query"]).args(args).args(["--deadline", "100s"])
}

/// Starts a worker of the server, which has joined its roots once they speak to it.
fn worker(nats: &Nats, name: &str) -> Running {
    worker_with(nats, name, &[])
}

/// Starts a worker with further arguments.
fn worker_with(nats: &Nats, name: &str, args: &[&str]) -> Running {
    let worker = frond(["worker", "--nats", &nats.url(), "--name", name, "--slots", "1", "--trust-roots"]);
    let mut worker = worker.args(args).start();
    worker.wait_for("worker ");
    worker
}

/// Asks a query of leaves that sleep for 20 ms, with all of its events.
fn sleepers(nats: &Nats, leaves: usize) -> Frond {
    sleepers_of(nats, leaves, 20)
}

/// Asks a query of leaves that sleep for so many milliseconds, with all of its events.
fn sleepers_of(nats: &Nats, leaves: usize, ms: u64) -> Frond {
    let partitions: Vec<_> = (0..leaves).map(|leaf| format!(r#"{{"key":"sleep-ms:{ms}-{leaf}","data":""}}"#)).collect();
    let text = format!(r#"{{"query":{{"fault":"sleep-ms:{ms}"}},"partitions":[{}]}}"#, partitions.join(","));
    query(&[
        "examples/faulty",
        &text,
        "--floor",
        "all",
        "--progress",
        "json",
        "--local",
        "false",
        "--nats",
        &nats.url(),
    ])
}

fn count(ended: &Ended) -> u64 {
    ended.json()["count"].as_u64().unwrap_or_else(|| panic!("no count: {}", ended.out()))
}

#[test]
fn worker_processes_give_the_answers_of_one_process() {
    for args in QUERIES {
        let alone = query(args).run().expect(0);
        let apart = query(args).args(["--workers", "2"]).run().expect(0);
        assert_eq!(alone.out(), apart.out(), "{args:?}");
    }
}

#[test]
fn workers_behind_a_broker_give_the_answers_of_one_process() {
    let Some(nats) = Nats::start() else { return };
    let _workers = [worker(&nats, "a"), worker(&nats, "b")];
    for args in QUERIES {
        let alone = query(args).run().expect(0);
        for local in ["false", "true"] {
            let apart = query(args).args(["--nats", &nats.url(), "--local", local]).run().expect(0);
            assert_eq!(alone.out(), apart.out(), "{args:?}");
        }
    }
}

#[test]
fn what_a_killed_worker_had_runs_elsewhere() {
    let Some(nats) = Nats::start() else { return };
    let mut killed = worker(&nats, "killed");
    let _other = worker(&nats, "other");
    let mut asked = sleepers(&nats, 400).start();
    asked.wait_for("attempt-ended");
    killed.signal("KILL");
    let ended = asked.end().expect(0);
    assert_eq!(count(&ended), 400);
}

#[test]
fn a_worker_that_stands_still_is_replaced_and_joins_again() {
    let Some(nats) = Nats::start() else { return };
    let mut stopped = worker(&nats, "stopped");
    let _other = worker(&nats, "other");
    let mut asked = sleepers(&nats, 400).start();
    asked.wait_for("attempt-ended");
    stopped.signal("STOP");
    let ended = asked.end().expect(0);
    assert_eq!(count(&ended), 400);
    stopped.signal("CONT");
    drop(_other);
    // Only the one that stood still is left.
    let ended = sleepers(&nats, 3).run().expect(0);
    assert_eq!(count(&ended), 3);
}

#[test]
fn a_worker_drains_at_sigterm() {
    let Some(nats) = Nats::start() else { return };
    let mut drained = worker(&nats, "drained");
    let _other = worker(&nats, "other");
    let mut asked = sleepers(&nats, 400).start();
    asked.wait_for("attempt-ended");
    drained.signal("TERM");
    drained.end().expect(0);
    let ended = asked.end().expect(0);
    assert_eq!(count(&ended), 400);
    assert!(ended.err().contains(r#""failures":{}"#), "{}", ended.err());
}

#[test]
fn a_broker_that_returns_is_found_again() {
    let Some(mut nats) = Nats::start() else { return };
    let _worker = worker(&nats, "a");
    assert_eq!(count(&sleepers(&nats, 3).run().expect(0)), 3);
    nats.kill9();
    nats.start_again();
    assert_eq!(count(&sleepers(&nats, 3).run().expect(0)), 3);
}

#[test]
fn a_worker_reads_the_files_that_it_has_in_place_of_the_root() {
    let Some(nats) = Nats::start() else { return };
    let folder = kit::Folder::new();
    let planned = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let set_modified = |path: PathBuf, at| File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    // Too large to travel with an attempt. Two files of one size and time: the answer tells which one was read.
    for (name, line) in [("root/words.txt", "root\n"), ("here/words.txt", "here\n")] {
        set_modified(folder.write(name, line.repeat(100_000)), planned);
    }
    let root = folder.path("root").display().to_string();
    let mapped = format!("{root}={}", folder.path("here").display());
    let input = format!("{root}/*.txt");
    let asked = || query(&["examples/wordcount", r#"{"top":1}"#, "--input", &input]);
    let asked_apart = || asked().args(["--nats", &nats.url(), "--local", "false"]).run().expect(0).out();
    let alone = asked().run().expect(0).out();
    let same = worker_with(&nats, "same", &["--data", &root]);
    assert_eq!(asked_apart(), alone);
    drop(same);
    let _worker = worker_with(&nats, "mapped", &["--data", &mapped]);
    assert_eq!(asked_apart(), alone.replace("root", "here"), "it reads its own file");
    set_modified(folder.path("here/words.txt"), planned + Duration::from_secs(1));
    assert_eq!(asked_apart(), alone, "its own file is another one");
}

#[test]
fn grants_are_the_workers_own() {
    let Some(nats) = Nats::start() else { return };
    let folder = kit::Folder::with_app("faulty", "[grants]\nenv = [\"FROND_SECRET\"]\n[source]\nkind = \"query\"\n");
    let _worker = worker(&nats, "strict");
    let asked = folder
        .frond("query app")
        .arg(r#"{"query":{},"partitions":[{"key":"ok","data":""}]}"#)
        .args(["--nats", &nats.url(), "--local", "false", "--deadline", "2s", "--format", "json"])
        .env("FROND_SECRET", "of the root")
        .run();
    assert_ne!(asked.code, Some(0), "{}", asked.out());
    let why = "the worker `strict` cannot run the leaf: this worker does not allow its grants: \
               the environment variable FROND_SECRET (`frond worker --allow FILE`";
    let notes = &asked.json()["coverage"]["notes"];
    assert!(notes[0].as_str().is_some_and(|note| note.starts_with(why)), "{notes}");
    assert!(notes[1].is_null() && asked.err().contains("the worker `strict` cannot run"), "{}", asked.err());
}

#[test]
fn wrong_command_lines_say_what_to_do() {
    let alone = frond(["worker"]).run().expect(64);
    assert!(alone.err().contains("--nats"), "{}", alone.err());
    let nowhere = frond(["worker", "--nats", "nats://127.0.0.1:1", "--data", "/nowhere"]).run().expect(64);
    assert!(nowhere.err().contains("cannot open the folder `/nowhere`"), "{}", nowhere.err());
    let nobody = frond(["worker", "--nats", "nats://127.0.0.1:1"]).run().expect(69);
    assert!(nobody.err().contains("127.0.0.1:1"), "{}", nobody.err());
    let nowhere = query(QUERIES[0]).args(["--local", "false"]).run().expect(64);
    assert!(nowhere.err().contains("no leaf could run"), "{}", nowhere.err());
    let granted = kit::Folder::with_app("faulty", "[grants]\nenv = [\"HOME\"]\n[source]\nkind = \"query\"\n");
    let nowhere = granted.frond("query app {} --workers 1").run().expect(64);
    assert!(nowhere.err().contains("[grants]"), "{}", nowhere.err());
    let nobody = query(QUERIES[0]).args(["--nats", "nats://127.0.0.1:1"]).run().expect(69);
    assert!(nobody.err().contains("127.0.0.1:1"), "{}", nobody.err());
}
