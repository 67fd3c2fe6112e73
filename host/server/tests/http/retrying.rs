//! Retries of transient failures: those of jobs continue for minutes.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::{Served, app, apps, asking, config, send, within};

/// A server with an app whose leaves may call this machine.
async fn served(rest: &str) -> Served {
    let folder = apps();
    let grants = "[[grants.http]]\nhost = \"127.0.0.1:*\"\n";
    app(folder.path(), "asks", &format!("[source]\nkind = \"query\"\n[query]\nfloor = \"all\"\n{grants}{rest}"));
    Served::of(folder, config()).await
}

/// A query of `count` leaves that all call this address.
fn leaves(count: usize, address: &str) -> String {
    let keys: Vec<String> = (0..count).map(|number| format!("p{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    asking(&json!({ "fault": format!("http:http://{address}/") }), &keys)
}

/// Answers every request with the next response, until it is aborted.
async fn answer(listener: TcpListener, answers: impl Fn(usize) -> String) {
    for number in 0.. {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(answers(number).as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_port_that_opens_later() {
    let served = served("").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let request = served.request(reqwest::Method::POST, "/v1/apps/asks/jobs");
    let job = send(request.body(leaves(20, &address))).await.expect(202).json();
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let looking = async {
        loop {
            let job = served.json(&path).await;
            assert!(job["finished_unix_ms"].is_null(), "{job}");
            // Every leaf has had more attempts than a query allows.
            if job["attempts"].as_u64() > Some(60) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within(looking).await;
    let opened = TcpListener::bind(&address).await.unwrap();
    let opened = tokio::spawn(answer(opened, |_| FINE.to_owned()));
    let ended = async {
        loop {
            let job = served.json(&format!("{path}?wait=30s")).await;
            if !job["finished_unix_ms"].is_null() {
                return job;
            }
        }
    };
    let job: Value = within(ended).await;
    assert_eq!((&job["state"], &job["partitions"]["done"]), (&json!("succeeded"), &json!(20)), "{job}");
    opened.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_tried_again_as_its_app_says_and_no_sooner_than_it_is_asked_to() {
    // The answer is cut off, so the guest fails as unavailable, but its `retry-after` is respected.
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 9\r\nconnection: close\r\n\r\nbusy";
    for (rest, outcome) in [("", 200), ("[retry]\nattempts = 1\n", 504)] {
        let served = served(rest).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers = tokio::spawn(answer(listener, move |number| if number == 0 { busy } else { FINE }.to_owned()));
        let start = std::time::Instant::now();
        let reply = served.ask("asks", leaves(1, &address)).await.expect(outcome);
        let took = start.elapsed();
        assert!(outcome != 200 || took >= std::time::Duration::from_secs(1), "{took:?}: {}", reply.text());
        answers.abort();
    }
}
