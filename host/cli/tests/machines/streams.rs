//! Closed, full and slow streams: a verb's exit code does not depend on the readers of its output.

use std::fs::{File, OpenOptions};
use std::io::PipeWriter;
use std::process::{Command, Stdio};

use rustix::fs::{OFlags, fcntl_setfl};
use serde_json::Value;

use crate::kit::{Folder, Frond, cache, skip_without};
use crate::server::Server;

/// Returns a full disk.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("/dev/full")
}

/// Returns a pipe whose reader is closed.
fn gone() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// Closes stderr of the program.
fn closed(frond: Frond) -> Frond {
    frond.through("sh", ["-c", "exec \"$0\" \"$@\" 2>&-"])
}

/// Returns an app with a case, a capture and a recording, for the verbs that need one.
fn app() -> Folder {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n\n[query]\nfloor = \"best-effort\"");
    let order = r#"{"query":{},"partitions":[{"key":"ok-1","data":""},{"key":"trap-1","data":""}]}"#;
    folder.write("query.json", order);
    let case = "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n";
    folder.write("app/cases/one.toml", case);
    let first = "query app @query.json --record run.ndjson --capture-failures captures --slots 1";
    folder.frond(first).run().expect(3);
    folder
}

/// Verbs that end without a server, each with its exit code at a terminal.
const VERBS: [(&str, i32); 14] = [
    ("query app @query.json --stats --progress lines", 3),
    ("query app @query.json --stats --progress json", 3),
    ("query app @query.json --stats --format json", 3),
    ("query nowhere", 64),
    ("test app --no-laws", 0),
    ("test app --no-laws --format json", 0),
    ("bench app --runs 1", 0),
    ("bench app --runs 1 --format json", 0),
    ("explain run.ndjson", 0),
    ("explain run.ndjson --html --output -", 0),
    ("inspect app", 0),
    ("build app", 0),
    ("token somebody", 0),
    ("--help", 0),
];

#[track_caller]
fn check(verb: &str, code: i32, change: impl FnOnce(Frond) -> Frond, folder: &Folder) {
    let ended = change(folder.frond(verb)).run();
    assert_eq!(ended.code, Some(code), "{verb}\n{}{}", ended.out(), ended.err());
}

#[test]
fn a_stderr_that_cannot_be_written_costs_nothing() {
    let folder = app();
    for (verb, code) in VERBS {
        check(verb, code, |frond| frond.stderr(full()), &folder);
        check(verb, code, |frond| frond.stderr(gone()), &folder);
        check(verb, code, closed, &folder);
    }
}

#[test]
fn a_reader_of_stdout_that_has_gone_away_has_had_enough() {
    let folder = app();
    for (verb, code) in VERBS {
        check(verb, code, |frond| frond.stdout(gone()), &folder);
    }
}

#[test]
fn an_answer_that_has_no_room_is_70_and_says_why() {
    let folder = app();
    for (verb, _) in VERBS.into_iter().filter(|(verb, _)| !matches!(*verb, "query nowhere" | "build app" | "--help")) {
        let ended = folder.frond(verb).stdout(full()).run();
        assert_eq!(ended.code, Some(70), "{verb}\n{}", ended.err());
        assert!(ended.err().contains("No space left on device"), "{verb}\n{}", ended.err());
    }
}

#[test]
fn an_answer_waits_for_a_reader_that_is_slow_and_a_pipe_that_does_not_block() {
    let folder = app();
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    // The page is larger than a pipe's buffer, and is read only after the pipe is full.
    let running = folder.frond("explain run.ndjson --html --output -").stdout(writer).start();
    let page = std::io::read_to_string(reader).unwrap();
    running.end().expect(0);
    assert!(page.len() > 64 << 10 && page.trim_end().ends_with("</html>"), "{} bytes", page.len());
}

