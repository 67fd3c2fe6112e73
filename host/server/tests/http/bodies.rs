//! Bodies of requests: too slow, too large, encoded, incomplete.

use std::time::Duration;

use frond_server::config::{Size, Time};
use reqwest::Method;

use crate::common::{Served, by_key, config, plugin, send};
use crate::raw::{Raw, status};

async fn small() -> Served {
    let mut config = config();
    config.limits.query = Size(1000);
    Served::with(config).await
}

fn post(more: &str) -> String {
    format!("POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\n{more}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_408() {
    let mut config = config();
    config.limits.body_time = Time(Duration::from_millis(100));
    let served = Served::with(config).await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("content-length: 100\r\n")).await;
    raw.send("{\"query\"").await;
    let reply = raw.rest().await;
    assert_eq!(status(&reply), 408);
    assert!(reply.contains("slow-client") && reply.contains("did not arrive within 0.1s"), "{reply}");
    assert_eq!(served.metric("frond_requests_refused_total", &["slow-client"]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_as_too_large_is_413_before_it_comes() {
    let served = small().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("content-length: 1001\r\n")).await;
    let reply = raw.rest().await;
    assert_eq!(status(&reply), 413);
    assert!(reply.contains("larger than the 1000 bytes"), "{reply}");
    // A client that waits for `100 Continue` does not get it.
    let mut raw = Raw::to(&served).await;
    raw.send(post("content-length: 5000000\r\nexpect: 100-continue\r\n")).await;
    assert_eq!(status(&raw.rest().await), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_turns_out_too_large_is_413() {
    let served = small().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("transfer-encoding: chunked\r\n")).await;
    for _ in 0..3 {
        raw.send(format!("190\r\n{}\r\n", "x".repeat(0x190))).await;
    }
    assert_eq!(status(&raw.rest().await), 413);
    assert_eq!(served.metric("frond_requests_refused_total", &["too-large"]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_just_fits_is_taken_in_any_number_of_pieces() {
    let served = small().await;
    let query = by_key(&["ok-0", "ok-1"]);
    let padded = format!("{query}{}", " ".repeat(1000 - query.len()));
    served.ask("caller", padded.clone()).await.expect(200);
    served.ask("caller", format!("{padded} ")).await.problem(413, "too-large", "1000 bytes");
    let mut raw = Raw::to(&served).await;
    raw.send(post("transfer-encoding: chunked\r\nconnection: close\r\n")).await;
    for piece in padded.as_bytes().chunks(7) {
        raw.send(format!("{:x}\r\n", piece.len())).await;
        raw.send(piece).await;
        raw.send("\r\n").await;
    }
    raw.send("0\r\n\r\n").await;
    let reply = raw.rest().await;
    assert_eq!(status(&reply), 200, "{reply}");
    assert!(reply.contains("\"count\":2"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_packed_or_a_form_is_415() {
    let served = Served::new().await;
    for encoding in ["gzip", "br", "zstd", "Gzip", "identity, gzip"] {
        let reply = send(served.query("caller", by_key(&["ok"])).header("content-encoding", encoding)).await;
        reply.problem(415, "unsupported", "encoded");
    }
    let form = send(served.query("caller", "--x").header("content-type", "multipart/form-data; boundary=x")).await;
    form.problem(415, "unsupported", "form");
    send(served.query("caller", by_key(&["ok"])).header("content-encoding", "identity")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_asks_nothing() {
    let served = Served::new().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("content-length: 100\r\n")).await;
    raw.send("{\"query\"").await;
    raw.end().await;
    raw.rest().await;
    let mut raw = Raw::to(&served).await;
    raw.send(post("transfer-encoding: chunked\r\n")).await;
    raw.send("zz\r\n").await;
    raw.rest().await;
    served.until("frond_http_connections", &[], |connections| connections <= 1.0).await;
    assert_eq!(served.metric("frond_queries_begun_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_curl_sent_as_a_form_is_refused_with_the_remedy() {
    let served = Served::new().await;
    let put = |body: Vec<u8>| {
        let form = "application/x-www-form-urlencoded";
        served.request(Method::PUT, "/v1/apps/caller/leaf").header("content-type", form).body(body)
    };
    let component = std::fs::read(plugin("faulty")).unwrap();
    // `curl -d @FILE` removes these bytes.
    let stripped = component.iter().copied().filter(|byte| !matches!(byte, b'\0' | b'\r' | b'\n')).collect();
    send(put(stripped)).await.problem(422, "incompatible", "(send the file with `-T FILE` or `--data-binary @FILE`)");
    // `--data-binary` sends the same media type.
    send(put(component)).await.expect(200);
}
