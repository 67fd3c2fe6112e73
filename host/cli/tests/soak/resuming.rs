//! A job whose server is killed again and again goes on where its leaves last kept a partial:
//! nothing that is stored runs again. `make test` kills it 20 times, `make soak` 1,000 times.
//!
//! The leaves ask a server of the test before each piece, and keep a partial after each. So the
//! test knows what they have processed, in all lives, and has them stop at the points of its kills.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::crashes::{faults, job, settings};
use crate::kit::{Folder, frond, plugin};
use crate::server::{Server, client};

/// Units between two kills.
const STEP: u64 = 1000;
/// Partitions of the job.
const PARTITIONS: u64 = 5;
/// Timeout of waits, longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Requests of the leaves.
#[derive(Default)]
struct Ledger {
    /// Units of each partition that have been processed.
    units: BTreeMap<String, Vec<bool>>,
    /// Number of them.
    distinct: u64,
    /// Attempts of this life by their partition and first unit, with the unit after their last.
    life: BTreeMap<(String, u64), u64>,
    /// Units that attempts of earlier lives have processed.
    earlier: u64,
    /// Distinct units after which no attempt may go on.
    limit: u64,
    /// Attempts that were let go on and have not come back.
    away: i64,
    /// Number of kills.
    kills: u64,
}

impl Ledger {
    fn processed(&self) -> u64 {
        self.earlier + self.life.iter().map(|((_, begin), end)| end - begin).sum::<u64>()
    }

    fn told(&mut self, key: &str, taken: &Range<u64>) {
        let units = self.units.entry(key.to_owned()).or_default();
        let end = taken.end as usize;
        units.resize(units.len().max(end), false);
        let new = units[taken.start as usize..end].iter_mut().filter(|unit| !**unit).map(|unit| *unit = true);
        self.distinct += new.count() as u64;
        self.life.insert((key.to_owned(), taken.start), taken.end);
    }
}

/// Server that leaves ask before each piece.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Ledger>, Condvar)>);

impl Gate {
    /// Starts the server, and returns its port.
    fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let gate = gate.clone();
                std::thread::spawn(move || gate.answer(stream.unwrap()));
            }
        });
        port
    }

    fn with<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        let done = look(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        done
    }

    /// Answers a request such as `POST /next/KEY/BEGIN-END`, once the leaf may go on.
    fn answer(&self, mut stream: TcpStream) {
        let Some((is_last, key, taken)) = asked(&mut stream) else { return };
        let mut ledger = self.0.0.lock().unwrap();
        let kills = ledger.kills;
        if !is_alive(&stream) {
            return;
        }
        if !taken.is_empty() {
            ledger.told(&key, &taken);
        }
        // The first request of an attempt tells of no units.
        ledger.away -= i64::from(is_last || !taken.is_empty());
        self.0.1.notify_all();
        if !is_last {
            let mut ledger =
                self.0.1.wait_while(ledger, |now| now.kills == kills && now.distinct >= now.limit).unwrap();
            if ledger.kills != kills || !is_alive(&stream) {
                return;
            }
            ledger.away += 1;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    }

    /// Lets leaves go on until `limit` units are processed, and waits until all of them wait.
    fn open(&self, limit: u64) {
        self.with(|ledger| ledger.limit = limit);
        let (lock, changed) = &*self.0;
        let moves = |ledger: &mut Ledger| ledger.away > 0 || ledger.distinct < limit;
        let (_ledger, waited) = changed.wait_timeout_while(lock.lock().unwrap(), PATIENCE, moves).unwrap();
        assert!(!waited.timed_out(), "the leaves go on");
    }

    /// Begins the next life, after a kill.
    fn killed(&self) {
        self.with(|ledger| {
            ledger.earlier = ledger.processed();
            ledger.life.clear();
            ledger.away = 0;
            ledger.kills += 1;
        });
    }
}

/// Reads a request: whether it is the last one of its attempt, its partition, its units.
fn asked(stream: &mut TcpStream) -> Option<(bool, String, Range<u64>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let path: Vec<_> = head.split_whitespace().nth(1).unwrap().rsplit('/').collect();
    let [units, key, what, ..] = path[..] else { panic!("{head}") };
    let (begin, end) = units.split_once('-').unwrap();
    Some((what == "last", key.to_owned(), begin.parse().unwrap()..end.parse().unwrap()))
}

/// False if the client has closed the connection: its process was killed.
fn is_alive(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn app(port: u16, units: u64) -> Arc<Folder> {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("apps/asking")).unwrap();
    std::fs::copy(plugin("faulty"), folder.path("apps/asking/faulty.wasm")).unwrap();
    let component = "component = \"faulty.wasm\"";
    let step = units / PARTITIONS;
    let manifest = format!(
        "content-type = \"application/json\"\n[leaf]\n{component}\n[merge]\n{component}\n\
         [source]\nkind = \"range\"\nstart = 0\nend = {units}\nstep = {step}\n\
         [[grants.http]]\nhost = \"127.0.0.1:{port}\"\nmethods = [\"POST\"]\n[limits.leaf]\nfuel = 0\n[query]\ndeadline = \"1200s\"\nfloor = \"all\"\n"
    );
    folder.write("apps/asking/frond.toml", manifest);
    Arc::new(folder)
}

/// Waits until the store has `units` of the job.
async fn stored(server: &Server, id: &str, units: u64) {
    let waiting = async {
        while job(server, id).await["weight"]["settled"] != units {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("what the leaves keep is stored");
}

async fn ended(server: &Server, id: &str) -> Value {
    let waiting = async {
        loop {
            let job = job(server, id).await;
            if job["finished_unix_ms"].is_u64() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the job ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_job_starts_at_what_its_leaves_kept_last() {
    let kills = faults(20, 1000) as u64;
    let units = (kills + 2).next_multiple_of(PARTITIONS) * STEP;
    let gate = Gate::default();
    let port = gate.start();
    let folder = app(port, units);
    let query = format!("{{\"fault\": \"ask-for-pieces:http://127.0.0.1:{port}\"}}");
    gate.with(|ledger| ledger.limit = u64::MAX);
    let whole = frond(["query", "apps/asking", &query]).dir(folder.dir()).run().expect(0).stdout;
    gate.with(|ledger| *ledger = Ledger::default());

    let mut server = Server::of(&folder, "server", &settings("kept", None));
    server.ready().await;
    let submitted = server.json(client().post(format!("{}/v1/apps/asking/jobs", server.url)).body(query)).await;
    let id = submitted["id"].as_str().unwrap_or_else(|| panic!("{submitted}")).to_owned();
    for kill in 1..=kills {
        gate.open(kill * STEP);
        stored(&server, &id, gate.with(|ledger| ledger.distinct)).await;
        server.kill_and_start();
        gate.killed();
        server.ready().await;
    }
    gate.with(|ledger| ledger.limit = u64::MAX);
    let ended = ended(&server, &id).await;
    assert_eq!((&ended["state"], &ended["coverage"]["complete"]), (&"succeeded".into(), &true.into()), "{ended}");
    assert!(ended["epoch"].as_u64().unwrap() > kills, "{ended}");
    let result = client().get(format!("{}/v1/jobs/{id}/result", server.url)).send().await.unwrap();
    assert!(result.bytes().await.unwrap() == whole, "the answer is not that of a query");
    gate.with(|ledger| {
        assert_eq!(ledger.distinct, units);
        let again = ledger.processed() - units;
        println!("{kills} kills: {again} of {units} units ran again");
        assert!(again <= units / 100, "{again} of {units} units ran again");
    });
    server.stop();
}
