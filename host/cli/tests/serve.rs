//! `frond serve` and `frond token` from outside: output, signals, reloads and ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};

use kit::{Ended, Folder, Running, frond, outcome, plain};

/// Timeout of reads and waits, ten times what any test needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Settings of all servers here: without watching for changes of apps, and with the same slots on
/// every machine.
const SETTINGS: &str = "watch = false\nslots = 2\n";

/// Returns a folder with one app, whose leaves run the commands in their partitions' keys.
fn apps() -> Folder {
    let query = "[query]\ndeadline = \"100s\"\nfloor = \"best-effort\"";
    let folder =
        Folder::with_app("faulty", &format!("[source]\nkind = \"query\"\n\n{query}\n\n[limits.leaf]\nfuel = 0"));
    settings(&folder, "");
    folder
}

/// Writes the settings file, with `more` at its end.
fn settings(folder: &Folder, more: &str) {
    folder.write("server.toml", format!("{SETTINGS}{more}"));
}

/// Returns a query over partitions with these keys.
fn by_key(keys: &[&str]) -> String {
    let partitions: Vec<_> = keys.iter().map(|key| json!({ "key": key, "data": "" })).collect();
    json!({ "query": {}, "partitions": partitions }).to_string()
}

/// A running server.
struct Server {
    running: Running,
    address: String,
    stdout: BufReader<std::io::PipeReader>,
}

impl Server {
    /// Serves the folder with its settings, and waits until the apps have been read.
    fn of(folder: &Folder) -> Self {
        let mut server = Self::listening(folder);
        server.running.wait_for(" in .");
        server
    }

    /// Serves the folder, and waits only until the server listens.
    fn listening(folder: &Folder) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let running = folder.frond("serve . --config server.toml --listen 127.0.0.1:0").stdout(writer).start();
        let mut stdout = BufReader::new(reader);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.strip_prefix("listening on http://").and_then(|rest| rest.strip_suffix('\n')) else {
            panic!("it does not listen: {line}{}", running.end().err());
        };
        Self { running, address: address.to_owned(), stdout }
    }

    fn wire(&self) -> Wire {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire { stream: BufReader::new(stream), token: None }
    }

    /// Opens a connection that sends a token.
    fn wire_of(&self, token: &str) -> Wire {
        Wire { token: Some(token.to_owned()), ..self.wire() }
    }

    fn signal(&mut self, name: &str) -> &mut Self {
        self.running.signal(name);
        self
    }

    /// Waits for the end. Returns the outcome, with the stdout after the address.
    fn end(mut self) -> Ended {
        let mut ended = self.running.end();
        self.stdout.read_to_end(&mut ended.stdout).unwrap();
        ended
    }
}

/// A keep-alive connection.
struct Wire {
    stream: BufReader<TcpStream>,
    token: Option<String>,
}

impl Wire {
    /// Sends a request without waiting for the reply.
    fn send(&mut self, method: &str, path: &str, body: &str) {
        let token = self.token.iter().map(|token| format!("authorization: Bearer {token}\r\n")).collect::<String>();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n{token}\r\n", body.len());
        self.stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
    }

    fn reply(&mut self) -> Reply {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{status}"));
        let lines = std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty()));
        let headers: Vec<_> = lines.map(|line| line.to_ascii_lowercase()).collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        reply.body.resize(reply.header("content-length").parse().expect("a length"), 0);
        self.stream.read_exact(&mut reply.body).unwrap();
        reply
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Reply {
        self.send(method, path, body);
        self.reply()
    }

    fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    /// Repeats a request until the reply is as expected.
    fn until(&mut self, path: &str, is: impl Fn(&Reply) -> bool) -> Reply {
        let start = Instant::now();
        loop {
            let reply = self.get(path);
            if is(&reply) {
                return reply;
            }
            assert!(start.elapsed() < PATIENCE, "{path}: {} {}", reply.status, reply.text());
        }
    }

    /// Waits until a leaf runs, and returns its query's id.
    fn query_with_a_leaf(&mut self) -> String {
        let running = |reply: &Reply| reply.json()["queries"][0]["partitions"]["running"] == 1;
        let reply = self.until("/v1/queries?outcome=running", running).json();
        reply["queries"][0]["id"].as_str().unwrap().to_owned()
    }
}

