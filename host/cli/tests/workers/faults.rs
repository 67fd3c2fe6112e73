//! Jobs on workers while everything fails in turns: workers, the root, the broker, the links, the
//! database. No answer lacks anything or has anything twice. `make test` has each fault once, `make
//! soak` 50 times.

use frond_testkit::{Nats, Postgres, Proxy};
use serde_json::Value;

use super::kit::{Running, frond, until};
use super::serving::{Server, in_state};

/// Leaves of a job.
const LEAVES: u64 = 12;

/// A fault.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KilledWorker,
    StoppedWorker,
    DrainedWorker,
    KilledRoot,
    StoppedRoot,
    KilledBroker,
    EmptiedBroker,
    StoppedBroker,
    SilentLink,
    SlowLink,
    AbsentDatabase,
}

const ALL: [Fault; 11] = [
    Fault::KilledWorker,
    Fault::StoppedWorker,
    Fault::DrainedWorker,
    Fault::KilledRoot,
    Fault::StoppedRoot,
    Fault::KilledBroker,
    Fault::EmptiedBroker,
    Fault::StoppedBroker,
    Fault::SilentLink,
    Fault::SlowLink,
    Fault::AbsentDatabase,
];

/// A broker, a database, a root, and two workers, of which one has a link that can fail.
struct Cluster {
    nats: Nats,
    database: Postgres,
    link: Proxy,
    near: Running,
    _far: Running,
    server: Option<Server>,
    _runtime: tokio::runtime::Runtime,
}

fn worker(url: &str, name: &str) -> Running {
    let mut worker = frond(["worker", "--nats", url, "--name", name, "--slots", "1", "--trust-roots"]).start();
    worker.wait_for("worker ");
    worker
}

impl Cluster {
    fn start() -> Option<Self> {
        let nats = Nats::start()?;
        let database = Postgres::start()?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let link = runtime.block_on(Proxy::before(nats.port()));
        let near = worker(&nats.url(), "near");
        let far = worker(&format!("nats://127.0.0.1:{}", link.port()), "far");
        let mut cluster = Self { nats, database, link, near, _far: far, server: None, _runtime: runtime };
        cluster.serve(tempfile::tempdir().unwrap());
        Some(cluster)
    }

    fn serve(&mut self, folder: tempfile::TempDir) {
        let store = self.database.url("postgres");
        let settings = format!("[jobs]\nstore = \"{store}\"\nlease = \"2s\"\n");
        let args = ["--nats", &self.nats.url(), "--local", "false"];
        self.server = Some(Server::start_in(folder, &args, &settings));
        self.gather();
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Waits until both workers work.
    fn gather(&self) {
        let work = |workers: &[Value], name: &str| in_state(workers, "working").contains(&name);
        self.server().workers_once(|workers| work(workers, "near") && work(workers, "far"));
    }

    /// Makes the fault, waits until it shows, and repairs it.
    fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::KilledWorker => {
                self.near.signal("KILL");
                self.wait_for_loss("near");
                self.near = worker(&self.nats.url(), "near");
            }
            Fault::StoppedWorker => {
                self.near.signal("STOP");
                self.wait_for_loss("near");
                self.near.signal("CONT");
            }
            Fault::DrainedWorker => {
                self.near.signal("TERM");
                let drained = std::mem::replace(&mut self.near, worker(&self.nats.url(), "near"));
                drained.end().expect(0);
            }
            Fault::KilledRoot => self.kill_root(),
            Fault::StoppedRoot => self.stop_root(),
            Fault::KilledBroker => {
                self.nats.kill9();
                self.nats.start_again();
            }
            Fault::EmptiedBroker => {
                self.nats.kill9();
                self.nats.start_empty();
            }
            Fault::StoppedBroker => {
                self.nats.pause();
                self.wait_for_loss("near");
                self.nats.proceed();
            }
            Fault::SilentLink => {
                self.link.fall_silent();
                self.wait_for_loss("far");
                self.link.speak();
            }
            Fault::SlowLink => {
                let before = self.link.delayed();
                self.link.slow_down(true);
                until("messages are late", || (self.link.delayed() >= before + 10).then_some(()));
                self.link.slow_down(false);
            }
            Fault::AbsentDatabase => {
                self.database.stop();
                let is_ready = || self.server().send("GET", "/readyz/jobs", "").0 == 200;
                until("the server misses its database", || (!is_ready()).then_some(()));
                self.database.start_again();
            }
        }
        self.gather();
    }

    /// Has the root stand still until its workers have given it up: a new one tells when it does.
    fn stop_root(&mut self) {
        let mut witness = worker(&self.nats.url(), "witness");
        witness.wait_for("joined a root");
        let server = self.server.as_mut().unwrap();
        server.running.signal("STOP");
        witness.wait_for("left a root");
        server.running.signal("CONT");
        witness.signal("TERM");
        witness.end().expect(0);
    }

    /// Kills the root, and starts another one on its folder.
    fn kill_root(&mut self) {
        let mut server = self.server.take().unwrap();
        server.running.signal("KILL");
        let Server { running, folder, .. } = server;
        running.end();
        self.serve(folder);
    }

    /// Waits until the root has noticed that a worker is away. It may have been lost before.
    fn wait_for_loss(&self, name: &str) {
        self.server().workers_once(|workers| !in_state(workers, "working").contains(&name));
    }

    fn job(&self, id: &str) -> Option<Value> {
        let (status, body) = self.server().send("GET", &format!("/v1/jobs/{id}"), "");
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// Runs a job, and makes the fault in its midst.
    fn run(&mut self, fault: Fault) {
        let keys: Vec<_> = (0..LEAVES).map(|at| format!(r#"{{"key":"sleep-ms:300-{at}","data":""}}"#)).collect();
        let query = format!(r#"{{"query":{{"fault":"sleep-ms:300"}},"partitions":[{}]}}"#, keys.join(","));
        let id = self.server().frond(&["jobs", "submit", "faulty", &query, "--floor", "all"]).run().expect(0).out();
        let id = id.trim().to_owned();
        until("two leaves are done", || self.job(&id).filter(|job| job["partitions"]["done"].as_u64() >= Some(2)));
        self.suffer(fault);
        let job = until("the job has ended", || self.job(&id).filter(|job| !job["finished_unix_ms"].is_null()));
        assert_eq!(job["state"], "succeeded", "{fault:?}: {job}");
        assert_eq!(job["partitions"]["done"], LEAVES, "{fault:?}: {job}");
        let answer = self.server().frond(&["jobs", "result", &id]).run().expect(0).json();
        assert_eq!(answer["count"], LEAVES, "{fault:?}: {answer}");
    }
}

#[test]
fn no_fault_loses_a_partial_or_doubles_one() {
    let Some(mut cluster) = Cluster::start() else { return };
    let rounds = std::env::var("FROND_FAULTS").map_or(1, |text| text.parse().expect("FROND_FAULTS is a number"));
    for _ in 0..rounds {
        for fault in ALL {
            cluster.run(fault);
        }
    }
    cluster.server.take().unwrap().end();
}
