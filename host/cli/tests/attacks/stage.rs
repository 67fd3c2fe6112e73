//! Test stage of an attack: the real server under a memory limit, a misbehaving app, and a
//! neighbour.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::kit::{Folder, cache, frond, plugin};
use crate::neighbour::{self, Neighbour};
use crate::wire::{self, Reply, connect};

/// `limits.drain` of the server.
const DRAIN: Duration = Duration::from_secs(2);
/// Additional time for the end in a full run.
const ORDER: Duration = Duration::from_secs(5);
/// Time limit in a small run, ten times what a server needs that ends at all.
const SOME_TIME: Duration = Duration::from_secs(100);
/// Number of the neighbour's rounds during each attack.
const ROUNDS: usize = 3;
/// Limit on the data segment of the server and of each child process, which protects this machine.
/// The memories of 512 waiting leaves count with the 16 MiB that each starts with, touched or not.
const BACKSTOP_MIB: u64 = (3 << 10) + 512 * 16;
/// Default memory budget of the server.
const BUDGET_MIB: u64 = 384;

/// Returns true in `make soak`: larger attacks, with measured times.
pub(crate) fn is_full() -> bool {
    std::env::var("FROND_ATTACKS").is_ok_and(|value| value == "full")
}

/// Returns `small` in `make test`, and `full` in `make soak`.
pub(crate) fn size(small: usize, full: usize) -> usize {
    if is_full() { full } else { small }
}

/// The most that the neighbour's p99 may grow beside an attack in a full run, as a factor.
const SLOWER: u32 = 3;

/// A row of the table of attacks.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    /// Description of the attack.
    pub(crate) name: &'static str,
    /// The bound that stops it.
    pub(crate) bound: &'static str,
}

/// Builder of a server: folder, settings and tokens.
pub(crate) struct Ground {
    pub(crate) folder: Folder,
    limits: String,
    tables: String,
    tokens: String,
    authorization: String,
    budget: u64,
    /// Limit on the data segment of the server and of each child process, in MiB.
    backstop: u64,
    /// Time for which a leaf of the attack may keep the neighbour waiting.
    leaf: Duration,
    cache: PathBuf,
}

impl Ground {
    /// Creates a server with the neighbour's app only.
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        folder.write("apps/neighbour/frond.toml", neighbour::MANIFEST);
        std::fs::copy(plugin("wordcount"), folder.path("apps/neighbour/wordcount.wasm")).unwrap();
        Self {
            folder,
            limits: String::new(),
            tables: String::new(),
            tokens: String::new(),
            authorization: String::new(),
            budget: BUDGET_MIB,
            backstop: BACKSTOP_MIB,
            leaf: Duration::ZERO,
            cache: cache(),
        }
    }

    /// Adds an app `evil`, whose leaves do as the query says. `rest` follows in its manifest.
    pub(crate) fn evil(rest: &str) -> Self {
        Self::new().app("evil", "faulty", &format!("[source]\nkind = \"query\"\n{rest}"))
    }

    /// Adds an app with a plugin; `rest` follows its components in the manifest.
    pub(crate) fn app(self, name: &str, component: &str, rest: &str) -> Self {
        self.folder.write(&format!("apps/{name}/frond.toml"), manifest(component, rest));
        std::fs::copy(plugin(component), self.folder.path(&format!("apps/{name}/{component}.wasm"))).unwrap();
        self
    }

    /// Adds lines to `[limits]` of the server's settings.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        let _ = writeln!(self.limits, "{lines}");
        self
    }

    /// Adds tables to the server's settings.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        let _ = writeln!(self.tables, "{tables}");
        self
    }

    /// Adds a token, and returns its `Authorization` header. The neighbour uses the first token.
    pub(crate) fn token(&mut self, name: &str, role: &str) -> String {
        let made = frond(["token", name, "--role", role]).run().expect(0);
        self.tokens.push_str(&made.out());
        let secret = made.err();
        let secret = secret.split_whitespace().find(|word| word.starts_with("frond_")).expect("a token").to_owned();
        let header = format!("authorization: Bearer {secret}\r\n");
        if self.authorization.is_empty() {
            self.authorization.clone_from(&header);
        }
        header
    }

    /// Sets the memory budget, in MiB.
    pub(crate) fn budget(mut self, mib: u64) -> Self {
        self.budget = mib;
        self
    }

    /// Allows for memories of so many MiB in each of `places` places of the instance pool. A place
    /// stays accessible, and counts, after its memory was given back to the system.
    pub(crate) fn places(mut self, places: u64, mib: u64) -> Self {
        self.backstop += places * mib;
        self
    }

    /// Allows for leaves that spin, and for merges that make large answers: a running call is not
    /// preempted, and a leaf of up to 250 ms does not count as long. So the neighbour may wait for
    /// one.
    pub(crate) fn spinning(mut self) -> Self {
        self.leaf = Duration::from_millis(250);
        self
    }

    /// Gives the server a private cache, which the attack may tamper with.
    pub(crate) fn own_cache(mut self) -> Self {
        self.cache = self.folder.path("cache");
        self
    }

    /// Starts the server and the neighbour.
    pub(crate) fn attack(self, attack: Attack) -> Stage {
        let drain = DRAIN.as_secs();
        let limits = &self.limits;
        let tables = &self.tables;
        let tokens = &self.tokens;
        let settings = format!("slots = 2\n[limits]\ndrain = \"{drain}s\"\n{limits}\n{tables}\n{tokens}");
        self.folder.write("server.toml", settings);
        let (child, address, stdout) = serve(&self);
        let mut stage =
            Stage { attack, child, address, _stdout: stdout, neighbour: None, quiet: Duration::ZERO, ground: self };
        stage.until("it is ready", |stage| stage.get("/readyz").status == 200);
        stage.until("the neighbour's app serves", |stage| stage.get("/v1/apps/neighbour").status == 200);
        let neighbour = Neighbour::of(&stage.address, &stage.ground.authorization);
        neighbour.rounds(size(2, 200));
        stage.quiet = neighbour.quiet().p99();
        stage.neighbour = Some(neighbour);
        stage
    }
}