#[test]
fn an_answer_ends_its_line_on_a_terminal_and_nowhere_else() {
    let folder = app();
    folder.write("one.json", r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#);
    let piped = folder.frond("query app @one.json").run().expect(0).out();
    assert!(piped.ends_with('}'), "{piped:?}");
    let Some(shown) = on_a_terminal(&folder, "query app @one.json") else { return };
    assert_eq!(shown, piped + "\r\n");
}

#[test]
fn an_answer_shows_what_a_terminal_would_act_on_and_a_pipe_gets_the_bytes() {
    let folder = app();
    folder.write("two.json", "{\"query\":{},\"partitions\":[{\"key\":\"ok-\u{202e}\u{9b}2J\",\"data\":\"\"}]}");
    let piped = folder.frond("query app @two.json").run().expect(0).out();
    assert!(piped.contains("ok-\u{202e}\u{9b}2J"), "{piped:?}");
    let Some(shown) = on_a_terminal(&folder, "query app @two.json") else { return };
    let is_same = serde_json::from_str::<Value>(&shown).unwrap() == serde_json::from_str::<Value>(&piped).unwrap();
    assert!(is_same && shown.contains(r"ok-\u202e\u009b2J"), "{shown:?}");
}

/// Runs `frond` on a pseudo-terminal, and returns its output. Without the program `script` it
/// reports the skipped test.
fn on_a_terminal(folder: &Folder, args: &str) -> Option<String> {
    let verb = format!("'{}' {args} 2>/dev/null", env!("CARGO_BIN_EXE_frond"));
    let mut script = Command::new("script");
    script
        .args(["-qec", &verb, "/dev/null"])
        .current_dir(folder.dir())
        .env("FROND_CACHE", cache())
        .stdin(Stdio::null());
    let Ok(shown) = script.output() else {
        skip_without("script", "install util-linux (bsdutils)");
        return None;
    };
    Some(String::from_utf8_lossy(&shown.stdout).into_owned())
}

#[test]
fn a_replay_has_the_exit_code_of_its_call() {
    let folder = app();
    let verb = "replay captures/1-trap_1-trap";
    check(verb, 0, |frond| frond, &folder);
    check(verb, 0, |frond| frond.stderr(full()), &folder);
    check(verb, 0, |frond| frond.stdout(gone()), &folder);
    check(verb, 70, |frond| frond.stdout(full()), &folder);
}

#[test]
fn what_asks_a_server_has_its_exit_code_too() {
    let folder = app();
    let server = Server::by(folder.frond("serve . --listen 127.0.0.1:0"));
    let url = format!("http://{}", server.address);
    let submit = ["jobs", "submit", "app", "@query.json", "--wait", "--server", &url];
    let id = folder.frond(&submit.join(" ")).run().expect(3).out();
    let nobody = "0199f2c41d0a7b3c8e5f60718293a4b5";
    let verbs = [
        ("list".to_owned(), 0),
        ("list --format json".to_owned(), 0),
        (format!("show {id}"), 0),
        (format!("show {id} --format json"), 0),
        (format!("watch {id}"), 3),
        (format!("result {id}"), 3),
        (format!("show {nobody}"), 64),
    ];
    for (verb, code) in &verbs {
        let verb = &format!("jobs {verb} --server {url}");
        check(verb, *code, |frond| frond, &folder);
        check(verb, *code, |frond| frond.stderr(full()), &folder);
        check(verb, *code, |frond| frond.stderr(gone()), &folder);
        check(verb, *code, closed, &folder);
        check(verb, *code, |frond| frond.stdout(gone()), &folder);
    }
    for (verb, _) in verbs.iter().filter(|(verb, code)| *code != 64 && !verb.starts_with("watch")) {
        check(&format!("jobs {verb} --server {url}"), 70, |frond| frond.stdout(full()), &folder);
    }
    server.end();
}

#[test]
fn a_server_serves_without_its_streams() {
    let folder = app();
    let serve = || folder.frond("serve . --listen 127.0.0.1:0");
    for without in [serve().stderr(full()), serve().stderr(gone()), closed(serve())] {
        Server::by(without).end();
    }
    // Without a reader of stdout, the log still has the address.
    for without in
        [serve().stdout(gone()), serve().stdout(full()), serve().through("sh", ["-c", "exec \"$0\" \"$@\" >&-"])]
    {
        let mut running = without.start();
        running.wait_for(" in .").signal("TERM");
        running.end().expect(0);
    }
}