struct Reply {
    status: u16,
    /// Lines in lower case, as `name: value`.
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Returns a new token, and the settings that make a server accept it.
fn token(args: &str) -> (String, String) {
    let ended = frond(["token"]).args(args.split(' ')).run().expect(0);
    let secret = ended.err().lines().find_map(|line| Some(line.split_once("stored nowhere: ")?.1.trim().to_owned()));
    (secret.expect("the token itself"), ended.out())
}

#[test]
fn an_app_is_asked_and_the_answer_says_whether_it_is_whole() {
    let folder = apps();
    let mut server = Server::of(&folder);
    let mut wire = server.wire();
    let whole = wire.ask("POST", "/v1/apps/app/query", &by_key(&["ok-1", "ok-2"])).expect(200);
    assert_eq!(whole.header("frond-complete"), "true");
    assert_eq!(whole.json()["keys"], json!(["ok-1", "ok-2"]));
    let partial = wire.ask("POST", "/v1/apps/app/query", &by_key(&["ok-1", "trap-2"])).expect(200);
    assert_eq!((partial.header("frond-complete"), partial.header("frond-coverage")), ("false", "0.5000; 1/2"));
    assert_eq!(partial.json()["keys"], json!(["ok-1"]));
    let failed = wire.ask("POST", "/v1/apps/app/query?floor=all", &by_key(&["ok-1", "trap-2"])).expect(504);
    assert_eq!(failed.json()["slug"], "trap");
    server.signal("TERM");
    let ended = server.end().expect(0);
    assert_eq!(ended.out(), "", "stdout says where it listens, and nothing else");
}

#[test]
fn it_says_what_it_serves_and_what_it_cannot_serve() {
    let folder = apps();
    folder.write("broken/frond.toml", "[leaf]\ncomponent = \"nowhere.wasm\"\n");
    let mut server = Server::of(&folder);
    server.running.wait_for("  app\n").wait_for("  broken: not served: ./broken/frond.toml:1: ");
    server.wire().ask("POST", "/v1/apps/app/query", &by_key(&["ok"])).expect(200);
    // An app that is broken does not make the server unready.
    server.wire().get("/readyz").expect(200);
    server.signal("TERM").running.wait_for("stopping");
    let log = server.end().expect(0).err();
    assert!(log.contains("the app is refused, and no version of it serves: "), "{log}");
    assert!(!log.contains("the version that served before stays"), "{log}");
}

#[test]
fn a_folder_without_apps_is_served_as_it_is() {
    let folder = Folder::new();
    settings(&folder, "");
    let mut server = Server::listening(&folder);
    server.running.wait_for("0 apps in .");
    let mut wire = server.wire();
    assert_eq!(wire.get("/v1/apps").expect(200).json()["apps"], json!([]));
    wire.ask("POST", "/v1/apps/app/query", "{}").expect(404);
    server.signal("INT");
    server.end().expect(0);
}

#[test]
fn the_first_signal_lets_queries_end_and_takes_nothing_new_on() {
    for name in ["TERM", "INT"] {
        let folder = apps();
        let mut server = Server::of(&folder);
        let mut asking = server.wire();
        let mut watching = server.wire();
        asking.send("POST", "/v1/apps/app/query", &by_key(&["ok-1", "sleep-1"]));
        let id = watching.query_with_a_leaf();
        server.signal(name);
        watching.until("/readyz", |reply| reply.status == 503);
        watching.ask("POST", "/v1/apps/app/query", &by_key(&["ok"])).expect(503);
        watching.ask("DELETE", &format!("/v1/queries/{id}"), "").expect(202);
        let answer = asking.reply().expect(200);
        assert_eq!(answer.header("frond-complete"), "false");
        assert_eq!(answer.json()["keys"], json!(["ok-1"]));
        let ended = server.end().expect(0);
        assert!(!ended.err().contains("cut off"), "{}", ended.err());
    }
}

#[test]
fn the_second_signal_quits_and_names_what_is_cut_off() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let folder = apps();
        let mut server = Server::of(&folder);
        let mut asking = server.wire();
        let mut watching = server.wire();
        asking.send("POST", "/v1/apps/app/query", &by_key(&["sleep-1"]));
        let id = watching.query_with_a_leaf();
        server.signal(first);
        watching.until("/readyz", |reply| reply.status == 503);
        server.signal(second);
        let ended = server.end().expect(130);
        assert!(ended.err().contains(&format!("cut off: query {id} of app\n")), "{}", ended.err());
    }
}

