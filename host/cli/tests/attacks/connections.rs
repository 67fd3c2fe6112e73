//! Attacks by connections and bodies: their number, and the memory they occupy.

use std::io::Write;

use serde_json::json;

use crate::http2::{Connection, request};
use crate::stage::{Attack, Ground, ordering, size};
use crate::wire::head;

const OBEYS: &str = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"";
/// Bytes that are sent of a body in flight.
const BODY: usize = 12 << 20;

/// Idle HTTP/2 connections, up to the limit and beyond.
pub(crate) fn idle(attack: Attack) {
    let most = size(64, 1024);
    let mut ground = Ground::evil(OBEYS).limits(&format!("connections = {most}"));
    ground.token("neighbour", "query");
    let stage = ground.attack(attack);
    let connections: Vec<_> = (0..most * 2).map(|_| Connection::of(&stage)).collect();
    stage.look();
    stage.end();
    drop(connections);
}

/// More connections than the limit, opened and closed in turns.
pub(crate) fn crowds(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    for _ in 0..size(5, 100) {
        let connections: Vec<_> = (0..200).map(|_| stage.connect()).collect();
        stage.look();
        drop(connections);
    }
    stage.end();
}

/// Incomplete bodies on many connections: all but the last byte is sent.
pub(crate) fn bodies(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let head = head("POST", "/v1/apps/evil/query", "", BODY + 1);
    let piece = vec![b' '; BODY];
    let connections: Vec<_> = (0..size(64, 150))
        .map(|_| {
            let mut stream = stage.sent(head.as_bytes());
            stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
            let _ = stream.write_all(&piece);
            stream
        })
        .collect();
    stage.look();
    stage.end();
    drop(connections);
}

/// Incomplete bodies on one HTTP/2 connection.
pub(crate) fn multiplexed_bodies(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let mut connection = Connection::of(&stage);
    connection.0.set_write_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let fields = request("POST", "/v1/apps/evil/query", "");
    let streams: Vec<u32> = (0..100).map(|number| number * 2 + 1).collect();
    for stream in &streams {
        connection.ask(*stream, &fields, true);
    }
    connection.bodies(&streams, BODY);
    stage.look();
    stage.end();
    drop(connection);
}

/// Large answers to clients that read nothing.
pub(crate) fn slow_readers(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.merge]\noutput = \"64MiB\"";
    // Beside the bodies, eight concurrent merges hold their answers of 16 MiB twice: in the guest,
    // and copied out.
    let stage = Ground::evil(rest).budget(768).spinning().attack(attack);
    let body = ordering(&json!({ "finish-fault": "huge-output" }), 1);
    let request = [head("POST", "/v1/apps/evil/query", "", body.len()).as_bytes(), body.as_bytes()].concat();
    let connections: Vec<_> = (0..size(40, 200)).map(|_| stage.sent(&request)).collect();
    stage.look();
    stage.end();
    drop(connections);
}

/// A large result of one job, requested by many clients that read nothing.
pub(crate) fn slow_results(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.merge]\noutput = \"64MiB\"";
    let stage = Ground::evil(rest).attack(attack);
    let body = ordering(&json!({ "finish-fault": "huge-output" }), 1);
    let id = stage.ask("POST", "/v1/apps/evil/jobs", "", body.as_bytes()).expect(202, "").json();
    let id = id["id"].as_str().unwrap().to_owned();
    stage.until("the job has ended", |stage| {
        stage.get(&format!("/v1/jobs/{id}?wait=5s")).json()["finished_unix_ms"].is_u64()
    });
    let request = head("GET", &format!("/v1/jobs/{id}/result"), "", 0);
    let connections: Vec<_> = (0..size(40, 200)).map(|_| stage.sent(request.as_bytes())).collect();
    stage.look();
    stage.end();
    drop(connections);
}

/// A body beyond the limit, with its length declared, and chunked.
pub(crate) fn endless_bodies(attack: Attack) {
    let stage = Ground::evil(OBEYS).attack(attack);
    let announced = head("POST", "/v1/apps/evil/query", "", 1 << 40);
    let chunked = "POST /v1/apps/evil/query HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for head in [announced.as_str(), chunked] {
        for path in ["query", "jobs", "leaf"] {
            let method = if path == "leaf" { "PUT" } else { "POST" };
            let head = head.replace("POST", method).replace("query", path);
            let mut stream = stage.sent(head.as_bytes());
            stream.set_write_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
            // As much as the server reads and discards after a refusal, and more.
            let sent = (0..size(4 << 10, 40 << 10)).take_while(|_| stream.write_all(&chunk).is_ok()).count();
            assert!(sent < 4 << 10, "{path}: {sent} chunks were taken");
        }
    }
    stage.end();
}
