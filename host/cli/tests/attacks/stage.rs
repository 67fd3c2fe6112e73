//! The stage of an attack: the real server under a limit of memory, an app that misbehaves, and a neighbour.

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

/// How long queries may go on after SIGTERM, as the settings here say.
const DRAIN: Duration = Duration::from_secs(2);
/// How much longer the end may take, in a full run.
const ORDER: Duration = Duration::from_secs(5);
/// How long it may take in a small run, which measures no time: a server that ends at all ends in a tenth of this.
const SOME_TIME: Duration = Duration::from_secs(100);
/// Rounds of the neighbour beside each attack.
const ROUNDS: usize = 3;
/// Limit on the data of the server, and of each of its children: whatever goes wrong, this machine lives.
const BACKSTOP_MIB: u64 = 3 << 10;
/// What the server may have in memory under an attack that says nothing else.
const BUDGET_MIB: u64 = 384;

/// True in `make soak`: larger, more often, and with a look at the clock.
pub(crate) fn is_full() -> bool {
    std::env::var("FROND_ATTACKS").is_ok_and(|value| value == "full")
}

/// So much in `make test`, so much in `make soak`.
pub(crate) fn size(small: usize, full: usize) -> usize {
    if is_full() { full } else { small }
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    /// What it does.
    pub(crate) name: &'static str,
    /// The bound that it meets.
    pub(crate) bound: &'static str,
}

/// What a server is to be started with.
pub(crate) struct Ground {
    pub(crate) folder: Folder,
    limits: String,
    tables: String,
    tokens: String,
    authorization: String,
    budget: u64,
    cache: PathBuf,
}

impl Ground {
    /// The neighbour's app, and nothing else.
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
            cache: cache(),
        }
    }

    /// With an app `evil`, whose leaves do as the query says.
    pub(crate) fn evil(rest: &str) -> Self {
        Self::new().app("evil", "faulty", &format!("[source]\nkind = \"query\"\n{rest}"))
    }

    /// With one more app, by its plugin and what its manifest says after its components.
    pub(crate) fn app(self, name: &str, component: &str, rest: &str) -> Self {
        self.folder.write(&format!("apps/{name}/frond.toml"), manifest(component, rest));
        std::fs::copy(plugin(component), self.folder.path(&format!("apps/{name}/{component}.wasm"))).unwrap();
        self
    }

    /// With these lines under `[limits]` of the server's settings.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        let _ = writeln!(self.limits, "{lines}");
        self
    }

    /// With these tables in the server's settings.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        let _ = writeln!(self.tables, "{tables}");
        self
    }

    /// With a token; the first one is the neighbour's, too. Returns the header that shows it.
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

    /// With another budget of memory, in MiB.
    pub(crate) fn budget(mut self, mib: u64) -> Self {
        self.budget = mib;
        self
    }

    /// With a cache of its own, which the attack may spoil.
    pub(crate) fn own_cache(mut self) -> Self {
        self.cache = self.folder.path("cache");
        self
    }

    /// Starts the server, and lets the neighbour ask.
    pub(crate) fn attack(self, attack: Attack) -> Stage {
        let drain = DRAIN.as_secs();
        let (limits, tables, tokens) = (&self.limits, &self.tables, &self.tokens);
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

/// A manifest with one component for leaf and merge.
pub(crate) fn manifest(component: &str, rest: &str) -> String {
    let line = format!("component = \"{component}.wasm\"\n");
    format!("content-type = \"application/json\"\n[leaf]\n{line}[merge]\n{line}{rest}\n")
}

/// Starts the binary under its limit of memory, and waits until it says where it listens.
fn serve(ground: &Ground) -> (Child, String, BufReader<std::process::ChildStdout>) {
    let log = std::fs::File::create(ground.folder.path("server.log")).unwrap();
    let limited = format!("ulimit -d {} && exec \"$0\" \"$@\"", BACKSTOP_MIB << 10);
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

/// A server under attack, with its neighbour.
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
    /// Asks with the neighbour's token, if there is one.
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

    /// Asks an app, and wants the whole account of its answer.
    #[track_caller]
    pub(crate) fn query(&self, app: &str, body: &str) -> Reply {
        let accept = "accept: application/vnd.frond+json\r\n";
        self.ask("POST", &format!("/v1/apps/{app}/query"), accept, body.as_bytes())
    }

    /// Has so many leaves of `evil` do something.
    #[track_caller]
    pub(crate) fn obey(&self, command: &str, partitions: usize) -> Reply {
        self.query("evil", &ordering(&json!({ "fault": command }), partitions))
    }

    /// A connection, kept open for as long as it is held.
    pub(crate) fn connect(&self) -> TcpStream {
        connect(&self.address).expect("it listens")
    }

    /// A connection on which these bytes were sent.
    pub(crate) fn sent(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        stream
    }

    /// Waits until the neighbour was asked some more: all of it beside what is under way now.
    #[track_caller]
    pub(crate) fn look(&self) {
        self.neighbour.as_ref().unwrap().rounds(size(ROUNDS, 50));
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            assert!(begun.elapsed() < SOME_TIME, "never was this so: {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The sum of a metric's samples that have this label.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.get("/metrics").text();
        let of = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
        };
        text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// A number of `/proc/PID/status`, such as `VmHWM`.
    pub(crate) fn status(&self, key: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{key}:")));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        number.unwrap_or_else(|| panic!("it has ended: no {key} in {text}\n{}", self.log()))
    }

    /// The end of the log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.ground.folder.path("server.log")).unwrap();
        String::from_utf8_lossy(&text[text.len().saturating_sub(8 << 10)..]).into_owned()
    }

    /// Looks at the neighbour, ends the server as a service manager would while the attack still stands, and judges.
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
        // 130 says that something was cut off when its time was up: connections and queries that the attack holds.
        assert!(matches!(status.code(), Some(0 | 130)), "{status}\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        if is_full() {
            let most = 3 * self.quiet;
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

    /// The row of the table.
    fn print(&self, seen: &neighbour::Seen, peak: u64, took: Duration) {
        let (Attack { name, bound }, budget) = (self.attack, self.ground.budget);
        let (answered, asked) = (seen.answered, seen.asked);
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

/// A query with so many partitions for the app that obeys.
pub(crate) fn ordering(query: &Value, partitions: usize) -> String {
    let partitions: Vec<_> = (0..partitions).map(|number| json!({ "key": format!("p{number}"), "data": "" })).collect();
    json!({ "query": query, "partitions": partitions }).to_string()
}
