//! Bodies in flight share one budget, and clients that do not read are cut off.

use std::time::Duration;

use bytes::Bytes;
use frond_server::Config;
use frond_server::config::{Size, Time};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

use crate::common::{Served, Stream, asking, by_key, config, within};
use crate::raw::{Raw, status};

/// A server with 1 MiB for bodies, an eighth of which is reserved for small ones.
fn narrow() -> Config {
    let mut config = config();
    config.limits.bodies = Size(1 << 20);
    config.limits.query = Size(600 << 10);
    config.limits.component = Size(600 << 10);
    config
}

/// The head of a query with a body of this many bytes.
fn head(bytes: usize) -> String {
    format!(
        "POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\nexpect: 100-continue\r\n\r\n"
    )
}

/// A query of this many bytes.
fn padded(bytes: usize) -> String {
    let query = by_key(&["ok"]);
    format!("{query}{}", " ".repeat(bytes - query.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_waits_for_room_before_it_is_read() {
    let served = Served::with(narrow()).await;
    let mut first = Raw::to(&served).await;
    first.send(head(600 << 10)).await;
    // The body is requested, so its share is charged.
    first.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert!(served.metric("frond_bodies_bytes", &[]).await >= f64::from(600 << 10));
    let mut second = Raw::to(&served).await;
    second.send(head(600 << 10)).await;
    // Small ones pass both.
    for _ in 0..20 {
        served.ask("caller", by_key(&["ok"])).await.expect(200);
    }
    assert!(served.metric("frond_bodies_bytes", &[]).await < f64::from(1 << 20), "the second has none");
    first.send(padded(600 << 10)).await;
    assert!(first.until("\"count\":1").await.contains("200 OK"));
    second.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    second.send(padded(600 << 10)).await;
    assert!(second.until("\"count\":1").await.contains("200 OK"));
    served.until("frond_bodies_bytes", &[], |bytes| bytes < 100_000.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_room_is_503() {
    let served = Served::with(narrow()).await;
    let mut first = Raw::to(&served).await;
    first.send(head(600 << 10)).await;
    first.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    let mut second = Raw::to(&served).await;
    // A body of unknown size is charged the maximum.
    let chunked = head(0).replace("content-length: 0", "transfer-encoding: chunked\r\nconnection: close");
    second.send(chunked).await;
    let reply = second.rest().await;
    assert_eq!(status(&reply), 503, "{reply}");
    assert!(reply.contains("there is no room for this body") && reply.contains("retry-after: 1"), "{reply}");
    assert!(reply.contains("raise `limits.bodies`"), "{reply}");
    drop(first);
}

/// An HTTP/2 client that accepts no byte of a body.
async fn deaf(served: &Served) -> http2::SendRequest<Full<Bytes>> {
    let tcp = TcpStream::connect(served.address()).await.unwrap();
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(0);
    let (sender, connection) = client.handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_cut_off() {
    let mut config = config();
    config.limits.read_time = Time(Duration::from_secs(1));
    let served = Served::with(config).await;
    for path in ["/openapi.json", "/healthz"] {
        let mut sender = deaf(&served).await;
        let request = http::Request::get(format!("{}{path}", served.url)).body(Full::default()).unwrap();
        let reply = within(sender.send_request(request)).await.unwrap();
        let body = within(http_body_util::BodyExt::collect(reply.into_body())).await;
        assert!(body.is_err(), "{path}: the connection is closed");
    }
    served.until("frond_http_connections_closed_total", &["slow-reader"], |closed| closed == 2.0).await;
    served.until("frond_bodies_bytes", &[], |bytes| bytes < 100_000.0).await;
}

/// A query whose answer has this many bytes.
fn of_text(bytes: usize) -> String {
    asking(&json!({ "finish-fault": format!("text:{}", "x".repeat(bytes)) }), &["ok"])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_stream_is_made_only_if_there_is_room() {
    let mut config = config();
    config.limits.bodies = Size(2 << 20);
    config.limits.query = Size(800 << 10);
    config.limits.component = Size(800 << 10);
    config.limits.read_time = Time(Duration::from_secs(600));
    let served = Served::with(config).await;
    let mut held = Vec::new();
    for answers in 1..=2 {
        let mut sender = deaf(&served).await;
        let request = http::Request::post(format!("{}/v1/apps/caller/query", served.url));
        let request = request.body(Full::from(of_text(700 << 10))).unwrap();
        let reply = within(sender.send_request(request)).await.unwrap();
        assert_eq!(reply.status(), 200);
        held.push((sender, reply));
        served.idle().await;
        served.until("frond_bodies_bytes", &[], |bytes| bytes >= f64::from(answers * (700 << 10))).await;
    }
    // The request fits beside them, and the answer in base64 does not.
    let told = Stream::open(served.query("caller", of_text(600 << 10))).await.rest().await;
    let last = told.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["slug"]), ("problem", &json!("overloaded")), "{}", last.data);
    assert!(last.data["detail"].as_str().unwrap().contains("`limits.bodies`"), "{}", last.data);
    drop(held);
    served.until("frond_bodies_bytes", &[], |bytes| bytes < 100_000.0).await;
    let told = Stream::open(served.query("caller", of_text(600 << 10))).await.rest().await;
    let last = told.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["outcome"]), ("answer", &json!("complete")));
}

/// An HTTP/2 client that follows `/v1/events` several times.
async fn listeners(served: &Served, count: usize) -> (http2::SendRequest<Full<Bytes>>, Vec<http::Response<Incoming>>) {
    let tcp = TcpStream::connect(served.address()).await.unwrap();
    let client = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = client.handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let mut replies = Vec::new();
    for _ in 0..count {
        let request = http::Request::get(format!("{}/v1/events", served.url)).body(Full::default()).unwrap();
        within(sender.ready()).await.unwrap();
        replies.push(within(sender.send_request(request)).await.unwrap());
    }
    (sender, replies)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_has_so_many_event_streams_at_once() {
    let served = Served::new().await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let (sender, replies) = listeners(&served, 100).await;
        assert!(replies.iter().all(|reply| reply.status() == 200));
        held.push((sender, replies));
    }
    let (_sender, refused) = listeners(&served, 1).await;
    assert_eq!(refused[0].status(), 429);
    served.get("/healthz").await.expect(200);
    held.clear();
    // A permit is free once the server has noticed that its client is gone.
    while listeners(&served, 1).await.1[0].status() != 200 {
        tokio::task::yield_now().await;
    }
}
