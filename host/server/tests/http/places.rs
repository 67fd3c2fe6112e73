//! Limits of connections: unknown clients cannot use all, and idle ones are evicted.

use std::time::Duration;

use bytes::Bytes;
use frond_server::Config;
use frond_server::config::{Role, Time};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::common::{Served, by_key, config, send, token, within};
use crate::raw::{Raw, status};

type Sender = http2::SendRequest<Full<Bytes>>;

/// An HTTP/2 connection that answers pings, as every client does, but sends no request.
async fn idle(served: &Served) -> (Sender, JoinHandle<()>) {
    let tcp = TcpStream::connect(served.address()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

fn with_places(connections: usize) -> Config {
    let mut config = config();
    config.limits.connections = connections;
    (config.limits.header_time, config.limits.idle_time) =
        (Time(Duration::from_secs(600)), Time(Duration::from_secs(600)));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_unknown_clients_lock_nobody_out() {
    let (secret, entry) = token("ann", Role::Query);
    let config = Config { tokens: vec![entry], ..with_places(8) };
    let served = Served::with(config).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(idle(&served).await);
        // A health check and a client with a token get through, on new connections.
        let mut raw = Raw::to(&served).await;
        raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert_eq!(status(&raw.rest().await), 200);
        let mut raw = Raw::to(&served).await;
        let body = by_key(&["ok"]);
        let length = body.len();
        raw.send(format!(
            "POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
        assert_eq!(status(&raw.rest().await), 200);
    }
    let served = served.holding(&secret);
    assert!(served.metric("frond_http_connections_closed_total", &["displaced"]).await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_used_is_closed_though_it_answers() {
    let mut config = config();
    config.limits.idle_time = Time(Duration::from_millis(200));
    let served = Served::with(config).await;
    let (sender, ended) = idle(&served).await;
    within(ended).await.unwrap();
    assert!(sender.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_no_more_connections_than_it_may() {
    let mut config = with_places(100);
    config.limits.peer_connections = 3;
    let served = Served::with(config).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let stream = served.request(reqwest::Method::GET, "/v1/events").header("accept", "text/event-stream");
        held.push(within(stream.send()).await.unwrap());
    }
    let mut raw = Raw::to(&served).await;
    raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(status(&raw.rest().await), 503);
    drop(held);
    within(async { while send(served.request(reqwest::Method::GET, "/healthz")).await.status != 200 {} }).await;
}
