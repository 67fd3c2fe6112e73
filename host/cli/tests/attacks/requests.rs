//! Attacks by requests: ambiguous framing, path traversal, cross-site requests, floods.

use std::io::{Read, Write};

use serde_json::json;

use crate::stage::{Attack, Ground, ordering, size};
use crate::wire::{Reply, head, talk};

const OBEYS: &str = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"";

/// Deeply nested JSON, as a query and as a partition's data.
pub(crate) fn deep_json(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let depth = size(100_000, 4_000_000);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"query\":", "}]")] {
        let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for body in [
            deep.clone(),
            open.repeat(depth),
            format!("{{\"query\":{deep},\"partitions\":[{{\"key\":\"a\",\"data\":\"\"}}]}}"),
            format!("{{\"query\":{{}},\"partitions\":[{{\"key\":\"a\",\"data\":{deep}}}]}}"),
        ] {
            let reply = stage.query("evil", &body);
            assert!(matches!(reply.status, 200 | 413 | 422), "{}", reply.shown());
            assert!(reply.body.len() < 64 << 10, "{} bytes", reply.body.len());
        }
    }
    stage.end();
}

/// Request smuggling: a second request hidden in the body must never be answered.
pub(crate) fn smuggling(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let hidden = "DELETE /v1/apps/evil/leaf HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let post = "POST /v1/apps/evil/query HTTP/1.1\r\nhost: localhost\r\n";
    let length = hidden.len();
    for framing in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n{hidden}"),
        format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        format!("content-length: 0, {length}\r\n\r\n{hidden}"),
        format!("content-length: +0\r\n\r\n{hidden}"),
        format!("content-length: 0x0\r\n\r\n{hidden}"),
        format!("transfer-encoding: xchunked\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("content-length\0: 0\r\n\r\n{hidden}"),
        format!(" content-length: {length}\r\n\r\n{hidden}"),
        format!("x: y\r\n continued: z\r\ncontent-length: 0\r\n\r\n{hidden}"),
        format!("host: other\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        format!("content-length: 99999999999999999999999\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{hidden}"),
        format!("transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{hidden}"),
    ] {
        let reply = talk(&stage.address, format!("{post}{framing}").as_bytes()).unwrap();
        let text = String::from_utf8_lossy(&reply);
        let answers = text.matches("HTTP/1.1 ").count();
        assert!(answers == 1 && text.starts_with("HTTP/1.1 4"), "{framing:?}: {text}");
    }
    stage.obey("ok", 2).expect(200, "\"complete\":true");
    stage.end();
}

/// Heads that are too long, or have too many lines.
pub(crate) fn header_floods(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let long = "x".repeat(size(1 << 20, 64 << 20));
    let many: String = (0..size(10_000, 1_000_000)).map(|number| format!("x-{number}: y\r\n")).collect();
    for request in [
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("GET /healthz?{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("{long} /healthz HTTP/1.1\r\n\r\n"),
        long.clone(),
    ] {
        let reply = talk(&stage.address, request.as_bytes());
        let is_refused = reply.as_ref().is_ok_and(|reply| reply.is_empty() || reply.starts_with(b"HTTP/1.1 4"));
        let is_closed = reply.is_err_and(|error| !crate::wire::is_silence(&error));
        assert!(is_refused || is_closed, "{:.60}", request);
    }
    stage.end();
}

/// Path traversal in addresses.
pub(crate) fn paths(attack: Attack) {
    let ground = Ground::evil(OBEYS);
    ground.folder.write("apps/evil/secret.txt", "a secret");
    let stage = ground.attack(attack);
    for path in [
        "/../server.toml",
        "/v1/apps/../../server.toml",
        "/v1/apps/..%2f..%2fserver.toml",
        "/v1/apps/%2e%2e",
        "/v1/apps/evil%2fsecret.txt",
        "/v1/apps/evil%00",
        "/v1/apps/.frond",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/./../etc/passwd",
        "/v1/jobs/../apps/evil",
        "/v1/queries/%00",
        "/v1/queries/..%2f..",
        "/v1/jobs/%ff%fe",
        "/v1/apps/evil/query/../leaf",
        "/\\..\\..\\etc\\passwd",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let reply = stage.ask(method, path, "", b"");
            assert!((400..500).contains(&reply.status), "{method} {path}: {}", reply.shown());
            assert!(
                !reply.text().contains("a secret") && !reply.text().contains("[limits]"),
                "{method} {path}: {}",
                reply.shown()
            );
        }
    }
    stage.end();
}

/// CSRF and DNS rebinding: foreign `Origin` and `Host` headers.
pub(crate) fn strangers(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let body = ordering(&json!({}), 1);
    for origin in ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.evil.example"] {
        stage.ask("POST", "/v1/apps/evil/query", &format!("origin: {origin}\r\n"), body.as_bytes()).expect(403, "");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "169.254.169.254"] {
        let request = format!("GET /v1/apps HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let reply = Reply::parse(&talk(&stage.address, request.as_bytes()).unwrap()).unwrap();
        assert!(matches!(reply.status, 403 | 421), "{host}: {}", reply.shown());
    }
    stage.end();
}

/// CSRF by `Sec-Fetch-Site`.
pub(crate) fn cross_site(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let body = ordering(&json!({}), 1);
    for site in ["cross-site", "same-site"] {
        let headers = format!("sec-fetch-site: {site}\r\nsec-fetch-mode: no-cors\r\n");
        stage.ask("POST", "/v1/apps/evil/query", &headers, body.as_bytes()).expect(403, "");
        stage.ask("PUT", "/v1/apps/evil/leaf", &headers, b"x").expect(403, "");
    }
    stage.end();
}

/// Compressed bodies (decompression bombs).
pub(crate) fn packed(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let headers = format!("content-encoding: {encoding}\r\n");
        stage.ask("POST", "/v1/apps/evil/query", &headers, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).expect(415, "");
    }
    stage.end();
}

