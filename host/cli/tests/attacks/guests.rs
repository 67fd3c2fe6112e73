//! Attacks by guests that exceed their limits or grants: time, memory, output, network, files.

use std::net::TcpListener;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::stage::{Attack, Ground, Stage, manifest, ordering, size};

/// Returns the slug of each missing partition, and the report on the first one.
#[track_caller]
fn failures(stage: &Stage, command: &str, partitions: usize) -> (Vec<String>, String) {
    let reply = stage.obey(command, partitions).json();
    let missing = reply["coverage"]["missing"].as_array().unwrap_or_else(|| panic!("{reply}"));
    let slugs = missing.iter().map(|one| one["slug"].as_str().unwrap_or_default().to_owned()).collect();
    (slugs, missing.first().map(ToString::to_string).unwrap_or_default())
}

/// Asserts that each leaf fails with this slug, and with this text in the report.
#[track_caller]
fn fails(attack: Attack, rest: &str, command: &str, slug: &str, text: &str) {
    let stage = Ground::evil(rest).spinning().attack(attack);
    for _ in 0..size(2, 20) {
        let (slugs, message) = failures(&stage, command, 6);
        assert_eq!(slugs, vec![slug; 6], "{message}");
        assert!(message.contains(text), "{message}");
        stage.look();
    }
    stage.end();
}

pub(crate) fn fuel(attack: Attack) {
    fails(
        attack,
        "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 50_000_000",
        "spin",
        "out-of-fuel",
        "limits.leaf.fuel",
    );
}

pub(crate) fn time(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0\ntime = \"50ms\"";
    fails(attack, rest, "spin", "out-of-time", "limits.leaf.time");
}

pub(crate) fn deadline(attack: Attack) {
    let stage = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"200ms\"\n[limits.leaf]\nfuel = 0")
        .spinning()
        .attack(attack);
    for command in ["spin", "sleep", "poll-forever", "read-source-forever"] {
        let reply = stage.obey(command, 6).expect(504, "").json();
        let sum = &reply["coverage"]["partitions"];
        assert_eq!(sum["succeeded"], 0, "{reply}");
        assert_eq!(sum["planned"], 6, "{reply}");
    }
    stage.end();
}

pub(crate) fn memory(attack: Attack) {
    fails(
        attack,
        "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"",
        "grow-memory",
        "out-of-memory",
        "limits.leaf.memory",
    );
}

pub(crate) fn output(attack: Attack) {
    fails(
        attack,
        "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"",
        "huge-output",
        "output-too-large",
        "limits.leaf.output",
    );
}

pub(crate) fn recursion(attack: Attack) {
    fails(attack, "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"", "recurse", "trap", "stack");
}

pub(crate) fn host_calls(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0\nhost-calls = 10_000";
    fails(attack, rest, "emit-flood", "host-call-denied", "limits.leaf.host-calls");
}

/// Leaves that write 100 MiB of escapes, long lines and zero bytes to stderr and stdout.
pub(crate) fn log_flood(attack: Attack) {
    let stage =
        Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0").attack(attack);
    for command in ["flood-stderr", "flood-stdout"] {
        let reply = stage.obey(command, size(4, 64));
        assert!(reply.body.len() < 256 << 10, "{}", reply.shown());
    }
    let log = std::fs::read(stage.ground.folder.path("server.log")).unwrap();
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
    assert!(!log.contains(&0x1b), "escapes in the log");
    stage.end();
}

/// Merge and finish calls that exceed each limit.
pub(crate) fn merges(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.merge]\nfuel = 100_000_000\nmemory = \"96MiB\"\noutput = \"1MiB\"";
    let stage = Ground::evil(rest).attack(attack);
    for (fault, slug) in [
        ("spin", "out-of-fuel"),
        ("grow-memory", "out-of-memory"),
        ("recurse", "trap"),
        ("huge-output", "output-too-large"),
        ("trap", "trap"),
    ] {
        for which in ["merge-fault", "finish-fault"] {
            stage.query("evil", &ordering(&json!({ which: fault }), 9)).expect(502, slug);
        }
    }
    stage.end();
}

/// Uses of WASI without a grant.
pub(crate) fn ungranted(attack: Attack) {
    let stage = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"").attack(attack);
    let reply = stage.obey("env", 1).expect(200, "").json();
    assert_eq!(reply["answer"]["reports"]["p0"], json!({}), "{reply}");
    let (slugs, message) = failures(&stage, "sockets", 2);
    assert_eq!(slugs, vec!["host-call-denied"; 2], "{message}");
    stage.end();
}

