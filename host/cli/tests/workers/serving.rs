//! A server whose leaves run on workers: queries, jobs, views, drains.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use frond_testkit::Nats;
use serde_json::Value;

use super::kit::{Ended, Frond, Running, frond, root, until};
use super::worker;

/// Timeout of reads, ten times what any test needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server of the examples' apps, with a state of its own.
pub(super) struct Server {
    pub(super) running: Running,
    address: String,
    pub(super) folder: tempfile::TempDir,
}

/// Makes a folder with the apps `rail`, `pi` and `faulty` without their cases: a server that starts
/// must not have to check them within their deadlines, however busy the machine is.
fn unchecked_apps(folder: &Path) -> PathBuf {
    let apps = folder.join("apps");
    for app in ["rail", "pi", "faulty"] {
        let from = root().join("examples").join(app);
        let to = apps.join(app);
        std::fs::create_dir_all(to.join("data")).unwrap();
        let manifest = std::fs::read_to_string(from.join("frond.toml")).unwrap();
        let manifest = manifest.replace("../../target", root().join("target").to_str().unwrap());
        std::fs::write(to.join("frond.toml"), manifest).unwrap();
        for file in std::fs::read_dir(from.join("data")).into_iter().flatten() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join("data").join(file.file_name())).unwrap();
        }
    }
    apps
}

impl Server {
    pub(super) fn start(args: &[&str], settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args, settings)
    }

    pub(super) fn start_in(folder: tempfile::TempDir, args: &[&str], settings: &str) -> Self {
        let apps = unchecked_apps(folder.path());
        Self::serving(&apps, folder, args, settings)
    }

    /// Serves the apps below `apps`.
    pub(super) fn serving(apps: &Path, folder: tempfile::TempDir, args: &[&str], settings: &str) -> Self {
        let file = folder.path().join("server.toml");
        std::fs::write(&file, format!("watch = false\nslots = 2\nstate = \"state\"\n{settings}")).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut running = frond(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .arg(apps)
            .args(args)
            .stdout(writer)
            .start();
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://").map(str::to_owned) else {
            panic!("it does not listen: {line}{}", running.end().err());
        };
        running.wait_for(&format!(" in {}", apps.display()));
        Self { running, address, folder }
    }

    /// Sends a request, and returns the status and the body.
    pub(super) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(super) fn ask(&self, app: &str, query: &str) -> String {
        let (status, body) = self.send("POST", &format!("/v1/apps/{app}/query?deadline=60s"), query);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Runs a command against the server.
    pub(super) fn frond(&self, args: &[&str]) -> Frond {
        frond(args).args(["--server", &format!("http://{}", self.address)])
    }

    /// The workers that the server lists, once they are as `wanted`.
    pub(super) fn workers_once(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        until("the workers are as they should be", || Some(self.workers()).filter(|workers| wanted(workers)))
    }

    /// The workers that the server lists.
    pub(super) fn workers(&self) -> Vec<Value> {
        self.listed("workers")
    }

    /// The processes of isolated apps that the server lists.
    pub(super) fn isolated(&self) -> Vec<Value> {
        self.listed("isolated")
    }

    fn listed(&self, list: &str) -> Vec<Value> {
        let (status, body) = self.send("GET", "/v1/workers", "");
        assert_eq!(status, 200, "{body}");
        let lists: Value = serde_json::from_str(&body).unwrap();
        lists[list].as_array().unwrap().clone()
    }

    pub(super) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.send("GET", "/metrics", "");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse().unwrap()
    }

    pub(super) fn end(mut self) -> Ended {
        self.running.signal("TERM");
        self.running.end()
    }
}

/// Answer of one process.
pub(super) fn alone(app: &str, query: &str) -> String {
    frond(["query", &format!("examples/{app}"), query, "--deadline", "100s"]).run().expect(0).out()
}

pub(super) fn names(workers: &[Value]) -> Vec<&str> {
    workers.iter().map(|worker| worker["name"].as_str().unwrap()).collect()
}

/// Names of the workers in a state.
pub(super) fn in_state<'a>(workers: &'a [Value], state: &str) -> Vec<&'a str> {
    workers.iter().filter(|one| one["state"] == state).map(|one| one["name"].as_str().unwrap()).collect()
}

pub(super) const RAIL: &str = r#"{"from":"London","budget":60}"#;
pub(super) const PI: &str = r#"{"seed":1}"#;

#[test]
fn a_server_answers_from_its_workers_and_shows_them() {
    let Some(nats) = Nats::start() else { return };
    let _workers = [worker(&nats, "a"), worker(&nats, "b")];
    let server = Server::start(&["--nats", &nats.url(), "--local", "false"], "");
    let workers = server.workers_once(|workers| workers.len() == 2);
    assert!(workers.iter().all(|worker| worker["state"] == "working" && worker["slots"] == 1), "{workers:?}");
    assert_eq!(server.ask("rail", RAIL), alone("rail", RAIL));
    assert_eq!(server.ask("pi", PI), alone("pi", PI));
    let ended: u64 = server.workers().iter().map(|worker| worker["ended"].as_u64().unwrap()).sum();
    assert!(ended >= 6, "{ended}");
    assert_eq!(server.metric("frond_workers "), 2.0);
    assert_eq!(server.metric("frond_workers_slots "), 2.0);
    assert_eq!(server.metric("frond_workers_joined_total "), 2.0);
    assert!(server.metric("frond_workers_attempts_ended_total{worker=\"a\"} ") >= 0.0);
    let table = server.frond(&["workers", "list"]).run().expect(0).out();
    assert!(table.starts_with("name") && table.lines().count() == 3, "{table}");
    let shown = server.frond(&["workers", "show", "a"]).run().expect(0).out();
    assert!(shown.contains("round trip") && shown.contains("working"), "{shown}");
    server.end().expect(0);
}

