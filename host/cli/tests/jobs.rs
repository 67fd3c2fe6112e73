//! `frond jobs` from outside, against the real `frond serve`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use serde_json::{Value, json};

use kit::{Ended, Folder, Frond, Running, frond, outcome};

/// Settings without watching for changes of apps, and with a lease that no busy machine exceeds.
const SETTINGS: &str = "watch = false\nslots = 2\n[jobs]\nlease = \"20s\"\n";
/// An id that no job has.
const NOBODY: &str = "0199f2c41d0a7b3c8e5f60718293a4b5";

/// Returns a folder with one app, whose leaves run the commands in their partitions' keys.
fn apps() -> Folder {
    apps_with("")
}

fn apps_with(grants: &str) -> Folder {
    let query = "[query]\ndeadline = \"100s\"\nfloor = \"best-effort\"";
    let app = format!(
        "content-type = \"text/plain\"\n[source]\nkind = \"query\"\n\n{query}\n\n[limits.leaf]\nfuel = 0\n{grants}"
    );
    let folder = Folder::with_app("faulty", app.split_once('\n').unwrap().1);
    folder.write("server.toml", SETTINGS);
    folder
}

/// Returns a query over partitions with these keys.
fn by_key(keys: &[&str]) -> String {
    by_fault(&json!({}), keys)
}

fn by_fault(query: &Value, keys: &[&str]) -> String {
    let partitions: Vec<_> = keys.iter().map(|key| json!({ "key": key, "data": "" })).collect();
    json!({ "query": query, "partitions": partitions }).to_string()
}

/// Returns a query over many partitions, one of which ends every `ms` milliseconds: their leaves
/// wait side by side, each for a time of its own.
fn slow(count: usize, ms: u64) -> String {
    let keys: Vec<_> = (0..count).map(|index| format!("part-{index:03}")).collect();
    let sleep = |(key, rank): (&String, u64)| (key.clone(), json!(format!("sleep-ms:{}", rank * ms)));
    let faults: serde_json::Map<_, _> = keys.iter().zip(1..).map(sleep).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    by_fault(&json!({ "faults": faults }), &keys)
}

/// A running server.
struct Server {
    running: Running,
    address: String,
}

impl Server {
    fn of(folder: &Folder) -> Self {
        Self::at(folder, "127.0.0.1:0")
    }

    fn at(folder: &Folder, address: &str) -> Self {
        Self::by(folder.frond(&format!("serve . --config server.toml --listen {address}")))
    }

    fn by(frond: Frond) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut running = frond.stdout(writer).start();
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            panic!("it does not listen: {line}{}", running.end().err());
        };
        running.wait_for(" in .");
        Self { address: address.to_owned(), running }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn jobs<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Frond {
        frond(["jobs"]).args(args).env("FROND_SERVER", self.url())
    }

    fn run(&self, args: &str) -> Ended {
        self.jobs(args.split_whitespace()).run()
    }

    /// Submits a job, and returns its id.
    fn submit(&self, query: &str, args: &str) -> String {
        let ended = self.jobs(["submit", "app", query]).args(args.split_whitespace()).run().expect(0);
        let id = ended.out();
        assert_eq!(id.len(), 33, "{id}{}", ended.err());
        id.trim().to_owned()
    }

    fn show(&self, id: &str) -> Value {
        self.run(&format!("show {id} --format json")).expect(0).json()
    }

    /// Waits for the end of a job, which must have this exit code, and returns the job.
    fn ended(&self, id: &str, code: i32) -> Value {
        self.run(&format!("watch {id}")).expect(code);
        self.show(id)
    }
}

/// Returns the outcome of `frond query`.
fn asked(folder: &Folder, query: &str) -> Ended {
    folder.frond("query app").arg(query).run()
}

#[test]
fn a_job_answers_as_a_query_does() {
    let folder = apps();
    let server = Server::of(&folder);
    for (keys, code) in [(&["ok-1", "ok-2", "ok-3"][..], 0), (&["ok-1", "trap-1"], 3)] {
        let query = by_key(keys);
        let id = server.submit(&query, "");
        let watched = server.run(&format!("watch {id}")).expect(code);
        assert_eq!(watched.out(), "");
        let result = server.run(&format!("result {id}")).expect(code);
        assert_eq!(result.out(), asked(&folder, &query).expect(code).out());
        let file = folder.path("answer");
        server.jobs(["result", &id, "--output", file.to_str().unwrap()]).run().expect(code);
        assert_eq!(std::fs::read(file).unwrap(), result.stdout);
    }
}

