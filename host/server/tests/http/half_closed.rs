//! Half-closed clients that wait for an answer, and clients that are gone: TCP sends the same FIN.

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{Served, Stream, by_key, config, send, sum, within};
use crate::raw::{Raw, post, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_shuts_its_sending_half_has_its_answer() {
    let served = Served::new().await;
    for (version, keys) in [("1.1", ["ok"]), ("1.1", ["sleep-ms:700"]), ("1.0", ["ok"]), ("1.0", ["sleep-ms:700"])] {
        let mut raw = Raw::to(&served).await;
        raw.send(post("caller/query", &by_key(&keys)).replace("HTTP/1.1", &format!("HTTP/{version}"))).await;
        raw.end().await;
        let reply = raw.rest().await;
        assert!(reply.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{keys:?}: {reply}");
        assert!(reply.ends_with('}') && reply.contains("\"count\":1"), "{reply}");
    }
    let mut raw = Raw::to(&served).await;
    raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    raw.end().await;
    assert!(raw.rest().await.ends_with("\r\n\r\nok\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_asked_on_a_connection_is_answered_before_it_is_closed() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    for keys in [["sleep-ms:200"], ["ok"], ["sleep-ms:201"]] {
        raw.send(post("caller/query", &by_key(&keys))).await;
    }
    raw.end().await;
    let replies = raw.rest().await;
    assert_eq!(replies.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{replies}");
    assert_eq!(replies.matches("\"count\":1").count(), 3, "{replies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_after_that_cancels_its_leaves() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("caller/query", &by_key(&["spin"]))).await;
    raw.end().await;
    served.leaves(1).await;
    assert_eq!(raw.until("H").await, "H");
    drop(raw);
    served.leaves(0).await;
    served.idle().await;
    let ended = served.json("/v1/queries").await;
    assert_eq!(ended["queries"][0]["reason"], "cancelled", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_off_cancels_its_leaves_at_once() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("caller/query", &by_key(&["spin"]))).await;
    served.leaves(1).await;
    raw.reset();
    served.leaves(0).await;
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_after_it_was_told_to_send_its_body_cancels_its_leaves() {
    let served = Served::new().await;
    let body = by_key(&["spin"]);
    let mut raw = Raw::to(&served).await;
    let request = post("caller/query", &body);
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    raw.send(format!("{head}\r\nexpect: 100-continue\r\n\r\n")).await;
    assert!(raw.until("\r\n\r\n").await.starts_with("HTTP/1.1 100 Continue\r\n"));
    raw.send(body).await;
    served.leaves(1).await;
    drop(raw);
    served.leaves(0).await;
    served.idle().await;
}

/// Cancels the running query, which answers with what it has.
async fn cancel(served: &Served) {
    let running = served.json("/v1/queries?outcome=running").await;
    let id = running["queries"][0]["id"].as_str().unwrap();
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_only_bytes_of_the_response() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("caller/query", &by_key(&["ok", "spin"]))).await;
    raw.end().await;
    let mut reply = raw.until("HTT").await;
    cancel(&served).await;
    reply.push_str(&raw.rest().await);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with('}'), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_goes_on_for_a_client_that_only_listens() {
    let served = Served::new().await;
    let query = post("caller/query", &by_key(&["spin", "ok"]));
    let mut raw = Raw::to(&served).await;
    raw.send(query.replace("\r\n\r\n", "\r\naccept: text/event-stream\r\n\r\n")).await;
    raw.end().await;
    raw.until("\r\n:\n\n").await;
    cancel(&served).await;
    let reply = raw.rest().await;
    assert!(reply.contains("event: answer") && reply.ends_with("\r\n0\r\n\r\n"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_end_for_a_client_that_is_gone_and_go_on_for_one_that_listens() {
    let served = Served::new().await;
    let mut gone = Stream::open(served.request(Method::GET, "/v1/events")).await;
    let mut listening = Raw::to(&served).await;
    listening.send("GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n").await;
    listening.end().await;
    listening.until(":\n\n").await;
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    gone.next_named("query").await;
    listening.until("\"complete\"").await;
    let count = async || {
        let mut raw = Raw::to(&served).await;
        raw.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        sum(&raw.rest().await, "frond_http_connections", &[])
    };
    drop((gone, listening));
    // The test's own client and the connection of this request remain.
    within(async { while count().await > 2.0 {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_same_over_tls() {
    let (served, certificate) = crate::tls::secure(config()).await;
    for (key, count) in [("ok", 1), ("sleep-ms:700", 1)] {
        let mut stream = crate::tls::connect(&served, certificate.clone(), b"http/1.1").await;
        stream.write_all(post("caller/query", &by_key(&[key])).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = Vec::new();
        within(stream.read_to_end(&mut reply)).await.unwrap();
        let reply = String::from_utf8(reply).unwrap();
        assert_eq!(status(&reply), 200);
        assert!(reply.contains(&format!("\"count\":{count}")), "{reply}");
    }
}