#[test]
fn a_drained_worker_stays_away_until_it_is_started_again() {
    let Some(nats) = Nats::start() else { return };
    let _a = worker(&nats, "a");
    let _b = worker(&nats, "b");
    let server = Server::start(&["--nats", &nats.url(), "--local", "false"], "");
    server.workers_once(|workers| workers.len() == 2);
    let drained = server.frond(&["workers", "drain", "a"]).run().expect(0);
    assert!(drained.err().contains("gets nothing more"), "{}", drained.err());
    // A root is announced each second: the drained worker hears it, and must not come back to work.
    server.workers_once(|workers| in_state(workers, "drained") == ["a"]);
    for _ in 0..3 {
        assert_eq!(server.ask("rail", RAIL), alone("rail", RAIL));
    }
    let listed = server.workers();
    assert_eq!((in_state(&listed, "drained"), in_state(&listed, "working")), (vec!["a"], vec!["b"]), "{listed:?}");
    let shown = server.frond(&["workers", "show", "a"]).run().expect(0).out();
    assert!(shown.contains("drained") && shown.contains("by anybody") && shown.contains("left"), "{shown}");
    drop(_a);
    let _a = worker(&nats, "a");
    let back = server.workers_once(|workers| in_state(workers, "working").len() == 2);
    assert_eq!(names(&back), ["b", "a"], "it is listed once");
    let nobody = server.frond(&["workers", "drain", "nobody"]).run().expect(64);
    assert!(nobody.err().contains("no worker of this name"), "{}", nobody.err());
    server.end().expect(0);
}

#[test]
fn jobs_run_on_workers_and_outlive_the_server() {
    let Some(nats) = Nats::start() else { return };
    let _workers = [worker(&nats, "a"), worker(&nats, "b")];
    let args = ["--nats", &nats.url(), "--local", "false"];
    let mut server = Server::start(&args, "[jobs]\nlease = \"20s\"\n");
    server.workers_once(|workers| workers.len() == 2);
    let keys: Vec<_> = (0..40).map(|at| format!(r#"{{"key":"sleep-ms:100-{at}","data":""}}"#)).collect();
    let query = format!(r#"{{"query":{{"fault":"sleep-ms:100"}},"partitions":[{}]}}"#, keys.join(","));
    let job = server.frond(&["jobs", "submit", "faulty", &query, "--floor", "all"]).run().expect(0).out();
    let job = job.trim();
    let shown = |server: &Server| server.frond(&["jobs", "show", job, "--format", "json"]).run().expect(0).json();
    until("four leaves are done", || (shown(&server)["partitions"]["done"].as_u64() >= Some(4)).then_some(()));
    server.running.signal("KILL");
    let Server { running, folder, .. } = server;
    running.end();
    let again = Server::start_in(folder, &args, "[jobs]\nlease = \"20s\"\n");
    again.frond(&["jobs", "watch", job]).run().expect(0);
    let answer = again.frond(&["jobs", "result", job]).run().expect(0).json();
    assert_eq!(answer["count"], 40, "{answer}");
    again.end().expect(0);
}

#[test]
fn a_server_runs_leaves_in_processes_of_its_own() {
    let server = Server::start(&[], "[workers]\nprocesses = 2\n");
    server.workers_once(|workers| in_state(workers, "working").len() == 2 && in_state(workers, "spare").len() == 1);
    assert!(server.workers().iter().all(|one| one["kind"] == "process" && one["pid"].is_u64()));
    assert_eq!(server.ask("pi", PI), alone("pi", PI));
    assert!(server.workers().iter().any(|one| one["ended"].as_u64() > Some(0)));
    server.end().expect(0);
}

#[test]
fn a_server_starts_without_its_broker_and_finds_it_later() {
    let Some(mut nats) = Nats::start() else { return };
    nats.kill9();
    let server = Server::start(&["--nats", &nats.url()], "");
    assert_eq!(server.ask("rail", RAIL), alone("rail", RAIL), "its own slots answer");
    nats.start_again();
    let _worker = worker(&nats, "late");
    server.workers_once(|workers| workers.len() == 1);
    assert_eq!(server.ask("rail", RAIL), alone("rail", RAIL));
    let ended = server.end().expect(0);
    assert!(ended.err().contains("until their broker can be reached"), "{}", ended.err());
}

#[test]
fn settings_without_effect_or_without_leaves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, words) in [
        ("[workers]\nlocal = false\n", "no leaf could run"),
        ("[workers]\nuser = \"me\"\n", "has no effect without workers.nats"),
        ("[workers]\npool = \"gpu\"\n", "has no effect without workers.nats"),
        ("[workers]\npool = \"A pool\"\n", "is no name of a pool"),
        ("[workers]\nprocesses = 100000\n", "workers.processes is more than"),
        ("[workers]\nspare-processes = 65\n", "workers.spare-processes is more than 64"),
        ("[workers]\nlocal-slots = 0\n", "no leaf could run"),
        ("[workers]\nlocal-slots = 1\n", "has no effect without workers"),
        ("slots = 2\n[workers]\nprocesses = 1\nlocal-slots = 3\n", "is more than slots, which is 2"),
        ("[workers]\nprocesses = 1\nlocal = false\nlocal-slots = 1\n", "contradict each other"),
    ] {
        let file = folder.path().join("server.toml");
        std::fs::write(&file, settings).unwrap();
        let refused = frond(["serve", "examples", "--config"]).arg(&file).dir(root()).run().expect(64);
        assert!(refused.err().contains(words), "{}", refused.err());
    }
}
