//! A query as an event stream: its id, its progress, previews, and the answer.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Served, Stream, asking, by_key, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_the_query_and_ends_with_the_answer() {
    let served = Served::new().await;
    let stream = Stream::open(served.query("caller", by_key(&["ok-0", "ok-1", "trap-2"]))).await;
    let id = stream.header("frond-query");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    let told = stream.rest().await;
    assert_eq!(told[0].name, "query");
    assert_eq!(told[0].data, json!({ "query": id, "app": "caller" }));
    let last = told.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["outcome"]), ("answer", &json!("partial")));
    assert_eq!(last.data["answer"]["count"], 2);
    assert_eq!(last.data["coverage"]["query"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_answer_would_be_comes_before_it() {
    let served = Served::new().await;
    let mut stream = Stream::open(served.query("caller", by_key(&["ok-0", "spin-1"]))).await;
    let id = stream.header("frond-query");
    let partial = stream.next_named("partial").await.data;
    assert_eq!((&partial["fraction"], &partial["answer"]["count"]), (&json!(0.5), &json!(1)));
    assert!(partial["at"].as_u64().is_some(), "{partial}");
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    let answer = stream.next_named("answer").await.data;
    assert_eq!(answer["outcome"], "partial");
    assert_eq!(answer["answer"]["count"], 1);
    assert_eq!(stream.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_only_grows() {
    let served = Served::new().await;
    let keys: Vec<_> = (0..40).map(|index| format!("sleep-ms-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let query = asking(&json!({ "fault": "sleep-ms:20" }), &keys);
    let told = Stream::open(served.query("caller", query)).await.rest().await;
    let progress: Vec<&Value> = told.iter().filter(|one| one.name == "progress").map(|one| &one.data).collect();
    assert!(!progress.is_empty(), "{told:?}");
    let settled: Vec<_> = progress.iter().map(|one| one["partitions"]["settled"].as_u64().unwrap()).collect();
    assert!(settled.is_sorted(), "{settled:?}");
    for one in progress {
        assert!(one["partitions"]["running"].as_u64().unwrap() <= 4, "{one}");
        assert!((0.0..=1.0).contains(&one["fraction"].as_f64().unwrap()), "{one}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_what_fails_ends_with_the_account_or_the_problem() {
    let served = Served::new().await;
    let told = Stream::open(served.query("strict", by_key(&["trap-0"]))).await.rest().await;
    let last = told.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["reason"]), ("answer", &json!("below-floor")));
    let told = Stream::open(served.query("strict", "{")).await.rest().await;
    let last = told.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["status"]), ("problem", &json!(422)));
    // A query that is refused at once has no stream.
    let reply = send(served.query("nobody", "").header("accept", "text/event-stream")).await;
    reply.problem(404, "not-found", "nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_does_not_keep_the_query() {
    let served = Served::new().await;
    let keys: Vec<_> = (0..2000).map(|index| format!("ok-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let stream = Stream::open(served.query("caller", by_key(&keys))).await;
    served.idle().await;
    assert_eq!(stream.rest().await.last().unwrap().data["outcome"], "complete");
}
