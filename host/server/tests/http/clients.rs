//! Clients that disconnect, stay silent, send too much, or are too many.

use std::time::Duration;

use frond_server::config::{Size, Time};
use serde_json::json;

use crate::common::{Served, Stream, asking, by_key, config, sum, within};
use crate::raw::{Raw, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_its_leaves() {
    let served = Served::new().await;
    for keys in [["spin-0", "spin-1"], ["sleep-0", "poll-forever-1"]] {
        let asking = tokio::spawn(served.query("caller", by_key(&keys)).send());
        served.leaves(2).await;
        asking.abort();
        served.leaves(0).await;
        served.idle().await;
    }
    let ended = served.json("/v1/queries").await;
    assert_eq!(ended["queries"][0]["reason"], "cancelled", "{ended}");
    assert_eq!(served.metric("frond_queries_total", &["reason=\"cancelled\""]).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_stream_that_goes_away_cancels_its_leaves() {
    let served = Served::new().await;
    let mut stream = Stream::open(served.query("caller", by_key(&["spin-0", "spin-1", "ok-2"]))).await;
    stream.next_named("query").await;
    served.leaves(2).await;
    drop(stream);
    served.leaves(0).await;
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_during_the_merge_cancels_it() {
    let served = Served::new().await;
    let query = asking(&json!({ "finish-fault": "sleep" }), &["ok-0"]);
    let asking = tokio::spawn(served.query("caller", query).send());
    served.until("frond_queries_running", &[], |running| running == 1.0).await;
    asking.abort();
    served.idle().await;
}

async fn impatient() -> Served {
    let mut config = config();
    config.limits.header_time = Time(Duration::from_millis(200));
    Served::with(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_to_say_what_it_wants_is_cut_off() {
    let served = impatient().await;
    // Nothing at all; a possible beginning of HTTP/2; half a head; a head and a half.
    for text in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: local"] {
        let mut raw = Raw::to(&served).await;
        raw.send(text).await;
        let reply = raw.rest().await;
        assert!(reply.is_empty() || status(&reply) == 408, "{text:?}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_used_any_more_is_closed() {
    let served = impatient().await;
    let mut raw = Raw::to(&served).await;
    raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(status(&raw.until("ok\n").await), 200);
    raw.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_for_whom_there_is_no_room_are_told_503() {
    let mut config = config();
    config.limits.connections = 2;
    config.limits.header_time = Time(Duration::from_secs(60));
    let served = Served::with(config).await;
    // Clients that are being served keep their connections.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::to(&served).await;
        raw.send("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        raw.until("text/event-stream").await;
        held.push(raw);
    }
    for _ in 0..20 {
        let reply = served.get("/v1/apps").await;
        assert_eq!(reply.header("retry-after"), "1");
        reply.problem(503, "overloaded", "limits.connections");
        // Health checks still get a connection.
        served.get("/healthz").await.expect(200);
    }
    held.clear();
    // A connection is free once the server has noticed that its client is gone.
    within(async { while served.get("/v1/apps").await.status == 503 {} }).await;
    served.get("/v1/apps").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_431() {
    let mut config = config();
    config.limits.headers = Size(8 << 10);
    let served = Served::with(config).await;
    for head in [
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-large: {}\r\n\r\n", "x".repeat(20 << 10)),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x-many: 1\r\n".repeat(500)),
    ] {
        let mut raw = Raw::to(&served).await;
        raw.send(head).await;
        assert_eq!(status(&raw.rest().await), 431);
    }
    let mut raw = Raw::to(&served).await;
    raw.send(format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(20 << 10))).await;
    assert!(matches!(status(&raw.rest().await), 414 | 431));
    served.get("/healthz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_400_and_harms_nobody() {
    let served = Served::new().await;
    let cases: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    ];
    for bytes in cases {
        let mut raw = Raw::to(&served).await;
        raw.send(bytes).await;
        raw.end().await;
        let reply = raw.rest().await;
        assert!(reply.is_empty() || (400..=405).contains(&status(&reply)), "{bytes:?}: {reply}");
    }
    served.get("/healthz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_and_counted_off() {
    let served = Served::new().await;
    // The client may keep other connections open.
    let count = async || {
        let mut raw = Raw::to(&served).await;
        raw.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        sum(&raw.rest().await, "frond_http_connections", &[])
    };
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(Raw::to(&served).await);
    }
    within(async { while count().await != 6.0 {} }).await;
    drop(held);
    within(async { while count().await != 1.0 {} }).await;
}