#[test]
fn submit_can_go_on_to_the_answer() {
    let folder = apps();
    let server = Server::of(&folder);
    let query = folder.write("query.json", by_key(&["ok-1", "ok-2"]));
    let ended =
        server.jobs(["submit", "app", "-", "--watch"]).stdin(std::fs::File::open(&query).unwrap()).run().expect(0);
    assert_eq!(ended.out(), asked(&folder, &by_key(&["ok-1", "ok-2"])).out());
    let text = ended.err();
    assert!(text.starts_with("job ") && text.contains("complete 2 of 2 partitions"), "{text}");
    let named = format!("@{}", query.display());
    let waited = server.jobs(["submit", "app", &named, "--wait"]).run().expect(0);
    assert_eq!(waited.out().len(), 33, "{}", waited.out());
}

#[test]
fn an_end_has_the_exit_code_of_a_query() {
    let folder = apps();
    let server = Server::of(&folder);
    let refused = by_fault(&json!({ "fault": "invalid-query" }), &["a"]);
    let unmerged = by_fault(&json!({ "finish-fault": "trap" }), &["ok-1"]);
    let cases = [
        (by_key(&["ok-1"]), "", 0),
        (by_key(&["ok-1", "trap-1"]), "", 3),
        (by_key(&["ok-1", "trap-1"]), "--floor all", 4),
        (by_key(&["ok-1", "trap-1"]), "--floor 0.5", 3),
        (by_key(&["ok-1", "trap-1"]), "--require trap-1", 4),
        (unmerged, "", 6),
        (refused, "", 65),
        ("no json".to_owned(), "", 65),
    ];
    for (query, args, code) in cases {
        let submit = |how: &str| server.jobs(["submit", "app", &query]).args(args.split_whitespace()).arg(how).run();
        let watched = submit("--watch").expect(code);
        assert_eq!(watched.out().is_empty(), code >= 4, "{args}: {}", watched.out());
        let waited = submit("--wait").expect(code);
        let id = waited.out().trim().to_owned();
        server.run(&format!("watch {id}")).expect(code);
        let result = server.run(&format!("result {id}"));
        // The server cannot tell the refusal of a job without a plan from other refusals.
        assert!(result.code == Some(code) || query == "no json", "{code}: {}", outcome(&result));
    }
}

#[test]
fn the_same_key_is_the_same_job() {
    let folder = apps();
    let server = Server::of(&folder);
    let query = by_key(&["ok-1"]);
    let id = server.submit(&query, "--key nightly-1");
    assert_eq!(server.submit(&query, "--key nightly-1"), id);
    assert_ne!(server.submit(&query, "--key nightly-2"), id);
    assert_ne!(server.submit(&query, ""), id);
    let other = server.jobs(["submit", "app", "{}", "--key", "nightly-1"]).run().expect(64);
    assert_eq!(other.out(), "");
    assert!(other.err().contains("key"), "{}", other.err());
}

#[test]
fn waiting_ends_when_it_was_to() {
    let folder = apps();
    let server = Server::of(&folder);
    let waited = server.jobs(["submit", "app", &by_key(&["sleep-1"]), "--wait", "300ms"]).run().expect(69);
    let id = waited.out().trim().to_owned();
    let text = waited.err();
    assert!(text.contains("it has not ended yet") && text.contains(&format!("frond jobs watch {id}")), "{text}");
    assert_eq!(server.show(&id)["state"], "running");
}