/// Returns a manifest with one component for leaf and merge.
pub(crate) fn manifest(component: &str, rest: &str) -> String {
    let line = format!("component = \"{component}.wasm\"\n");
    format!("content-type = \"application/json\"\n[leaf]\n{line}[merge]\n{line}{rest}\n")
}

/// Starts the binary under its memory limit, and waits until it prints its address.
fn serve(ground: &Ground) -> (Child, String, BufReader<std::process::ChildStdout>) {
    let log = std::fs::File::create(ground.folder.path("server.log")).unwrap();
    let limited = format!("ulimit -d {} && exec \"$0\" \"$@\"", ground.backstop << 10);
    let mut child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_frond"), "serve", "apps"])
        .args(["--listen", "127.0.0.1:0", "--config", "server.toml"])
        .current_dir(ground.folder.dir())
        .env("FROND_CACHE", &ground.cache)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("a shell starts");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let Some(address) = line.trim().strip_prefix("listening on http://").map(str::to_owned) else {
        let _ = child.kill();
        panic!("it does not listen: {line}{}", std::fs::read_to_string(ground.folder.path("server.log")).unwrap());
    };
    (child, address, stdout)
}

/// A server under attack, and the neighbour.
pub(crate) struct Stage {
    attack: Attack,
    child: Child,
    pub(crate) address: String,
    _stdout: BufReader<std::process::ChildStdout>,
    neighbour: Option<Neighbour>,
    quiet: Duration,
    pub(crate) ground: Ground,
}

impl Stage {
    /// Sends a request with the neighbour's token, if there is one, unless `headers` has another.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let shown = if headers.contains("authorization") { "" } else { &self.ground.authorization };
        let reply = wire::ask(&self.address, method, path, &format!("{shown}{headers}"), body);
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", b"")
    }

    /// Queries an app, with the coverage report in the reply.
    #[track_caller]
    pub(crate) fn query(&self, app: &str, body: &str) -> Reply {
        let accept = "accept: application/vnd.frond+json\r\n";
        self.ask("POST", &format!("/v1/apps/{app}/query"), accept, body.as_bytes())
    }

    /// Runs `command` in leaves of `evil`.
    #[track_caller]
    pub(crate) fn obey(&self, command: &str, partitions: usize) -> Reply {
        self.query("evil", &ordering(&json!({ "fault": command }), partitions))
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(&self.address).expect("it listens")
    }

    /// Opens a connection and sends these bytes.
    pub(crate) fn sent(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        stream
    }

    /// Waits for further rounds of the neighbour, all of them after this moment.
    #[track_caller]
    pub(crate) fn look(&self) {
        self.neighbour.as_ref().unwrap().rounds(size(ROUNDS, 50));
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            assert!(begun.elapsed() < SOME_TIME, "never was this so: {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the sum of a metric's samples with this label.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.get("/metrics").text();
        let of = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
        };
        text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Returns a number of `/proc/PID/status`, such as `VmHWM`.
    pub(crate) fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{key}:")));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        number.unwrap_or_else(|| panic!("it has ended: no {key} in {text}\n{}", self.log()))
    }

    /// Returns the end of the log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.ground.folder.path("server.log")).unwrap();
        String::from_utf8_lossy(&text[text.len().saturating_sub(8 << 10)..]).into_owned()
    }

    /// Waits for the neighbour, ends the server by SIGTERM during the attack, and asserts all
    /// bounds.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.look();
        let seen = self.neighbour.take().unwrap().end();
        let peak = self.status("VmHWM") >> 10;
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let (status, took) = self.ended();
        let log = self.log();
        self.print(&seen, peak, took);
        assert!(seen.wrong.is_empty(), "of {} neighbours these had no answer: {:#?}\n{log}", seen.asked, seen.wrong);
        assert!(peak < self.ground.budget, "it took {peak} MiB, and may take {}\n{log}", self.ground.budget);
        // 130 means that connections or queries, which the attack holds open, were cut off after
        // the drain time.
        assert!(matches!(status.code(), Some(0 | 130)), "{status}\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        if is_full() {
            let most = SLOWER * self.quiet + self.ground.leaf;
            assert!(seen.p99() <= most, "p99 of the neighbour: {:?}, quiet {:?}", seen.p99(), self.quiet);
        }
    }

    #[track_caller]
    fn ended(&mut self) -> (ExitStatus, Duration) {
        let within = if is_full() { DRAIN + ORDER } else { SOME_TIME };
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < within, "SIGTERM does not end it within {within:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Prints the row of the table.
    fn print(&self, seen: &neighbour::Rounds, peak: u64, took: Duration) {
        let Attack { name, bound } = self.attack;
        let budget = self.ground.budget;
        let answered = seen.answered;
        let asked = seen.asked;
        let p99 = if is_full() { format!(" {:.1?} (quiet {:.1?}) |", seen.p99(), self.quiet) } else { String::new() };
        println!(
            "| {name:<56} | {bound:<48} | {peak:>4} of {budget} MiB | {answered} of {asked} |{p99} end {took:.1?}"
        );
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a query with `partitions` empty partitions for the app `evil`.
pub(crate) fn ordering(query: &Value, partitions: usize) -> String {
    let partitions: Vec<_> = (0..partitions).map(|number| json!({ "key": format!("p{number}"), "data": "" })).collect();
    json!({ "query": query, "partitions": partitions }).to_string()
}