/// Clients that disconnect: within the head, within the body, while leaves run, and during a
/// stream.
pub(crate) fn vanishing(attack: Attack) {
    let stage =
        Ground::evil("[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0").attack(attack);
    let body = ordering(&json!({ "fault": "sleep" }), 4);
    let head = head("POST", "/v1/apps/evil/query", "accept: text/event-stream\r\n", body.len());
    let whole = format!("{head}{body}");
    for number in 0..size(100, 5_000) {
        let cut = [10, head.len(), head.len() + 20, whole.len()][number % 4];
        drop(stage.sent(&whole.as_bytes()[..cut]));
    }
    let over = |stage: &crate::stage::Stage| stage.metric("frond_queries_running", "evil") == 0.0;
    stage.until("none of their queries runs", over);
    stage.end();
}

/// Log forging, and server paths in errors.
pub(crate) fn log_lines(attack: Attack) {
    let mut ground = Ground::evil(OBEYS);
    let query = ground.token("asks", "query");
    let stage = ground.attack(attack);
    let folder = stage.ground.folder.dir().display().to_string();
    for text in ["a\nlevel=ERROR forged", "a\u{1b}[2J", "a\u{202e}b"] {
        let reply = stage
            .query("evil", &ordering(&json!({ "fault": format!("text:{text}"), "merge-fault": "invalid-query" }), 1));
        assert!(!reply.text().contains(&folder), "{}", reply.shown());
    }
    let encoded = "/v1/apps/a%0alevel=ERROR%20forged%1b%5b2J/query";
    stage.ask("POST", encoded, &query, b"{}").expect(404, "");
    stage.ask("GET", "/v1/apps", "authorization: Bearer wrong\r\n", b"").expect(401, "");
    stage.until("the failed login is logged", |stage| stage.log().contains("401") || stage.log().contains("token"));
    let log = stage.log();
    assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with("level=ERROR")), "{log}");
    assert!(stage.metric("frond_logins_failed_total", "") >= 1.0, "failed logins are counted");
    stage.end();
}

/// Many subscribers to the event stream that read nothing.
pub(crate) fn followers(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let head = head("GET", "/v1/events", "accept: text/event-stream\r\n", 0);
    let connections: Vec<_> = (0..size(100, 900)).map(|_| stage.sent(head.as_bytes())).collect();
    for _ in 0..size(20, 500) {
        stage.obey("ok", 50);
    }
    stage.end();
    drop(connections);
}

/// Queries with large records: long keys, many of them, and long messages.
pub(crate) fn records(attack: Attack) {
    let stage = Ground::evil(OBEYS).limits("recent-memory = \"16MiB\"").attack(attack);
    for number in 0..size(8, 400) {
        let key = "\u{1}".repeat(100_000);
        let partitions: Vec<_> =
            (0..20).map(|part| json!({ "key": format!("{key}{number}-{part}"), "data": "" })).collect();
        let body = json!({ "query": { "fault": "panic" }, "partitions": partitions }).to_string();
        let reply = stage.query("evil", &body);
        assert!(reply.status != 500, "{}", reply.shown());
    }
    stage.get("/v1/queries?limit=1000").expect(200, "");
    stage.end();
}

/// More jobs than the queue may hold.
pub(crate) fn waiting_jobs(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0";
    let stage = Ground::evil(rest).tables("[jobs]\nwaiting = 5").attack(attack);
    let body = ordering(&json!({ "fault": "sleep" }), 2);
    let ask = || stage.ask("POST", "/v1/apps/evil/jobs", "", body.as_bytes());
    let statuses: Vec<_> = (0..size(8, 200)).map(|_| ask().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 5, "{statuses:?}");
    ask().expect(429, "jobs.waiting");
    stage.end();
}

/// Slowloris: heads and bodies that arrive slowly or never.
pub(crate) fn slow_clients(attack: Attack) {
    let limits = "header-time = \"2s\"\nbody-time = \"2s\"\nread-time = \"2s\"";
    let stage = Ground::evil(OBEYS).limits(limits).attack(attack);
    let head = head("POST", "/v1/apps/evil/query", "", 1000);
    let cut = [&b""[..], &head.as_bytes()[..20], head.as_bytes(), b"PRI * HTTP/2.0\r\n"];
    let mut connections: Vec<_> = (0..size(40, 800)).map(|number| stage.sent(cut[number % cut.len()])).collect();
    stage.look();
    for stream in &mut connections {
        let _ = stream.write_all(b"x");
        let mut reply = Vec::new();
        // The connection ends, with a status or without.
        let ended = stream.read_to_end(&mut reply);
        assert!(!ended.is_err_and(|error| crate::wire::is_silence(&error)), "a slow client is still waited for");
    }
    stage.end();
}