#[test]
fn what_there_is_can_be_had_before_the_end() {
    let folder = apps();
    let server = Server::of(&folder);
    let id = server.submit(&by_key(&["ok-1", "sleep-1"]), "");
    while server.show(&id)["partitions"]["done"] != 1 {}
    let early = server.run(&format!("result {id}")).expect(64);
    assert!(early.err().contains("is running"), "{}", early.err());
    let partial = server.run(&format!("result {id} --partial")).expect(3);
    assert_eq!(partial.json()["keys"], json!(["ok-1"]));
    assert_snapshot!(partial.err(), @"the answer is partial: 1 of 2 partitions
    ");
}

#[test]
fn a_cancelled_job_ends_with_or_without_what_there_is() {
    let folder = apps();
    let server = Server::of(&folder);
    for (args, code) in [("", 4), ("--keep-partial", 3)] {
        let id = server.submit(&by_key(&["ok-1", "sleep-1"]), "");
        while server.show(&id)["partitions"]["done"] != 1 {}
        server.run(&format!("cancel {id} {args}")).expect(0);
        assert_eq!(server.ended(&id, 4)["state"], "cancelled");
        let result = server.run(&format!("result {id}")).expect(code);
        if code == 3 {
            assert_eq!(result.json()["keys"], json!(["ok-1"]));
        }
        server.run(&format!("cancel {id}")).expect(64);
    }
}

/// Returns the port of a server that closes its connections until the flag is set, and speaks HTTP
/// then.
fn moody() -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let good = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&good);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if mood.load(Ordering::SeqCst) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
            }
        }
    });
    (port, good)
}

#[test]
fn a_failed_job_is_run_again_where_it_failed() {
    let (port, good) = moody();
    let folder = apps_with(&format!("[[grants.http]]\nhost = \"127.0.0.1:{port}\"\n[retry]\nattempts = 1"));
    let server = Server::of(&folder);
    let faults = json!({ "faults": { "outside": format!("http:GET http://127.0.0.1:{port}/") } });
    let query = by_fault(&faults, &["ok-1", "outside"]);
    let id = server.submit(&query, "--floor all");
    let text = server.run(&format!("watch {id}")).expect(4).err();
    assert!(text.contains(&format!("`frond jobs redrive {id}` runs the missing partitions again")), "{text}");
    good.store(true, Ordering::SeqCst);
    let text = server.run(&format!("redrive {id}")).expect(0).err();
    assert!(text.contains("the job is "), "{text}");
    let job = server.ended(&id, 0);
    assert_eq!((job["state"].as_str(), &job["partitions"]["done"]), (Some("succeeded"), &json!(2)));
    assert_eq!(server.run(&format!("result {id}")).expect(0).out(), asked(&folder, &query).expect(0).out());
    // Nothing is missing any more.
    server.run(&format!("redrive {id}")).expect(64);
}

#[test]
fn what_is_deleted_has_no_answer_any_more() {
    let folder = apps();
    let server = Server::of(&folder);
    let one = server.submit(&by_key(&["ok-1"]), "--wait");
    let other = server.submit(&by_key(&["sleep-1"]), "");
    let early = server.run(&format!("delete {other}")).expect(64);
    assert!(early.err().contains("cancel it first"), "{}", early.err());
    server.run(&format!("cancel {other}")).expect(0);
    server.ended(&other, 4);
    assert_eq!(server.run(&format!("delete {one} {other}")).expect(0).err(), "2 jobs are deleted\n");
    for id in [one, other] {
        assert_eq!(server.show(&id)["state"], "expired");
        server.run(&format!("result {id}")).expect(64);
    }
}