/// SSRF: spellings of this machine's address, by a guest that is granted two host names, one of
/// which resolves to it. No connection may be made.
pub(crate) fn forgery(attack: Attack) {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let grants = "[[grants.http]]\nhost = \"localhost:*\"\n[[grants.http]]\nhost = \"*.example.com:*\"";
    let stage = Ground::evil(&format!("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n{grants}")).attack(attack);
    let hosts = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1%25lo]",
        "a.example.com@127.0.0.1",
        "127.0.0.1#.example.com",
        "127.0.0.1%23.example.com",
        "127.0.0.1\\.example.com",
        "%6c%6f%63alhost",
        "①②⑦.0.0.1",
        "169.254.169.254",
        "a.example.com:x@localhost",
    ];
    let mut faults = serde_json::Map::new();
    let mut partitions = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        for (scheme, path) in [("http", "/"), ("http", "//localhost/"), ("https", "/")] {
            let key = format!("{number}-{scheme}{path}");
            faults.insert(key.clone(), json!(format!("http-quietly:GET {scheme}://{host}:{port}{path}")));
            partitions.push(json!({ "key": key, "data": "" }));
        }
    }
    let count = partitions.len();
    let reply = stage.query("evil", &json!({ "query": { "faults": faults }, "partitions": partitions }).to_string());
    let reply = reply.expect(200, "").json();
    let of = &reply["coverage"]["partitions"];
    let refused = reply["answer"]["reports"].as_object().unwrap();
    assert_eq!((&of["succeeded"], &of["planned"]), (&json!(count), &json!(count)), "{reply}");
    for (key, report) in refused {
        assert!(report["error"].is_string(), "{key}: {report}");
    }
    stage.end();
    assert!(inside.accept().is_err(), "somebody connected");
}

/// Path traversal and symbolic links out of a granted folder.
pub(crate) fn escapes(attack: Attack) {
    let grant = "[[grants.directories]]\nhost = \"data\"\nguest = \"/data\"";
    let ground = Ground::evil(&format!("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n{grant}"));
    let secret = ground.folder.write("apps/evil/secret/secret.txt", "secret");
    ground.folder.write("apps/evil/data/open.txt", "open");
    ground.folder.write("apps/evil/data/sub/open.txt", "open");
    let data = ground.folder.path("apps/evil/data");
    symlink("../secret/secret.txt", data.join("up")).unwrap();
    symlink(&secret, data.join("absolute")).unwrap();
    symlink("../secret", data.join("folder")).unwrap();
    symlink("folder/secret.txt", data.join("twice")).unwrap();
    symlink("/proc/self/environ", data.join("environ")).unwrap();
    symlink("loop", data.join("loop")).unwrap();
    let stage = ground.attack(attack);
    let report = |path: &str| {
        let reply = stage.obey(&format!("files:{path}"), 1).expect(200, "").json();
        reply["answer"]["reports"]["p0"].clone()
    };
    assert_eq!(report("/data/open.txt")["read"], "open");
    for path in [
        "/data/../secret/secret.txt",
        "/data/sub/../../secret/secret.txt",
        "/data/./../secret/secret.txt",
        "/data/up",
        "/data/absolute",
        "/data/folder/secret.txt",
        "/data/twice",
        "/data/environ",
        "/data/loop",
        "/etc/passwd",
        "/data//../../../../../../etc/passwd",
        "/proc/self/environ",
        "secret/secret.txt",
        "..",
        "/data/open.txt/../up",
    ] {
        assert_eq!(report(path)["read"], Value::Null, "{path}");
    }
    for what in ["write", "append", "create", "create-dir", "rename", "link", "remove", "remove-dir"] {
        assert_eq!(report("/data/open.txt")[what], false, "{what}");
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret");
    stage.end();
}

/// Queries beyond the limit on partitions, by a range and by the query itself.
pub(crate) fn partitions(attack: Attack) {
    let ground = Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"").budget(768);
    let range = "[source]\nkind = \"range\"\nstart = 0\nend = 9_000_000_000\nstep = 1\n";
    ground.folder.write("apps/many/frond.toml", manifest("faulty", range));
    std::fs::copy(crate::kit::plugin("faulty"), ground.folder.path("apps/many/faulty.wasm")).unwrap();
    let stage = ground.attack(attack);
    for _ in 0..size(2, 20) {
        let reply = stage.query("many", "{}");
        assert!(reply.status != 200 && reply.text().contains("100000"), "{}", reply.shown());
        let count = size(50_000, 300_000);
        let given: Vec<_> =
            (0..count).map(|key| json!({ "key": key.to_string(), "data": "", "weight": u64::MAX })).collect();
        stage.query("evil", &json!({ "query": {}, "partitions": given }).to_string()).expect(422, "weight");
    }
    stage.end();
}

/// Regular expressions that compile to far more than their own size.
pub(crate) fn patterns(attack: Attack) {
    let rest = "[source]\nkind = \"query\"\n[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"";
    let stage = Ground::new().app("evil", "grep", rest).attack(attack);
    let text = "a".repeat(size(10_000, 1_000_000));
    for pattern in
        ["(?:(?:(?:a{999}){999}){999}){999}", "(a*)*b", "(?:\\pL{1,500}){500}", "(x+x+)+y", &"(".repeat(100_000)]
    {
        let body = json!({ "query": { "pattern": pattern }, "partitions": [{ "key": "a", "data": text }] });
        let reply = stage.query("evil", &body.to_string());
        assert!(reply.body.len() < 64 << 10, "{pattern:.20}: {}", reply.shown());
    }
    stage.end();
}
