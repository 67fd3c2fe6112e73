//! Shutdown: new queries are refused, running ones are drained, late ones are cut off and named.

use std::time::Duration;

use frond_server::config::Time;
use frond_server::{ConfigError, CutOff, Order, ServeError, Starting};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;

use crate::common::{Served, Stream, apps, by_key, config, within};
use crate::raw::{Raw, status};

/// Waits until the server accepts no connections.
async fn deaf(address: &str) {
    within(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Polls readiness on one connection until the reply contains `word`.
async fn ready(standing: &mut Raw, word: &str) {
    loop {
        standing.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        standing.until("\r\n\r\n").await;
        if standing.until("\n").await == word {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_queries_are_answered_and_new_ones_refused() {
    let served = Served::new().await;
    let mut asked = Stream::open(served.query("caller", by_key(&["ok-0", "spin-1"]))).await;
    let id = asked.header("frond-query");
    asked.next_named("partial").await;
    let mut standing = Raw::to(&served).await;
    ready(&mut standing, "ready\n").await;
    served.order(Order::Stop).await;
    ready(&mut standing, "stopping\n").await;
    standing.send("POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}").await;
    let refused = standing.until("the server is stopping").await + &standing.until("}").await;
    assert_eq!(status(&refused), 503);
    assert!(refused.contains("retry-after: 5"), "{refused}");
    deaf(served.address()).await;
    standing.send(format!("DELETE /v1/queries/{id} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    assert_eq!(status(&standing.until("\r\n\r\n").await), 202);
    assert_eq!(asked.next_named("answer").await.data["answer"]["count"], 1);
    assert_eq!(served.ended().await, CutOff::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_cut_off_answers_with_what_is_there_and_is_named() {
    let mut config = config();
    config.limits.drain = Time(Duration::from_millis(50));
    let served = Served::with(config).await;
    let mut asked = Stream::open(served.query("caller", by_key(&["ok-0", "spin-1"]))).await;
    let id = asked.header("frond-query");
    asked.next_named("partial").await;
    served.order(Order::Stop).await;
    let answer = asked.next_named("answer").await.data;
    assert_eq!((&answer["outcome"], &answer["answer"]["count"]), (&json!("partial"), &json!(1)));
    let cut_off = served.ended().await;
    assert_eq!(cut_off, CutOff { queries: vec![format!("{id} of caller")], connections: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_order_ends_the_wait() {
    let served = Served::new().await;
    let asked = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
    served.leaves(1).await;
    served.order(Order::Stop).await;
    served.order(Order::Quit).await;
    assert_eq!(served.ended().await.queries.len(), 1);
    drop(within(asked).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn quitting_waits_for_nobody() {
    let served = Served::new().await;
    let asked = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
    served.leaves(1).await;
    served.order(Order::Quit).await;
    let cut_off = served.ended().await;
    assert_eq!(cut_off.queries.len(), 1);
    drop(within(asked).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_do_not_keep_it_from_stopping() {
    let served = Served::new().await;
    let news = Stream::open(served.request(Method::GET, "/v1/events")).await;
    let id = served.ask("caller", by_key(&["ok"])).await.query();
    let _events = Stream::open(served.request(Method::GET, &format!("/v1/queries/{id}/events"))).await;
    let mut idle = Raw::to(&served).await;
    idle.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    idle.until("ok\n").await;
    let silent = Raw::to(&served).await;
    served.order(Order::Stop).await;
    news.rest().await;
    idle.rest().await;
    silent.rest().await;
    assert_eq!(served.ended().await, CutOff::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_with_what_to_do() {
    let served = Served::new().await;
    let folder = apps();
    let taken = frond_server::Config { listen: served.address().parse().unwrap(), ..config() };
    let Err(ServeError::Config(ConfigError::Refused(text))) = Starting::new(folder.path(), taken).await else {
        panic!("it started");
    };
    assert!(text.contains(served.address()) && text.contains("another process listens there"), "{text}");
}