#[test]
fn jobs_are_listed_and_shown() {
    let folder = apps();
    let server = Server::of(&folder);
    assert_snapshot!(outcome(&server.run("list")), @"
    exit 0
    no job matches
    ");
    let whole = server.submit(&by_key(&["ok-1"]), "--wait");
    let partial = server.jobs(["submit", "app", &by_key(&["ok-1", "trap-1"]), "--wait"]).run().expect(3);
    let partial = partial.out().trim().to_owned();
    let running = server.submit(&by_key(&["sleep-1"]), "");
    while server.show(&running)["state"] != "running" {}
    let ids = |args: &str| {
        let table = server.run(&format!("list {args}")).expect(0).out();
        table.lines().skip(1).map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(""), [running.clone(), partial.clone(), whole.clone()]);
    assert_eq!(ids("--app app"), ids(""));
    assert!(ids("--app other").is_empty());
    assert_eq!(ids("--state running"), std::slice::from_ref(&running));
    assert_eq!(ids("--state succeeded,partial"), [partial.clone(), whole.clone()]);
    assert_eq!(ids(&format!("--after {running}")), [partial.clone(), whole.clone()]);
    let first = server.run("list --limit 1").expect(0);
    assert!(first.err().contains(&format!("there may be more (--after {running}")), "{}", first.err());
    let json = server.run("list --format json").expect(0).json();
    assert_eq!(json["jobs"][2]["id"], whole.as_str());
    let shown = server.run(&format!("show {partial}")).expect(0).out();
    for part in ["state      partial\n", "partial  1 of 2 partitions", "missing  trap-1   failed   trap"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let row = server.run("list --state partial").expect(0).out();
    assert!(row.contains("app  partial   1/2") && row.contains(" ago"), "{row}");
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let folder = apps();
    let server = Server::of(&folder);
    let run = |args: &str| outcome(&server.run(args)).replace(&server.url(), "[url]");
    for verb in ["show", "watch", "result", "result --partial", "cancel", "delete", "redrive"] {
        let text = run(&format!("{verb} {NOBODY}"));
        assert!(text.starts_with("exit 64\nerror: ") && text.contains(NOBODY), "{verb}: {text}");
    }
    assert!(run("submit other {}").starts_with("exit 64\nerror: "), "{}", run("submit other {}"));
    assert!(run("submit app {} --timeout 300d").starts_with("exit 64\nerror: `timeout`"));
    let unknown = server.jobs(["submit", "app", &by_key(&["ok-1"]), "--require", "nobody", "--wait"]).run().expect(65);
    assert!(unknown.err().contains("failed: ") && unknown.err().contains("nobody"), "{}", unknown.err());
}

#[test]
fn jobs_and_states_that_are_none() {
    let run = |args: &str| outcome(&frond(["jobs"]).args(args.split_whitespace()).run());
    assert_snapshot!(run("show 0199f2"), @"
    exit 64
    error: invalid value '0199f2' for '<ID>': `0199f2` is not a job's id
    (an id has 32 hexadecimal digits)

    For more information, try '--help'.
    ");
    assert_snapshot!(run("list --state runing"), @"
    exit 64
    error: invalid value 'runing' for '--state <STATE>': `runing` is not a job's state
    (known: submitted, queued, planning, running, merging, succeeded, partial, failed, cancelled, expired)

    For more information, try '--help'.
    ");
    assert_snapshot!(run("wacth 0199f2"), @"
    exit 64
    error: unrecognized subcommand 'wacth'

      tip: a similar subcommand exists: 'watch'

    Usage: frond jobs [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn submissions_that_make_no_sense() {
    let run = |args: &str| outcome(&frond(["jobs"]).args(args.split_whitespace()).run());
    assert_snapshot!(run("submit examples/rail {}"), @"
    exit 64
    error: invalid value 'examples/rail' for '<APP>': this is a path, and the server knows apps by their names
    (give the name alone, such as rail)

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app {} --weight 0"), @"
    exit 64
    error: invalid value '0' for '--weight <N>': 0 is not in 1..=1000

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app {} --timeout 0s"), @"
    exit 64
    error: invalid value '0s' for '--timeout <TIME>': the time must be above 0

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app {} --retention 1000d"), @"
    exit 64
    error: invalid value '1000d' for '--retention <TIME>': `1000d` is more than a year

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app {} --wait app"), @"
    exit 64
    error: invalid value 'app' for '--wait [<TIME>]': `app` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app {} --wait 1s --watch"), @"
    exit 64
    error: the argument '--wait [<TIME>]' cannot be used with '--watch'

    Usage: frond jobs submit --wait [<TIME>] <APP> <QUERY | @FILE | ->

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app {} --key ü"), @"
    exit 64
    error: invalid value 'ü' for '--key <KEY>': a key has 1 to 255 printable ASCII characters, and no space at either end

    For more information, try '--help'.
    ");
    assert_snapshot!(run("submit app @nowhere.json"), @"
    exit 64
    error: cannot read the query from `nowhere.json`
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let folder = Folder::new();
    let run = |args: &str| {
        let ended = folder.frond(&format!("jobs {args}")).run();
        outcome(&ended).replace(&address, "[address]")
    };
    assert_snapshot!(run(&format!("list --server {address}")), @"
    exit 69
    error: there is no server at http://[address]: Connection refused (os error 111)
    (start one with `frond serve DIR`, or name another with --server or FROND_SERVER)
    ");
    for verb in ["show", "watch", "result", "cancel", "redrive"] {
        assert!(run(&format!("{verb} {NOBODY} --server {address}")).starts_with("exit 69\n"), "{verb}");
    }
    assert_snapshot!(run(&format!("list --server https://{address}")), @"
    exit 69
    error: there is no server at https://[address]: Connection refused (os error 111)
    (start one with `frond serve DIR`, or name another with --server or FROND_SERVER)
    ");
    assert_snapshot!(run("list --server http://"), @"
    exit 64
    error: `http://` is not a server's address
    (such as http://127.0.0.1:7300)
      because: empty host
    ");
    assert_snapshot!(run("list --token-file nowhere"), @"
    exit 64
    error: cannot read the token from `nowhere`
      because: No such file or directory (os error 2)
    ");
    folder.write("empty", "\n");
    assert_snapshot!(run("list --token-file empty"), @"
    exit 64
    error: `empty` does not hold a token
    (one line, as `frond token NAME` shows it)
    ");
}

#[test]
fn what_is_no_server_of_ours_is_told_as_such() {
    let (port, good) = moody();
    good.store(true, Ordering::SeqCst);
    let ended = frond(["jobs", "list", "--server", &format!("127.0.0.1:{port}")]).run();
    assert_snapshot!(outcome(&ended).replace(&port.to_string(), "[port]"), @"
    exit 64
    error: the server at http://127.0.0.1:[port] does not answer as Frond does: its reply is not the expected JSON: expected value at line 1 column 1
    (is it a server of Frond, of this version or later?)
    ");
    good.store(false, Ordering::SeqCst);
    let ended = frond(["jobs", "list", "--server", &format!("127.0.0.1:{port}")]).run().expect(69);
    assert!(ended.err().contains("did not answer to the end"), "{}", ended.err());
    let ended = frond(["jobs", "submit", "app", "--server", &format!("127.0.0.1:{port}")]).run().expect(69);
    assert!(ended.err().contains("the server may have accepted the job"), "{}", ended.err());
}

#[test]
fn a_server_without_jobs_says_so() {
    let folder = apps();
    folder.write("server.toml", "[jobs]\nrole = \"none\"\n");
    let server = Server::of(&folder);
    assert_snapshot!(outcome(&server.run("submit app {}")), @"
    exit 64
    error: this server accepts no jobs
    (`jobs.role` in its settings is none)
    ");
    assert_snapshot!(outcome(&server.run("list")), @"
    exit 64
    error: this server accepts no jobs
    (`jobs.role` in its settings is none)
    ");
}

#[test]
fn a_token_opens_the_server() {
    let folder = apps();
    let made = frond(["token", "one"]).run().expect(0);
    let secret = made.err().lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    folder.write("server.toml", format!("{SETTINGS}{}", made.out()));
    folder.write("token", format!("{secret}\n"));
    folder.write("wrong", format!("{}\n", secret.replace(|c: char| c.is_ascii_digit(), "0")));
    let server = Server::of(&folder);
    let list = || server.jobs(["list"]).dir(folder.dir());
    assert_snapshot!(outcome(&list().run()), @"
    exit 64
    error: this server asks for a token
    (send the header `Authorization: Bearer …`)
    (give the token in FROND_TOKEN, or with --token-file)
    ");
    let wrong = list().args(["--token-file", "wrong"]).run().expect(64);
    assert!(wrong.err().contains("token"), "{}", wrong.err());
    list().env("FROND_TOKEN", &secret).run().expect(0);
    // An option overrides the environment.
    list().args(["--token-file", "token"]).env("FROND_TOKEN", "x").run().expect(0);
}

#[test]
fn an_interrupt_leaves_the_job() {
    let folder = apps();
    let server = Server::of(&folder);
    let id = server.submit(&slow(20, 200), "");
    for signal in ["INT", "TERM"] {
        let mut watching = server.jobs(["watch", &id]).start();
        watching.wait_for("partitions").signal(signal);
        let ended = watching.end().expect(130);
        let text = ended.err();
        let hint = format!("no longer watched: the job continues\n(`frond jobs watch {id}` watches it again");
        assert!(text.contains(&hint), "{text}");
    }
    let json = server.ended(&id, 0);
    assert_eq!(json["partitions"]["done"], 20);
    let mut submitting = server.jobs(["submit", "app", &by_key(&["sleep-1"]), "--watch"]).start();
    submitting.wait_for("1 partition").interrupt();
    let ended = submitting.end().expect(130);
    assert_eq!(ended.out(), "");
    let id = ended.err().lines().next().unwrap().trim_start_matches("job ").to_owned();
    assert_eq!(server.show(&id)["state"], "running");
}

#[test]
fn a_watch_survives_the_server() {
    let folder = apps();
    let mut server = Server::of(&folder);
    let query = slow(80, 100);
    let id = server.submit(&query, "");
    let mut text = server.jobs(["watch", &id]).start();
    let mut json = server.jobs(["watch", &id, "--format", "json"]).start();
    text.wait_for(" of 80 partitions");
    while server.show(&id)["partitions"]["done"].as_u64() < Some(4) {}
    server.running.signal("KILL");
    text.wait_for("the server is unreachable: ");
    json.wait_for("the server is unreachable: ");
    let address = server.address.clone();
    drop(server);
    let server = Server::at(&folder, &address);
    text.wait_for("the server is reachable again");
    let text = text.end().expect(0).err();
    assert!(text.contains("app: resumed where it was"), "{text}");
    assert!(text.contains("complete 80 of 80 partitions"), "{text}");
    let json = json.end().expect(0);
    let views: Vec<Value> = json.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<_> = views.iter().map(|view| view["partitions"]["done"].as_u64().unwrap()).collect();
    assert!(done.is_sorted() && done.len() > 3, "{done:?}");
    assert_eq!(views.last().unwrap()["state"], "succeeded");
    assert!(json.err().contains("the server is reachable again"), "{}", json.err());
    // Finished partitions are not run again.
    assert_eq!(server.run(&format!("result {id}")).expect(0).out(), asked(&folder, &query).expect(0).out());
}

#[test]
fn a_server_that_stops_gives_its_jobs_to_the_next() {
    let folder = apps();
    let mut server = Server::of(&folder);
    let query = slow(20, 100);
    let id = server.submit(&query, "");
    while server.show(&id)["partitions"]["done"].as_u64() < Some(4) {}
    server.running.signal("TERM");
    server.running.end();
    let server = Server::of(&folder);
    assert_eq!(server.ended(&id, 0)["partitions"]["done"], 20);
    assert_eq!(server.run(&format!("result {id}")).expect(0).out(), asked(&folder, &query).expect(0).out());
}

/// Script that mounts a separate disk of 16 MiB on the state folder, fills it with a file except
/// for some MiB, and then becomes the given command.
const SMALL_DISK: &str = "mkdir -p .frond && mount -t tmpfs -o size=16m,mode=700 none .frond && head -c 13M /dev/zero > .frond/ballast && exec \"$@\"";
const OWN_MOUNTS: [&str; 3] = ["--user", "--map-root-user", "--mount"];

#[test]
fn a_disk_that_is_full_is_waited_for_and_nothing_is_lost() {
    if !Command::new("unshare").args(OWN_MOUNTS).arg("true").status().is_ok_and(|status| status.success()) {
        return kit::skip("this machine lets nobody have mounts of their own (unshare --user --mount)");
    }
    let folder = apps();
    let serve = folder.frond("serve . --config server.toml --listen 127.0.0.1:0");
    let disk = OWN_MOUNTS.into_iter().chain(["sh", "-c", SMALL_DISK, "sh"]);
    let mut server = Server::by(serve.through("unshare", disk));
    let keys: Vec<_> = (0..20_000).map(|index| format!("ok-{index:05}")).collect();
    let query = by_key(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    folder.write("query.json", &query);
    let id = server.submit(&format!("@{}", folder.path("query.json").display()), "");
    server.running.wait_for("waiting for the store of jobs");
    assert!(server.show(&id)["finished_unix_ms"].is_null());
    let ballast = folder.path(".frond/ballast");
    fs::remove_file(format!("/proc/{}/root{}", server.running.id(), ballast.display())).unwrap();
    let job = server.ended(&id, 0);
    assert_eq!((job["partitions"]["done"].as_u64(), job["partitions"]["failed"].as_u64()), (Some(20_000), Some(0)));
    assert_eq!(server.run(&format!("result {id}")).expect(0).out(), asked(&folder, "@query.json").expect(0).out());
}

/// Returns `frond jobs` without a server, on the jobs of the folder.
fn local(folder: &Folder, args: &str) -> Frond {
    folder.frond(&format!("jobs {args} --local ."))
}

fn shown(folder: &Folder, id: &str) -> Value {
    local(folder, &format!("show {id} --format json")).run().expect(0).json()
}

/// Submits a job, and returns its id.
fn submitted(folder: &Folder, query: &str) -> String {
    let ended = local(folder, "submit app").arg(query).run().expect(0);
    assert!(ended.err().contains(" --local .` runs it)"), "{}", ended.err());
    ended.out().trim().to_owned()
}

#[test]
fn jobs_need_no_server() {
    let folder = apps();
    let query = by_key(&["ok-1", "ok-2"]);
    let id = submitted(&folder, &query);
    let other = submitted(&folder, &by_key(&["ok-3", "trap-1"]));
    assert_eq!(shown(&folder, &id)["state"], "queued");
    local(&folder, &format!("result {id}")).run().expect(64);
    local(&folder, &format!("watch {id}")).run().expect(0);
    let whole = asked(&folder, &query).expect(0).out();
    assert_eq!(local(&folder, &format!("result {id}")).run().expect(0).out(), whole);
    local(&folder, &format!("watch {other}")).run().expect(3);
    assert_eq!(shown(&folder, &other)["partitions"]["failed"], 1);
    let again = local(&folder, &format!("redrive {other}")).run().expect(0);
    assert!(again.err().contains(&format!("`frond jobs watch {other} --local .`")), "{}", again.err());
    local(&folder, &format!("cancel {other}")).run().expect(0);
    let listed = local(&folder, "list --format json").run().expect(0).json();
    let states: Vec<_> = listed["jobs"].as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["cancelled", "succeeded"]);
    assert_eq!(local(&folder, "submit app --watch").arg(&query).run().expect(0).out(), whole);
}

/// Returns the TCP sockets that a process has open, as lines of the kernel's tables.
#[cfg(target_os = "linux")]
fn tcp_sockets(process: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let files = files.filter_map(|file| Some(fs::read_link(file.unwrap().path()).ok()?.to_str()?.to_owned()));
    let open: Vec<_> = files.collect();
    let table = |name| fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap_or_default();
    let lines = table("tcp") + &table("tcp6");
    // The tenth column is the inode.
    let is_open = |line: &&str| {
        let inode = line.split_whitespace().nth(9);
        inode.is_some_and(|inode| open.contains(&format!("socket:[{inode}]")))
    };
    lines.lines().filter(is_open).map(str::to_owned).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn jobs_without_a_server_open_no_socket() {
    let folder = apps();
    let other = apps();
    assert_eq!(tcp_sockets(Server::of(&other).running.id()).len(), 1);
    let id = submitted(&folder, &by_key(&["ok-1", "spin"]));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut running = local(&folder, &format!("watch {id} --format json")).stdout(writer).start();
    let mut states = BufReader::new(reader).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    states.by_ref().find(|job| job["partitions"]["done"] == 1).expect("it runs");
    assert_eq!(tcp_sockets(running.id()), Vec::<String>::new());
    running.interrupt();
    running.end().expect(130);
}

#[test]
fn jobs_that_nobody_serves_are_refused_as_a_server_would() {
    let folder = apps();
    let unknown = local(&folder, "submit nobody").run().expect(64);
    assert!(unknown.err().contains("there is no app `nobody`"), "{}", unknown.err());
    local(&folder, &format!("show {NOBODY}")).run().expect(64);
    let both = folder.frond("jobs list --local . --server http://127.0.0.1:1").run().expect(64);
    assert!(both.err().contains("--local works without a server"), "{}", both.err());
    let nowhere = folder.frond("jobs list --local nowhere").run().expect(64);
    assert!(nowhere.err().contains("`nowhere`"), "{}", nowhere.err());
}

#[test]
fn a_job_without_a_server_goes_on_after_its_process_was_killed() {
    let folder = apps();
    let query = slow(100, 50);
    let id = submitted(&folder, &query);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut running = local(&folder, &format!("watch {id} --format json")).stdout(writer).start();
    let done = |job: &Value| job["partitions"]["done"].as_u64().unwrap();
    let mut states = BufReader::new(reader).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let before = states.by_ref().map(|job| done(&job)).find(|done| *done >= 3).expect("it runs");
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    let left = shown(&folder, &id);
    assert_eq!((&left["state"], &left["finished_unix_ms"]), (&json!("running"), &Value::Null), "{left}");
    assert!(done(&left) >= before, "what was told is lost: {left}");
    let watched = local(&folder, &format!("watch {id}")).run().expect(0);
    assert!(watched.err().contains("complete"), "{}", watched.err());
    let ended = shown(&folder, &id);
    assert_eq!((&ended["epoch"], done(&ended)), (&json!(2), 100), "{ended}");
    let attempts = ended["attempts"].as_u64().unwrap();
    assert!(attempts < 200, "what was there was run again: {attempts} attempts");
    assert_eq!(local(&folder, &format!("result {id}")).run().expect(0).out(), asked(&folder, &query).expect(0).out());
}

#[test]
fn an_interrupt_leaves_such_a_job_where_it_is() {
    let folder = apps();
    let id = submitted(&folder, &by_key(&["ok-1", "spin"]));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut running = local(&folder, &format!("watch {id} --format json")).stdout(writer).start();
    let mut states = BufReader::new(reader).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    states.by_ref().find(|job| job["partitions"]["done"] == 1).expect("it runs");
    running.interrupt();
    let ended = running.end().expect(130);
    assert!(ended.err().contains("the job waits: the accepted partials are kept"), "{}", ended.err());
    let left = shown(&folder, &id);
    assert_eq!((&left["state"], &left["partitions"]["done"]), (&json!("queued"), &json!(1)));
}

#[test]
fn a_server_and_a_process_without_one_keep_out_of_each_others_way() {
    let folder = apps();
    let query = by_key(&["ok-1", "ok-2"]);
    let id = submitted(&folder, &query);
    let server = Server::of(&folder);
    for verb in ["list", &format!("watch {id}")] {
        let refused = local(&folder, verb).run().expect(69);
        assert!(refused.err().contains("another process works on the jobs of `.`"), "{}", refused.err());
    }
    // The server owns jobs that were submitted without it.
    assert_eq!(server.ended(&id, 0)["state"], "succeeded");
    assert_eq!(server.run(&format!("result {id}")).expect(0).out(), asked(&folder, &query).expect(0).out());
}

#[test]
fn a_store_that_is_damaged_is_named_and_left_as_it_is_while_queries_are_served() {
    let folder = apps();
    folder.write(".frond/jobs/jobs.db", [7; 9000]);
    let mut server = Server::of(&folder);
    // The log reports each check of the store that finds it changed.
    let away = "the store of jobs cannot be reached";
    if !server.running.said().contains(away) {
        server.running.wait_for(away);
    }
    let refused = server.jobs(["submit", "app", &by_key(&["ok-1"])]).run().expect(69).err();
    let texts = ["the store of jobs is not open: the store of jobs is damaged", "queries are served without it"];
    assert!(texts.iter().all(|text| refused.contains(text)), "{refused}");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        std::io::read_to_string(stream).unwrap()
    };
    assert!(get("/v1/apps/app").contains("\"health\":\"serving\""));
    let ready = get("/readyz");
    let jobs = get("/readyz/jobs");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("cannot be reached"), "{ready}");
    assert!(jobs.starts_with("HTTP/1.1 503") && jobs.contains("cannot be reached"), "{jobs}");
    server.running.interrupt();
    let log = server.running.end().err();
    let texts = ["jobs cannot be kept", ".frond/jobs", "move it away, or restore a copy"];
    assert!(texts.iter().all(|text| log.contains(text)), "{log}");
    assert_eq!(fs::read(folder.path(".frond/jobs/jobs.db")).unwrap(), [7; 9000]);
}
