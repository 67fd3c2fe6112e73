//! Refused uploads: a client that sends the whole body before reading still gets the reason.

use frond_server::Config;
use frond_server::config::{Role, Size};

use crate::common::{Served, config, token, within};
use crate::raw::{Raw, status};

/// More than the buffers of a connection hold.
const LARGE: usize = 24 << 20;

/// Sends a whole request, as most clients do, and only then reads.
async fn send_all(served: &Served, head: &str, body: usize) -> String {
    let mut raw = Raw::to(served).await;
    raw.send(format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {body}\r\n\r\n")).await;
    let piece = vec![b'x'; 1 << 20];
    let mut left = body;
    while left > 0 {
        let now = left.min(piece.len());
        assert!(within(raw.try_send(&piece[..now])).await, "broken pipe with {left} bytes to go");
        left -= now;
    }
    raw.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_without_a_token_is_401_and_no_broken_pipe() {
    let (_, entry) = token("asker", Role::Query);
    let served = Served::with(Config { tokens: vec![entry], ..config() }).await;
    for head in [
        "POST /v1/apps/caller/query HTTP/1.1",
        "PUT /v1/apps/caller/leaf HTTP/1.1",
        "PUT /v1/apps/caller/leaf HTTP/1.0",
    ] {
        let reply = send_all(&served, head, LARGE).await;
        assert!(reply.contains(" 401 ") && reply.contains("asks for a token"), "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_refuses_an_upload_is_told() {
    let mut small = config();
    small.limits.query = Size(1 << 20);
    let served = Served::with(small).await;
    for (head, expected) in [
        ("POST /v1/apps/caller/query HTTP/1.1", 413),
        ("POST /v1/apps/caller/jobs HTTP/1.1", 413),
        ("POST /v1/apps/nobody/query HTTP/1.1", 404),
        ("POST /nowhere HTTP/1.1", 404),
        ("DELETE /v1/apps/caller/query HTTP/1.1", 405),
        ("POST /v1/apps/caller/query?x=1 HTTP/1.1", 400),
        ("POST /v1/apps/caller/query HTTP/1.1\r\norigin: http://evil.example", 403),
        ("POST /v1/apps/caller/query HTTP/1.1\r\ncontent-encoding: gzip", 415),
    ] {
        assert_eq!(status(&send_all(&served, head, LARGE).await), expected, "{head}");
    }
    // A body of unknown size is refused only while it is read.
    let mut raw = Raw::to(&served).await;
    raw.send("POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let piece = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    for _ in 0..LARGE >> 20 {
        assert!(within(raw.try_send(piece.as_bytes())).await, "broken pipe");
    }
    raw.send("0\r\n\r\n").await;
    assert_eq!(status(&raw.until("\r\n").await), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_of_a_refused_upload_can_be_used_again() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    for _ in 0..3 {
        raw.send(format!("POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: {LARGE}\r\n\r\n")).await;
        assert!(within(raw.try_send(&vec![b'x'; LARGE])).await);
        assert_eq!(status(&raw.until("what there is)\"").await), 404);
        raw.until("}").await;
    }
    raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(status(&raw.until("ok\n").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_told_to_go_on_is_not_read() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    raw.send("POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\nexpect: 100-continue\r\n\r\n")
        .await;
    let reply = raw.rest().await;
    assert!(reply.starts_with("HTTP/1.1 404 ") && !reply.contains("100 Continue"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_431_though_all_of_it_is_sent_first() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    raw.send(format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(200 << 10))).await;
    assert_eq!(status(&raw.rest().await), 431);
}
