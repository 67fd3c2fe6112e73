//! Queries, looked at while they run and afterwards; traces.

use std::time::Duration;

use frond_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{PATIENCE, Server, config, events, query, request, until_event};

#[tokio::test(flavor = "multi_thread")]
async fn a_query_can_be_looked_at_afterwards() {
    let server = Server::start().await;
    let id = server.ask(&["ok-1", "trap-2"], "?floor=0.4&require=ok-1", "").await.header("frond-query").unwrap();
    let detail = server.get(&format!("/v1/queries/{id}")).await.json();
    assert_eq!((&detail["state"], &detail["outcome"]), (&"ended".into(), &"partial".into()));
    assert_eq!((&detail["floor"], &detail["require"][0]), (&"0.4".into(), &"ok-1".into()));
    assert!(detail["query"]["text"].as_str().unwrap().contains("trap-2"));
    assert!(detail["answer"]["text"].as_str().unwrap().contains("\"count\":1"));
    assert_eq!(detail["coverage"]["missing"][0]["slug"], "trap");
    let list = server.get("/v1/queries?app=faulty&outcome=partial").await.json();
    assert_eq!(list["queries"][0]["id"], id.as_str());
    assert_eq!(server.get("/v1/queries?outcome=complete").await.json()["queries"].as_array().unwrap().len(), 0);
    let recording = server.get(&format!("/v1/queries/{id}/events")).await;
    let lines: Vec<frond_root::Event> =
        recording.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(lines.first().unwrap().kind, frond_root::EventKind::QueryStarted { .. }));
    assert!(matches!(lines.last().unwrap().kind, frond_root::EventKind::QueryEnded { .. }));
    let stream = request("GET", &format!("/v1/queries/{id}/events"), "accept: text/event-stream\r\n", "");
    assert_eq!(events(&server.send(&stream).await.text()).len(), lines.len());
    let resumed = "accept: text/event-stream\r\nlast-event-id: 1\r\n";
    let resumed = server.send(&request("GET", &format!("/v1/queries/{id}/events"), resumed, "")).await;
    assert_eq!(events(&resumed.text()).len(), lines.len() - 2);
    for unknown in ["0", "00000000000000000000000000000000", "..", "%2e%2e"] {
        assert_eq!(server.get(&format!("/v1/queries/{unknown}")).await.status, 404, "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_can_be_watched_and_cancelled() {
    let server = Server::start().await;
    let mut news = BufReader::new(TcpStream::connect(server.address).await.unwrap());
    news.get_mut().write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(&query(&["ok-1", "spin-2"], "?deadline=60s", "")).await.unwrap();
    let told = until_event(&mut news, "query").await;
    let told: serde_json::Value = serde_json::from_str(told.strip_prefix("data: ").unwrap()).unwrap();
    let id = told["id"].as_str().unwrap().to_owned();
    let mut live = BufReader::new(TcpStream::connect(server.address).await.unwrap());
    let watch = format!("GET /v1/queries/{id}/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    live.get_mut().write_all(watch.as_bytes()).await.unwrap();
    until_event(&mut live, "attempt-ended").await;
    assert_eq!(server.get("/v1/queries?outcome=running").await.json()["queries"][0]["id"], id.as_str());
    assert_eq!(server.send(&request("DELETE", &format!("/v1/queries/{id}"), "", "")).await.status, 202);
    until_event(&mut live, "query-ended").await;
    let reply = crate::common::read(client).await;
    assert_eq!((reply.status, reply.json()["count"].clone()), (200, 1.into()), "what was there is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_queries_are_bounded() {
    let mut settings = config();
    settings.limits.recent = 3;
    let server = Server::with(settings).await;
    for _ in 0..5 {
        server.ask(&["ok"], "", "").await;
    }
    assert_eq!(server.get("/v1/queries").await.json()["queries"].as_array().unwrap().len(), 3);
    assert_eq!(server.get("/v1/server").await.json()["queries"]["total"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_tells_of_each_step() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let traces = Some(format!("http://{}", collector.local_addr().unwrap()));
    let server = Server::with(Config { traces, ..config() }).await;
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    assert_eq!(server.ask(&["ok-1", "ok-2"], "", parent).await.status, 200);
    let (mut stream, _) = tokio::time::timeout(PATIENCE, collector.accept()).await.unwrap().unwrap();
    let mut sent = Vec::new();
    let mut some = [0; 4096];
    let wanted: [&[u8]; 5] = [b"POST /v1/traces", b"query faulty", b"leaf", b"finish", &[0x0a, 0xf7, 0x65, 0x19]];
    let has = |sent: &[u8], part: &[u8]| sent.windows(part.len()).any(|window| window == part);
    while !wanted.iter().all(|part| has(&sent, part)) {
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut some))
            .await
            .expect("the whole trace")
            .unwrap();
        assert!(read > 0, "the trace ends without all of its spans: {}", String::from_utf8_lossy(&sent));
        sent.extend_from_slice(&some[..read]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}