#[test]
fn what_takes_longer_than_the_drain_is_cut_off() {
    let folder = apps();
    settings(&folder, "limits.drain = \"20ms\"\n");
    let mut server = Server::of(&folder);
    let mut asking = server.wire();
    let mut watching = server.wire();
    asking.send("POST", "/v1/apps/app/query", &by_key(&["ok-1", "sleep-1"]));
    let id = watching.query_with_a_leaf();
    server.signal("TERM");
    assert_eq!(asking.reply().expect(200).json()["keys"], json!(["ok-1"]), "it is answered with what is there");
    let ended = server.end().expect(130);
    assert!(ended.err().contains(&format!("cut off: query {id} of app\n")), "{}", ended.err());
}

#[test]
fn a_signal_is_heeded_as_soon_as_it_listens() {
    let folder = Folder::new();
    settings(&folder, "");
    for _ in 0..10 {
        let mut server = Server::listening(&folder);
        server.signal("HUP").running.wait_for("settings reloaded");
        server.signal("TERM");
        server.end().expect(0);
        let mut server = Server::listening(&folder);
        server.signal("TERM");
        server.end().expect(0);
    }
}

#[test]
fn a_reload_takes_tokens_anew() {
    let (first, first_lines) = token("first");
    let (second, second_lines) = token("second");
    let folder = apps();
    settings(&folder, &first_lines);
    let mut server = Server::of(&folder);
    server.wire_of(&first).get("/v1/apps").expect(200);
    server.wire_of(&second).get("/v1/apps").expect(401);
    settings(&folder, &second_lines);
    server.signal("HUP").running.wait_for("settings reloaded");
    server.wire_of(&first).get("/v1/apps").expect(401);
    server.wire_of(&second).ask("POST", "/v1/apps/app/query", &by_key(&["ok"])).expect(200);
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn a_reload_that_is_wrong_is_refused_aloud_and_the_old_settings_stay() {
    let (secret, lines) = token("only");
    let folder = apps();
    settings(&folder, &lines);
    let mut server = Server::of(&folder);
    let wrong = [
        ("limts.query = \"1MiB\"", "unknown field `limts`"),
        ("limits.query = \"much\"", "`much` is not a size"),
        ("[[token]]\nname = \"one\"\nrole = \"query\"\nsha256 = \"12\"", "64 hexadecimal digits"),
    ];
    for (refused, (more, why)) in wrong.into_iter().enumerate() {
        settings(&folder, more);
        server.signal("HUP").running.wait_for(why);
        assert_eq!(server.running.said().matches("the old ones stay").count(), refused + 1);
        server.wire_of(&secret).get("/v1/apps").expect(200);
        server.wire().get("/v1/apps").expect(401);
    }
    std::fs::remove_file(folder.path("server.toml")).unwrap();
    server.signal("HUP").running.wait_for("the old ones stay");
    server.wire_of(&secret).get("/v1/apps").expect(200);
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn a_reload_says_what_changes_with_a_restart_alone() {
    let folder = apps();
    let mut server = Server::of(&folder);
    settings(&folder, "limits.recent = 7\nlog.level = \"debug\"\n");
    server.signal("HUP").running.wait_for("log").wait_for("limits.recent").wait_for("settings reloaded");
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn a_reload_looks_at_the_apps_again() {
    let folder = apps();
    let mut server = Server::of(&folder);
    let mut wire = server.wire();
    wire.get("/v1/apps/late").expect(404);
    let manifest = std::fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    folder.write("late/frond.toml", manifest.replace("faulty.wasm", "../app/faulty.wasm"));
    server.signal("HUP");
    wire.until("/v1/apps/late", |reply| reply.status == 200);
    let late = |reply: &Reply| reply.status == 200 && reply.header("frond-complete") == "true";
    let start = Instant::now();
    while !late(&wire.ask("POST", "/v1/apps/late/query", &by_key(&["ok"]))) {
        assert!(start.elapsed() < PATIENCE);
    }
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn a_token_is_never_written_to_logs() {
    let (known, lines) = token("known --role admin");
    let (unknown, _) = token("unknown");
    let folder = apps();
    settings(&folder, &format!("log.level = \"debug\"\n{lines}"));
    let mut server = Server::of(&folder);
    let mut wire = server.wire_of(&known);
    wire.ask("POST", "/v1/apps/app/query", &by_key(&["ok", "panic"])).expect(200);
    wire.ask("POST", "/v1/apps/app/query", "no query").expect(422);
    wire.ask("PUT", "/v1/apps/app/leaf", "no component").expect(422);
    server.wire_of(&unknown).get("/v1/apps").expect(401);
    server.wire_of(&unknown).get(&format!("/v1/apps?token={known}")).expect(401);
    server.wire().stream.get_mut().write_all(format!("{known}\r\n\r\n").as_bytes()).unwrap();
    server.running.wait_for("a connection broke off");
    server.signal("HUP").running.wait_for("settings reloaded");
    // Mistakes in the settings: the token in the place of its hash, and invented keys for it.
    for wrong in [
        format!("[[token]]\nname = \"known\"\nrole = \"query\"\nsha256 = \"{known}\"\n"),
        format!("[[token]]\nname = \"known\"\nrole = \"query\"\ntoken = \"{known}\"\n"),
        format!("token = \"{known}\"\n"),
    ] {
        settings(&folder, &wrong);
        server.signal("HUP").running.wait_for("the old ones stay");
        let ended = folder.frond("serve . --config server.toml --listen 127.0.0.1:0").run().expect(64);
        assert!(!ended.err().contains(&known), "{}", ended.err());
    }
    server.signal("TERM");
    let ended = server.end().expect(0);
    assert!(!ended.err().contains(&known) && !ended.err().contains(&unknown), "{}", ended.err());
}

#[test]
fn a_role_allows_what_it_says() {
    let (asker, asker_lines) = token("asker");
    let (admin, admin_lines) = token("boss --role admin");
    let folder = apps();
    settings(&folder, &format!("{asker_lines}{admin_lines}"));
    let mut server = Server::of(&folder);
    let put = |server: &Server, token: &str| server.wire_of(token).ask("PUT", "/v1/apps/app/leaf", "no component");
    server.wire_of(&asker).ask("POST", "/v1/apps/app/query", &by_key(&["ok"])).expect(200);
    put(&server, &asker).expect(403);
    server.wire_of(&admin).ask("POST", "/v1/apps/app/query", &by_key(&["ok"])).expect(200);
    put(&server, &admin).expect(422);
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn tokens_differ_and_their_lines_hold_only_a_hash() {
    let (first, first_lines) = token("same");
    let (second, _) = token("same");
    assert_ne!(first, second);
    assert!(!first_lines.contains(&first));
    let hash = first_lines.split('"').rev().nth(1).unwrap().to_owned();
    assert_snapshot!(first_lines.replace(&hash, "[hash]"), @r#"
    [[token]]
    name = "same"
    role = "query"
    sha256 = "[hash]"
    "#);
}

#[test]
fn a_tokens_name_may_be_any_text() {
    for name in ["", "a \"b\" 'c'", "line\nbreak", "\u{202e}", "]]", "=#"] {
        let folder = Folder::new();
        let lines = frond(["token", name]).run().expect(0).out();
        folder.write("server.toml", &lines);
        let printed = folder.frond("serve . --config server.toml --print-config").run().expect(0).out();
        let read: toml::Table = printed.parse().unwrap();
        assert_eq!(read["token"][0]["name"].as_str(), Some(name), "{lines}");
    }
}

#[test]
fn the_settings_in_force_are_printed() {
    let ended = frond(["serve", "examples", "--slots", "2", "--waiting", "7", "--print-config"]).run().expect(0);
    assert_snapshot!(ended.out(), @r#"
    listen = "127.0.0.1:7300"
    insecure = false
    slots = 2
    waiting = 7
    waiting-memory = "1GiB"
    leaves-step-back = true
    watch = true
    cors = []

    [limits]
    query = "16MiB"
    component = "64MiB"
    load = "300s"
    headers = "32KiB"
    connections = 1024
    peer-connections = 512
    idle-time = "60s"
    bodies = "256MiB"
    memory = "1GiB"
    partitions = 100000
    queries = 256
    deadline = "600s"
    header-time = "10s"
    body-time = "30s"
    read-time = "30s"
    recent = 200
    recent-memory = "64MiB"
    drain = "30s"

    [jobs]
    role = "all"
    store-wait = "60s"
    at-once = 2
    waiting = 1000
    lease = "30s"
    timeout = "86400s"
    retention = "604800s"
    quota = "64GiB"
    token-quota = "1GiB"
    token-jobs = 10000
    lives = 5

    [workers]
    processes = 0
    spare-processes = 1
    pool = "default"

    [log]
    format = "text"
    level = "info"
    "#);
}

#[test]
fn what_is_printed_can_be_read_again_and_means_the_same() {
    let (_, lines) = token("one --role admin");
    let folder = Folder::new();
    let more = "cors = [\"https://page.example\"]\ntraces = \"http://127.0.0.1:4318\"\nstate = \"kept\"\n\
        [limits]\nquery = \"1.5KiB\"\ndeadline = \"1m1s1ms\"\ndrain = \"1us\"\nrecent-memory = \"0\"\n\
        [tls]\ncertificate = \"c.pem\"\nkey = \"/k.pem\"\n[log]\nformat = \"json\"\nlevel = \"warn\"\n";
    folder.write("server.toml", format!("{SETTINGS}{more}{lines}"));
    let first = folder.frond("serve . --config server.toml --insecure --print-config").run().expect(0).out();
    folder.write("elsewhere/printed.toml", &first);
    let second = folder.frond("serve . --config elsewhere/printed.toml --print-config").run().expect(0).out();
    assert_eq!(first, second);
    let read: toml::Table = first.parse().unwrap();
    assert_eq!(read["limits"]["query"].as_str(), Some("1536B"));
    assert_eq!(read["state"].as_str(), folder.path("kept").to_str());
    assert_eq!(read["cors"][0].as_str(), Some("https://page.example"));
    assert_eq!(read["insecure"].as_bool(), Some(true));
}

#[test]
fn tokens_can_be_added_to_what_was_printed() {
    let folder = Folder::new();
    let printed = folder.frond("serve . --print-config").run().expect(0).out();
    folder.write("server.toml", format!("{printed}{}{}", token("one").1, token("two").1));
    let again = folder.frond("serve . --config server.toml --print-config").run().expect(0).out();
    let read: toml::Table = again.parse().unwrap();
    assert_eq!(read["token"].as_array().unwrap().len(), 2);
}

#[test]
fn the_command_line_says_what_is_done_of_jobs_whatever_the_settings_say() {
    let folder = Folder::new();
    folder.write("server.toml", "[jobs]\nrole = \"none\"\n");
    let role = |more: &str| {
        let printed =
            folder.frond(&format!("serve . --config server.toml {more} --print-config")).run().expect(0).out();
        let read: toml::Table = printed.parse().unwrap();
        read["jobs"]["role"].as_str().unwrap().to_owned()
    };
    assert_eq!(role(""), "none");
    for named in ["dispatcher", "processor", "all"] {
        assert_eq!(role(&format!("--role {named}")), named);
    }
    let wrong = folder.frond("serve . --role boss --print-config").run().expect(64);
    assert!(wrong.err().contains("dispatcher, processor, all"), "{}", wrong.err());
}

/// Returns the outcome of a start with these settings.
fn refusal(settings: &str) -> String {
    let folder = Folder::new();
    folder.write("server.toml", settings);
    outcome(&folder.frond("serve . --config server.toml --listen 127.0.0.1:0").run())
}

#[test]
fn a_store_of_jobs_that_is_no_place() {
    for (store, why) in [
        ("mysql://ann:s3cret@db/jobs", "the scheme `mysql`"),
        ("host=db user=ann password=s3cret", "a connection string of `key=value` pairs"),
        ("postgres://ann:${NO_SUCH_VARIABLE}@db/jobs", "`${NO_SUCH_VARIABLE}`, which is not set"),
    ] {
        let outcome = refusal(&format!("[jobs]\nstore = \"{store}\"\n"));
        assert!(outcome.contains("exit 64") && outcome.contains(why) && !outcome.contains("s3cret"), "{outcome}");
    }
}

#[test]
fn a_processor_without_a_store_that_is_shared() {
    let outcome = refusal("[jobs]\nrole = \"processor\"\n");
    assert!(outcome.contains("exit 64") && outcome.contains("a processor shares jobs"), "{outcome}");
}

/// Returns settings with a database address where nothing listens.
fn nowhere(wait: &str) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("[jobs]\nstore = \"postgres://ann:s3cret@127.0.0.1:{port}/jobs\"\nstore-wait = \"{wait}\"\n")
}

#[test]
fn a_database_that_does_not_come_is_not_waited_for_any_longer() {
    let folder = Folder::new();
    folder.write("server.toml", nowhere("1s"));
    let ended = folder.frond("serve . --config server.toml --listen 127.0.0.1:0").run().expect(69);
    let err = ended.err();
    assert!(err.contains("waiting for the database of jobs") && err.contains("cannot be reached"), "{err}");
    assert!(!err.contains("s3cret"), "{err}");
}

#[test]
fn a_server_that_waits_for_its_database_stops_when_it_is_told_to() {
    let folder = Folder::new();
    folder.write("server.toml", nowhere("600s"));
    let mut running = folder.frond("serve . --config server.toml --listen 127.0.0.1:0").start();
    running.wait_for("waiting for the database of jobs");
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn a_database_that_comes_late_is_waited_for() {
    let Some(database) = frond_testkit::Postgres::start() else { return };
    database.stop();
    let folder = apps();
    settings(&folder, &format!("[jobs]\nstore = \"{}\"\nstore-wait = \"600s\"\n", database.url("postgres")));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut running = folder.frond("serve . --config server.toml --listen 127.0.0.1:0").stdout(writer).start();
    running.wait_for("waiting for the database of jobs");
    database.start_again();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}{}", running.end().err());
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn what_the_database_says_is_in_the_log_and_so_is_that_it_cannot_be_reached() {
    let Some(database) = frond_testkit::Postgres::start() else { return };
    let folder = apps();
    settings(&folder, &format!("[jobs]\nstore = \"{}\"\nstore-wait = \"600s\"\n", database.url("postgres")));
    let mut server = Server::of(&folder);
    database.psql("ALTER TABLE jobs RENAME COLUMN share TO shares");
    let refused = server.wire().ask("POST", "/v1/apps/app/jobs", &by_key(&["ok"])).expect(500);
    assert!(!refused.text().contains("share"), "{}", refused.text());
    for line in ["a call to the store of jobs failed", "no job can be claimed"] {
        server.running.wait_for(line);
        let log = server.running.said();
        let last = log.lines().last().unwrap();
        assert!(last.contains("PostgreSQL says 42703: column ") && last.contains("share"), "{last}");
    }
    database.psql("ALTER TABLE jobs RENAME COLUMN shares TO share");
    database.stop();
    server.running.wait_for("ERROR the store of jobs cannot be reached");
    database.start_again();
    server.running.wait_for("the store of jobs is reached again");
    server.signal("TERM");
    server.end().expect(0);
}

#[test]
fn an_unknown_key() {
    assert_snapshot!(refusal("slots = 2\nlisen = \"127.0.0.1:0\"\n"), @r#"
    exit 64
    error: server.toml: TOML parse error at line 2, column 1
      |
    2 | lisen = "127.0.0.1:0"
      | ^^^^^
    unknown field `lisen`, expected one of `listen`, `insecure`, `slots`, `waiting`, `waiting-memory`, `leaves-step-back`, `state`, `watch`, `limits`, `jobs`, `workers`, `token`, `tls`, `roots`, `cors`, `traces`, `log`
    "#);
}

#[test]
fn an_unknown_limit() {
    assert_snapshot!(refusal("[limits]\nquerys = 2\n"), @"
    exit 64
    error: server.toml: TOML parse error at line 2, column 1
      |
    2 | querys = 2
      | ^^^^^^
    unknown field `querys`, expected one of `query`, `component`, `load`, `headers`, `connections`, `peer-connections`, `idle-time`, `bodies`, `memory`, `partitions`, `queries`, `deadline`, `header-time`, `body-time`, `read-time`, `recent`, `recent-memory`, `drain`
    ");
}

#[test]
fn a_size_that_is_none() {
    assert_snapshot!(refusal("[limits]\nquery = true\n"), @r#"
    exit 64
    error: server.toml: TOML parse error at line 2, column 9
      |
    2 | query = true
      |         ^^^^
    invalid type: boolean `true`, expected a size such as "64MiB", or a number of bytes
    "#);
}

#[test]
fn one_token_for_two() {
    let entry = |name| format!("[[token]]\nname = \"{name}\"\nrole = \"query\"\nsha256 = \"{}\"\n", "0".repeat(64));
    assert_snapshot!(refusal(&format!("{}{}", entry("one"), entry("two"))), @"
    exit 64
    error: `one` and `two` have the same token: the server could not tell them apart
    (`frond token NAME` makes one for each)
    ");
}

#[test]
fn a_time_without_a_unit() {
    assert_snapshot!(refusal("[limits]\ndeadline = \"10\"\n"), @r#"
    exit 64
    error: server.toml: TOML parse error at line 2, column 12
      |
    2 | deadline = "10"
      |            ^^^^
    `10` is not a duration
    (write a number with a unit: 500ms, 2s, 1m30s)
    "#);
}

#[test]
fn a_level_that_is_none() {
    assert_snapshot!(refusal("[log]\nlevel = \"loud\"\n"), @r#"
    exit 64
    error: server.toml: TOML parse error at line 2, column 9
      |
    2 | level = "loud"
      |         ^^^^^^
    unknown variant `loud`, expected one of `error`, `warn`, `info`, `debug`
    "#);
}

#[test]
fn a_file_that_is_no_toml() {
    assert_snapshot!(refusal("slots: 2\n"), @"
    exit 64
    error: server.toml: TOML parse error at line 1, column 8
      |
    1 | slots: 2
      |        ^
    key with no value, expected `=`
    ");
}

#[test]
fn a_file_that_is_not_there() {
    assert_snapshot!(outcome(&Folder::new().frond("serve . --config server.toml").run()), @"
    exit 64
    error: cannot read `server.toml`
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_certificate_that_is_not_there() {
    let refused = refusal("[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n");
    assert!(refused.starts_with("exit 64\n") && refused.contains("c.pem: is no certificate in PEM form"), "{refused}");
}

#[test]
fn a_folder_that_is_not_there() {
    assert_snapshot!(outcome(&Folder::new().frond("serve nowhere --listen 127.0.0.1:0").run()), @"
    exit 64
    error: the apps in `nowhere` cannot be listed
    (give a folder that holds app folders, or one app's own folder)
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn no_folder() {
    assert_snapshot!(outcome(&frond(["serve"]).run()), @"
    exit 64
    error: the following required arguments were not provided:
      <DIR>

    Usage: frond serve <DIR>

    For more information, try '--help'.
    ");
}

#[test]
fn an_address_that_is_none() {
    assert_snapshot!(outcome(&frond(["serve", "examples", "--listen", "localhost"]).run()), @"
    exit 64
    error: invalid value 'localhost' for '--listen <ADDRESS>': invalid socket address syntax

    For more information, try '--help'.
    ");
}

#[test]
fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Folder::new().frond(&format!("serve . --listen {address}")).run();
    assert_snapshot!(outcome(&ended).replace(&address, "[address]"), @"
    exit 64
    error: cannot listen on [address]: Address already in use (os error 98)
    (another process listens there; --listen 127.0.0.1:0 takes a free port)
    ");
}

#[test]
fn an_address_that_others_reach_without_tokens() {
    assert_snapshot!(outcome(&Folder::new().frond("serve . --listen 0.0.0.0:0").run()), @"
    exit 64
    error: 0.0.0.0:0 can be reached from other machines, and there are no tokens: anybody could run queries and replace plugins
    (make a token with `frond token NAME`, listen on 127.0.0.1, or allow it with --insecure)
    ");
}

#[test]
fn an_address_that_others_reach_is_served_to_holders_of_tokens_or_to_all_if_told_so() {
    let (secret, lines) = token("one");
    let folder = Folder::new();
    folder.write("server.toml", lines);
    for args in ["serve . --listen 0.0.0.0:0 --config server.toml", "serve . --listen 0.0.0.0:0 --insecure"] {
        let (reader, writer) = std::io::pipe().unwrap();
        let running = folder.frond(args).stdout(writer).start();
        let mut stdout = BufReader::new(reader);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().replace("listening on http://0.0.0.0", "127.0.0.1");
        let mut server = Server { running, address, stdout };
        let insecure = args.ends_with("--insecure");
        server.wire_of(&secret).get("/v1/apps").expect(200);
        server.wire().get("/v1/apps").expect(if insecure { 200 } else { 401 });
        server.signal("TERM");
        server.end().expect(0);
    }
}

#[test]
fn stdout_that_nobody_reads_is_no_reason_to_stop() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut running = folder.frond("serve . --listen 127.0.0.1:0").stdout(writer).start();
    running.wait_for("0 apps in").signal("TERM");
    let ended = running.end().expect(0);
    assert!(!plain(&ended.err()).contains("panicked"), "{}", ended.err());
}
