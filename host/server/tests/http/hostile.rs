//! Random requests: each gets a reply, none with a server error, and the server keeps running.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::common::{Served, by_key};
use crate::raw::{Raw, status};

/// Parts of a URL: known ones and random ones.
fn part() -> impl Strategy<Value = String> {
    let known =
        ["v1", "apps", "caller", "query", "queries", "events", "metrics", "page", "rollback", "leaf", "", "..", "%2f"];
    prop_oneof![
        3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[!-~&&[^ ?#]]{1,30}",
        1 => "(%[0-9a-fA-F]{2}){1,10}",
    ]
}

fn parameter() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&["deadline", "floor", "require", "limit", "outcome", "app", "%", "x"][..]);
    let value = prop_oneof!["[0-9.]{0,25}(ns|us|ms|s|m|h|d|%25)?", "[!-~&&[^ #]]{0,40}", "(%[0-9a-fA-F]{2}){0,10}"];
    (name, value).prop_map(|(name, value)| format!("{name}={value}"))
}

fn header() -> impl Strategy<Value = String> {
    let names = [
        "accept",
        "content-type",
        "content-encoding",
        "authorization",
        "origin",
        "last-event-id",
        "traceparent",
        "if-none-match",
        "expect",
        "x-forwarded-for",
        "cookie",
    ];
    let known = ["application/vnd.frond+json", "text/event-stream", "*/*", "Bearer x", "gzip", "100-continue", "0"];
    let value = prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[ -~]{0,60}"];
    (prop::sample::select(names.to_vec()), value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

fn request() -> impl Strategy<Value = String> {
    let method = prop::sample::select(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"][..]);
    let path = prop::collection::vec(part(), 0..6).prop_map(|parts| format!("/{}", parts.join("/")));
    let ask = Just("/v1/apps/caller/query".to_owned());
    let query = prop::collection::vec(parameter(), 0..4).prop_map(|parts| parts.join("&"));
    let body = prop_oneof![Just(by_key(&["ok"])), "[ -~]{0,100}", Just(String::new())];
    (method, prop_oneof![path, ask], query, prop::collection::vec(header(), 0..4), body).prop_map(
        |(method, path, query, headers, body)| {
            let headers = headers.concat();
            let length = body.len();
            format!(
                "{method} {path}?{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
            )
        },
    )
}

#[test]
fn whatever_is_asked_is_answered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let served = runtime.block_on(Served::new());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&request(), |request| {
        // The stream of changes does not end.
        prop_assume!(!request.contains("/v1/events"));
        let reply = runtime.block_on(async {
            let mut raw = Raw::to(&served).await;
            raw.send(&request).await;
            raw.rest().await
        });
        prop_assert!(!reply.is_empty(), "no reply");
        let status = status(&reply);
        prop_assert!(status < 500 || status == 504, "{}", reply);
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        served.idle().await;
        served.get("/healthz").await.expect(200);
    });
}
