//! Workers that are not as others: of another version of the protocol, with another engine, or
//! without room on their disk.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use frond_broker::Introduction;
use frond_broker::cluster::serve_roots;
use frond_broker::nats::{Options, VERSION, connect};
use frond_broker::session::Settings;
use frond_root::CancellationToken;
use frond_root::call::Grants;
use frond_run::Machine;
use frond_run::workers::WorkerLeaves;
use frond_testkit::Nats;

use super::kit::{Folder, Running, frond, plugin};
use super::serving::{PI, Server, alone, in_state};
use super::worker;

/// Timeout of reads, ten times what any test needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to the broker, which speaks its protocol by hand.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects, and hears this subject from then on.
    fn hearing(nats: &Nats, subject: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", nats.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        client.send(format!("CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n").as_bytes());
        while client.line() != "PONG" {}
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).trim().to_owned()
    }

    /// Waits for a message.
    fn message(&mut self) {
        while !self.line().starts_with("MSG ") {}
        self.line();
    }

    /// Publishes the greeting of a peer that speaks this version of the protocol.
    fn greet(&mut self, subject: &str, name: &str, version: u8) {
        let mut greeting = vec![0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, version, 0x1a, u8::try_from(name.len()).unwrap()];
        greeting.extend(name.as_bytes());
        self.send(format!("PUB {subject} {}\r\n", greeting.len()).as_bytes());
        self.send(&greeting);
        self.send(b"\r\n");
    }
}

fn next_version() -> u8 {
    u8::try_from(VERSION).unwrap() + 1
}

#[test]
fn a_worker_of_another_version_is_listed_with_the_reason() {
    let Some(nats) = Nats::start() else { return };
    let _other = worker(&nats, "same");
    let server = Server::start(&["--nats", &nats.url(), "--local", "false"], "");
    server.workers_once(|workers| in_state(workers, "working") == ["same"]);
    let mut client = Client::hearing(&nats, "none");
    client.greet("frond.default.hello", "newer", next_version());
    let listed = server.workers_once(|workers| in_state(workers, "refused") == ["newer"]);
    let why = listed.iter().find(|one| one["name"] == "newer").unwrap()["idle_because"].as_str().unwrap();
    assert!(why.contains(&format!("speaks version {} of the protocol", next_version())), "{why}");
    let shown = server.frond(&["workers", "show", "newer"]).run().expect(0).out();
    assert!(shown.contains("refused") && shown.contains("update the older of both"), "{shown}");
    assert_eq!(server.ask("pi", PI), alone("pi", PI), "the other one answers");
    let ended = server.end().expect(0);
    assert!(ended.err().contains("the worker `newer-"), "{}", ended.err());
}

#[test]
fn a_worker_tells_a_root_of_another_version_that_it_is_there() {
    let Some(nats) = Nats::start() else { return };
    let mut client = Client::hearing(&nats, "frond.default.hello");
    let mut worker = worker(&nats, "a");
    client.message();
    client.greet("frond.default.roots", "newer", next_version());
    worker.wait_for("the root `newer-");
    client.message();
}

/// Starts a worker with this engine in this process.
fn worker_with_engine(nats: &Nats, engine: &str) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let machine = Arc::new(Machine::new(1).unwrap());
    let threads = machine.start(runtime.handle()).unwrap();
    let loader = Arc::new(WorkerLeaves::new(machine, threads, Grants::default(), true));
    let introduction =
        Introduction { name: "other".to_owned(), slots: 1, engine: engine.to_owned(), ..Introduction::default() };
    let options = Options { url: nats.url(), ..Options::default() };
    let side = runtime.block_on(async { connect(&options).await.unwrap().worker("other").await.unwrap() });
    runtime.spawn(serve_roots(side, Settings::default(), introduction, loader, CancellationToken::new()));
    runtime
}

#[test]
fn a_worker_with_another_engine_compiles_leaves_itself() {
    let Some(nats) = Nats::start() else { return };
    let engine = "frond-0.0.1-of-yesterday";
    let worker = worker_with_engine(&nats, engine);
    let server = Server::start(&["--nats", &nats.url(), "--local", "false"], "");
    let listed = server.workers_once(|workers| in_state(workers, "working") == ["other"]);
    assert_eq!(listed[0]["engine"], engine);
    assert_eq!(server.ask("pi", PI), alone("pi", PI));
    assert!(server.workers()[0]["refusals"].is_null(), "{:?}", server.workers());
    server.end().expect(0);
    worker.shutdown_background();
}

/// Starts a worker that compiles leaves and caches them in this folder, where no file can become
/// larger than this, as on a disk without more room.
fn worker_on_a_full_disk(nats: &Nats, cache: &Path, room: u64) -> Running {
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", room / 512);
    let worker = frond(["worker", "--nats", &nats.url(), "--name", "full", "--slots", "1"]);
    let mut worker = worker.env("FROND_CACHE", cache).through("sh", ["-c", &script, "sh"]).start();
    worker.wait_for("worker ");
    worker
}

#[test]
fn a_worker_on_a_full_disk_gives_whole_answers_and_logs_why_it_caches_nothing() {
    let Some(nats) = Nats::start() else { return };
    let folder = Folder::new();
    // Compiled code is larger than its component, and the images of its memories are smaller.
    let room = std::fs::metadata(plugin("pi")).unwrap().len();
    for cache in [folder.path("cache"), folder.write("no-folder", "").join("cache")] {
        let mut worker = worker_on_a_full_disk(&nats, &cache, room);
        let asked =
            frond(["query", "examples/pi", PI, "--deadline", "100s", "--nats", &nats.url(), "--local", "false"]);
        assert_eq!(asked.run().expect(0).out(), alone("pi", PI));
        worker.wait_for(" WARN ");
        assert!(worker.said().contains("cache"), "{}", worker.said());
        worker.signal("TERM");
        worker.end().expect(0);
    }
}
