//! Queries and their replies.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::common::{Server, body, events, impatient, query, request};
use frond_server::config::Size;

const ENVELOPE: &str = "accept: application/vnd.frond+json\r\n";
const STREAM: &str = "accept: text/event-stream\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_says_so() {
    let server = Server::start().await;
    let reply = server.ask(&["ok-1", "ok-2", "ok-3"], "", "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type").unwrap(), "application/json");
    assert_eq!(reply.header("frond-complete").unwrap(), "true");
    assert_eq!(reply.header("frond-coverage").unwrap(), "1.0000; 3/3");
    assert_eq!(reply.header("frond-query").unwrap().len(), 32);
    let timing = reply.header("server-timing").unwrap();
    for part in ["plan;dur=", "scatter;dur=", "slowest;dur=", "merge;dur="] {
        assert!(timing.contains(part), "{timing}");
    }
    assert_eq!(reply.json()["count"], 3);
    assert_eq!(reply.header("x-content-type-options").unwrap(), "nosniff");
    assert!(reply.header("access-control-allow-origin").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_says_what_is_missing() {
    let server = Server::start().await;
    let reply = server.ask(&["ok-1", "trap-2"], "?floor=0.4", ENVELOPE).await;
    assert_eq!((reply.status, reply.header("frond-complete").unwrap().as_str()), (200, "false"));
    assert_eq!(reply.header("content-type").unwrap(), "application/vnd.frond+json");
    let envelope = reply.json();
    assert_eq!(envelope["outcome"], "partial");
    assert_eq!(envelope["answer"]["count"], 1);
    assert_eq!(envelope["coverage"]["missing"][0]["key"], "trap-2");
    assert_eq!(envelope["coverage"]["missing"][0]["slug"], "trap");
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_there_is_the_account_and_no_answer() {
    let server = Server::start().await;
    let reply = server.ask(&["ok-1", "trap-2"], "?floor=all", "").await;
    assert_eq!(reply.status, 504, "{reply:?}");
    assert_eq!(reply.header("content-type").unwrap(), "application/problem+json");
    let problem = reply.json();
    assert_eq!((&problem["slug"], &problem["reason"]), (&"trap".into(), &"below-floor".into()));
    assert_eq!(problem["coverage"]["partitions"]["failed"], 1);
    let reply = server.ask(&["spin-1"], "?deadline=100ms", "").await;
    assert_eq!((reply.status, &reply.json()["reason"]), (504, &"deadline".into()));
    let reply = server.ask(&["ok-1", "trap-2"], "?require=trap-2", "").await;
    assert_eq!((reply.status, &reply.json()["reason"]), (504, &"below-floor".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_fault_is_told_apart() {
    let server = Server::start().await;
    let reply = server.ask(&["invalid-query"], "", "").await;
    assert_eq!((reply.status, &reply.json()["slug"]), (422, &"invalid-query".into()));
    let reply = server.send(&request("POST", "/v1/apps/faulty/query", "", "no JSON")).await;
    assert_eq!((reply.status, &reply.json()["slug"]), (422, &"invalid-query".into()));
    let merge = "{\"query\":{\"merge-fault\":\"trap\"},\"partitions\":[{\"key\":\"ok-1\",\"data\":\"\"},{\"key\":\"ok-2\",\"data\":\"\"}]}";
    let reply = server.send(&request("POST", "/v1/apps/faulty/query", "", merge)).await;
    assert_eq!((reply.status, &reply.json()["reason"]), (502, &"merge".into()), "{reply:?}");
    let reply = server.ask(&["ok-1"], "?require=nobody", "").await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.json()["detail"].as_str().unwrap().contains("nobody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_wrong_are_told_what_to_do() {
    let server = Server::start().await;
    for (promises, word) in [
        ("?deadlin=1s", "there are deadline, floor and require"),
        ("?deadline=0s", "no query can be answered in no time"),
        ("?deadline=soon", "`deadline=soon`"),
        ("?deadline=1s&deadline=2s", "given twice"),
        ("?deadline=100h", "the longest that this server allows"),
        ("?floor=1.5", "a share above 0"),
        ("?floor=nan", "a share above 0"),
    ] {
        let reply = server.ask(&["ok"], promises, "").await;
        assert_eq!(reply.status, 400, "{promises}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(word), "{promises}: {}", reply.text());
    }
    let reply = server.send(&request("POST", "/v1/apps/nobody/query", "", "")).await;
    assert_eq!((reply.status, &reply.json()["slug"]), (404, &"not-found".into()));
    assert_eq!(server.get("/v1/apps/faulty/query").await.status, 405);
    assert_eq!(server.get("/v2").await.status, 404);
    assert_eq!(server.ask(&["ok"], "", "content-encoding: gzip\r\n").await.status, 415);
    assert_eq!(server.ask(&["ok"], "", "content-type: multipart/form-data; boundary=x\r\n").await.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_in_size_and_time() {
    let mut settings = impatient();
    settings.limits.query = Size(1000);
    let server = Server::with(settings).await;
    let large = " ".repeat(1001);
    assert_eq!(server.send(&request("POST", "/v1/apps/faulty/query", "", &large)).await.status, 413);
    let chunked = format!(
        "POST /v1/apps/faulty/query HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{large}\r\n0\r\n\r\n"
    );
    assert_eq!(server.send(chunked.as_bytes()).await.status, 413);
    let slow =
        b"POST /v1/apps/faulty/query HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{";
    assert_eq!(server.send(slow).await.status, 408);
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(b"POST /v1/apps/faulty/query HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    // It is cut off: with a reply or without one.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut rest).await;
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    assert_eq!(server.send(long.as_bytes()).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_progress_then_the_answer() {
    let server = Server::start().await;
    let reply = server.ask(&["ok-1", "ok-2", "sleep-ms:700", "trap-1"], "?floor=0.5&deadline=20s", STREAM).await;
    assert_eq!((reply.status, reply.header("content-type").unwrap().as_str()), (200, "text/event-stream"));
    let told = events(&reply.text());
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"query"), Some(&"answer")), "{names:?}");
    assert!(names.contains(&"progress"), "{names:?}");
    let so_far: Vec<_> =
        told.iter().filter(|(name, _)| name == "partial").map(|(_, data)| data["answer"]["count"].clone()).collect();
    assert!(so_far.iter().all(|count| count.as_u64().is_some_and(|count| count <= 3)), "{so_far:?}");
    assert_eq!(told[0].1["query"].as_str(), reply.header("frond-query").as_deref());
    let last = &told.last().unwrap().1;
    assert_eq!((&last["outcome"], &last["answer"]["count"]), (&"partial".into(), &3.into()), "{last}");
    let refused = server.ask(&["ok-1"], "?require=nobody", STREAM).await;
    assert_eq!(events(&refused.text()).last().unwrap().0, "problem");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_its_leaves() {
    let server = Server::start().await;
    for headers in ["", STREAM] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&query(&["spin-1", "spin-2"], "?deadline=60s", headers)).await.unwrap();
        server.until("frond_leaves_running", 2.0).await;
        drop(stream);
        server.until("frond_leaves_running", 0.0).await;
    }
    server.until("frond_queries_running", 0.0).await;
    assert_eq!(server.metric("frond_queries_total{app=\"faulty\",outcome=\"failed\",reason=\"cancelled\"}").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_accounted_for() {
    let server = Server::start().await;
    let mut asked = 0;
    for keys in [&["ok"][..], &["trap"], &["invalid-query"], &["ok-1", "panic"], &["unavailable"], &["huge-output"]] {
        for promises in ["", "?floor=all", "?deadline=300ms"] {
            server.ask(keys, promises, "").await;
            asked += 1;
        }
    }
    server.until("frond_queries_running", 0.0).await;
    assert_eq!(server.sum("frond_queries_begun_total").await, f64::from(asked));
    assert_eq!(server.sum("frond_queries_total").await, f64::from(asked));
    assert!(server.sum("frond_leaves_total").await >= f64::from(asked));
    assert!(server.get("/metrics").await.text().ends_with("# EOF\n"));
    let bad = server.send(&request("POST", "/v1/apps/faulty/query?floor=9", "", &body(&["ok"]))).await;
    assert_eq!(bad.status, 400);
    assert_eq!(server.metric("frond_requests_refused_total{kind=\"bad-request\"}").await, 1.0);
}
