//! Recent queries: lists, details, recorded and live events, cancellation, bounds.

use frond_root::{Event, EventKind};
use frond_server::config::Size;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Served, Stream, StreamEvent, asking, by_key, config, send, whole, within};

/// The lines of a recording, as events.
fn events(text: &str) -> Vec<Event> {
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn ids(list: &Value) -> Vec<String> {
    list["queries"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_listed_newest_first() {
    let served = Served::new().await;
    let mut asked = Vec::new();
    for (app, keys) in [("caller", "ok-0"), ("strict", "trap-0"), ("caller", "ok-1"), ("strict", "ok-2")] {
        asked.insert(0, served.ask(app, by_key(&[keys])).await.query());
    }
    let list = served.json("/v1/queries").await;
    assert_eq!(ids(&list), asked);
    let failed = &list["queries"][2];
    assert_eq!((&failed["outcome"], &failed["reason"]), (&json!("failed"), &json!("below-floor")));
    assert_eq!((&failed["state"], &failed["app"], &failed["version"]), (&json!("ended"), &json!("strict"), &json!(1)));
    assert_eq!(failed["partitions"], json!({ "planned": 1, "settled": 1, "running": 0, "missing": 1 }));
    assert!(failed["took_ms"].as_f64().unwrap() >= 0.0 && failed["events"].as_u64().unwrap() > 3, "{failed}");

    assert_eq!(ids(&served.json("/v1/queries?limit=2").await), asked[..2]);
    assert_eq!(ids(&served.json("/v1/queries?app=strict").await), [asked[0].clone(), asked[2].clone()]);
    assert_eq!(ids(&served.json("/v1/queries?outcome=failed").await), [asked[2].clone()]);
    assert_eq!(ids(&served.json("/v1/queries?app=caller&outcome=complete&limit=1").await), [asked[1].clone()]);
    assert!(ids(&served.json("/v1/queries?app=nobody").await).is_empty());
    for wrong in
        ["limit=-1", "limit=0", "limit=1001", "limit=x", "outcome=great", "page=2", "app=a&app=b", "limit=1&limit=2"]
    {
        served.get(&format!("/v1/queries?{wrong}")).await.problem(400, "bad-request", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_can_be_looked_at_while_it_runs_and_after() {
    let served = Served::new().await;
    let body = by_key(&["ok-0", "spin-1"]);
    let mut stream = Stream::open(served.query("caller?require=ok-0&floor=0.1&deadline=20s", body.clone())).await;
    let id = stream.header("frond-query");
    stream.next_named("partial").await;
    let detail = served.json(&format!("/v1/queries/{id}")).await;
    assert_eq!((&detail["state"], &detail["outcome"]), (&json!("running"), &Value::Null));
    assert_eq!(detail["partitions"], json!({ "planned": 2, "settled": 1, "running": 1, "missing": 0 }));
    assert_eq!((&detail["coverage"], &detail["answer"]), (&Value::Null, &Value::Null));
    assert_eq!(detail["query"], json!({ "text": body, "bytes": body.len(), "cut": false }));
    assert_eq!((&detail["floor"], &detail["require"]), (&json!("0.1"), &json!(["ok-0"])));
    assert_eq!((&detail["deadline_ms"], &detail["fraction"]), (&json!(20_000.0), &json!(0.5)));
    let running = served.json("/v1/queries?outcome=running").await;
    assert_eq!(ids(&running), std::slice::from_ref(&id));

    let cancelled = send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    assert_eq!(cancelled.json(), json!({ "id": id }));
    stream.next_named("answer").await;
    let detail = served.json(&format!("/v1/queries/{id}")).await;
    assert_eq!((&detail["state"], &detail["outcome"]), (&json!("ended"), &json!("partial")));
    assert_eq!(detail["coverage"]["partitions"]["cancelled"], 1);
    assert!(detail["answer"]["text"].as_str().unwrap().contains("\"count\":1"), "{detail}");
    // Cancelling an ended query changes nothing.
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    assert_eq!(served.json(&format!("/v1/queries/{id}")).await["outcome"], "partial");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_answers_with_what_is_there() {
    let served = Served::new().await;
    let asked = tokio::spawn(served.query("caller", by_key(&["ok-0", "ok-1", "spin-2"])).send());
    let settled = |list: &Value| list["queries"][0]["partitions"]["settled"] == 2;
    let list = within(async {
        loop {
            let list = served.json("/v1/queries").await;
            if settled(&list) {
                return list;
            }
        }
    });
    let id = ids(&list.await).remove(0);
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    let reply = whole(asked.await.unwrap().unwrap()).await.expect(200);
    assert_eq!((reply.header("frond-complete"), &reply.json()["count"]), ("false", &json!(2)));
    assert_eq!(reply.query(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_are_shown_up_to_a_limit() {
    let served = Served::new().await;
    // A character of three bytes is cut in two at 64 KiB.
    let body = format!("{}{}", by_key(&["ok"]), " ".repeat(65_535 - by_key(&["ok"]).len()));
    let padding = json!({ "padding": "€".repeat(40_000) });
    let long = asking(&padding, &["ok"]);
    for (body, cut) in [(body, false), (long, true)] {
        let id = served.ask("caller", body.clone()).await.expect(200).query();
        let shown = served.json(&format!("/v1/queries/{id}")).await["query"].clone();
        assert_eq!((&shown["bytes"], &shown["cut"]), (&json!(body.len()), &json!(cut)));
        let text = shown["text"].as_str().unwrap();
        assert!(body.starts_with(text) && text.len() > 65_000, "{}", text.len());
    }
    let id = served.ask("caller", vec![0xff, 0xfe]).await.expect(422).query();
    let shown = served.json(&format!("/v1/queries/{id}")).await["query"].clone();
    assert_eq!(shown, json!({ "base64": "//4=", "bytes": 2, "cut": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_a_recording() {
    let served = Served::new().await;
    let id = served.ask("caller", by_key(&["ok-0", "ok-1", "panic-2"])).await.expect(200).query();
    let reply = served.get(&format!("/v1/queries/{id}/events")).await.expect(200);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let read = events(&reply.text());
    assert!(
        matches!(&read[0].kind, EventKind::QueryStarted { query, app, .. } if query.to_string() == id && app == "caller")
    );
    let EventKind::QueryEnded { coverage, .. } = &read.last().unwrap().kind else { panic!("{:?}", read.last()) };
    assert_eq!(coverage.partitions.succeeded, 2);
    let of = |wanted: fn(&EventKind) -> bool| read.iter().filter(|event| wanted(&event.kind)).count();
    assert_eq!(of(|kind| matches!(kind, EventKind::AttemptStarted { .. })), 3);
    assert_eq!(of(|kind| matches!(kind, EventKind::AttemptEnded { .. })), 3);
    // A stream has the same events, each with its number.
    let streamed = Stream::open(served.request(Method::GET, &format!("/v1/queries/{id}/events"))).await.rest().await;
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(streamed.iter().map(|one| one.data.clone()).collect::<Vec<_>>(), lines);
    assert_eq!(streamed.iter().map(|one| one.id.unwrap()).collect::<Vec<_>>(), Vec::from_iter(0..lines.len() as u64));
    assert!(streamed.iter().all(|one| one.data["event"] == one.name.as_str()), "{streamed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_is_live_and_goes_on_where_it_was_left() {
    let served = Served::new().await;
    let mut asked = Stream::open(served.query("caller", by_key(&["ok-0", "spin-1"]))).await;
    let id = asked.header("frond-query");
    let path = format!("/v1/queries/{id}/events");
    let mut first = Stream::open(served.request(Method::GET, &path)).await;
    let ended = first.next_named("attempt-ended").await;
    drop(first);
    let resume = |last: &str| served.request(Method::GET, &path).header("last-event-id", last);
    let second = Stream::open(resume(&ended.id.unwrap().to_string())).await;
    let third = Stream::open(resume("1000000")).await;
    let so_far = served.get(&path).await.expect(200).text();
    assert!(!so_far.contains("query-ended"), "{so_far}");
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    asked.next_named("answer").await;
    let rest = second.rest().await;
    assert_eq!(rest[0].id, Some(ended.id.unwrap() + 1));
    assert_eq!(rest.last().unwrap().name, "query-ended");
    assert!(third.rest().await.is_empty());
    // An invalid number starts from the beginning.
    assert_eq!(Stream::open(resume("then")).await.rest().await[0].id, Some(0));
    send(resume(&usize::MAX.to_string()).header("accept", crate::common::EVENTS)).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_watchers_see_the_same() {
    let served = Served::new().await;
    let mut asked = Stream::open(served.query("caller", by_key(&["ok-0", "spin-1"]))).await;
    let id = asked.header("frond-query");
    asked.next_named("partial").await;
    let watch = || Stream::open(served.request(Method::GET, &format!("/v1/queries/{id}/events")));
    let mut watchers = Vec::new();
    for _ in 0..100 {
        watchers.push(tokio::spawn(watch().await.rest()));
    }
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    let mut seen: Vec<Vec<StreamEvent>> = Vec::new();
    for watcher in watchers {
        seen.push(within(watcher).await.unwrap());
    }
    assert!(seen.iter().all(|told| *told == seen[0] && told.last().unwrap().name == "query-ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_queries_are_bounded_in_number() {
    let mut config = config();
    config.limits.recent = 3;
    let served = Served::with(config).await;
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.insert(0, served.ask("caller", by_key(&["ok"])).await.query());
    }
    let list = served.json("/v1/queries").await;
    assert_eq!(ids(&list), asked[..3]);
    served.get(&format!("/v1/queries/{}", asked[3])).await.problem(404, "not-found", "no longer");
    assert_eq!(served.json("/v1/server").await["queries"], json!({ "running": 0, "total": 6 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_queries_are_bounded_in_memory() {
    let mut config = config();
    config.limits.recent_memory = Size(300 << 10);
    let served = Served::with(config).await;
    // Queries and answers count as well as events.
    let long = asking(&json!({ "padding": "x".repeat(60 << 10) }), &["ok"]);
    for _ in 0..20 {
        served.ask("caller", long.clone()).await.expect(200);
        served.until("frond_recent_bytes", &[], |bytes| bytes <= f64::from(300 << 10)).await;
    }
    let kept = ids(&served.json("/v1/queries").await).len();
    assert!((1..=4).contains(&kept), "{kept}");
    // A query with more events than are kept reports how many are missing.
    let keys: Vec<_> = (0..5000).map(|index| format!("ok-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let mut stream = Stream::open(served.query("caller", by_key(&[keys.as_slice(), &["spin"]].concat()))).await;
    let id = stream.header("frond-query");
    served.until("frond_leaves_total", &["slug=\"ok\""], |ended| ended == 5020.0).await;
    let watching = Stream::open(served.request(Method::GET, &format!("/v1/queries/{id}/events"))).await;
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    assert_eq!(stream.next_named("answer").await.data["answer"]["count"], 5000);
    let told = watching.rest().await;
    let missed = told.last().unwrap();
    assert_eq!(missed.name, "missed");
    let kept = told.len() - 1;
    let count = missed.data["count"].as_u64().unwrap();
    assert!(count > 5000 && told[kept - 1].name == "query-ended", "{kept} and {count}");
    served.until("frond_recent_bytes", &[], |bytes| bytes <= f64::from(300 << 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_still_read_evicts_no_others() {
    let mut config = config();
    config.limits.recent_memory = Size(200 << 10);
    let served = Served::with(config).await;
    let keys: Vec<_> = (0..1500).map(|index| format!("ok-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let large = served.query("caller", by_key(&[keys.as_slice(), &["spin"]].concat()));
    let asked = Stream::open(large).await;
    let id = asked.header("frond-query");
    served.until("frond_leaves_running", &[], |running| running == 1.0).await;
    let reading = Stream::open(served.request(Method::GET, &format!("/v1/queries/{id}/events"))).await;
    drop(asked);
    served.idle().await;
    for _ in 0..3 {
        served.ask("caller", by_key(&["ok"])).await.expect(200);
    }
    assert!(ids(&served.json("/v1/queries").await).len() >= 3);
    assert!(reading.rest().await.iter().any(|told| told.name == "query-ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_tell_of_queries_as_they_begin_and_end() {
    let served = Served::new().await;
    let mut news = Stream::open(served.request(Method::GET, "/v1/events")).await;
    let mut asked = Stream::open(served.query("caller", by_key(&["ok-0", "spin-1"]))).await;
    let id = asked.header("frond-query");
    let begun = news.next_named("query").await.data;
    assert_eq!((&begun["id"], &begun["state"]), (&json!(id), &json!("running")));
    // A running query is sent repeatedly.
    assert_eq!(news.next_named("query").await.data["id"], id);
    send(served.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    asked.next_named("answer").await;
    let ended = within(async {
        loop {
            let told = news.next_named("query").await.data;
            if told["state"] == "ended" {
                return told;
            }
        }
    });
    let ended = ended.await;
    assert_eq!((&ended["id"], &ended["outcome"]), (&json!(id), &json!("partial")));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_are_too_many_are_counted() {
    let served = Served::new().await;
    let mut news = Stream::open(served.request(Method::GET, "/v1/events")).await;
    let total = 300;
    for _ in 0..total {
        served.ask("caller", by_key(&["ok"])).await.expect(200);
    }
    let mut ended = std::collections::BTreeSet::new();
    let mut missed = 0;
    within(async {
        while ended.len() as u64 + missed < total {
            match news.next().await.unwrap() {
                told if told.name == "missed" => missed += told.data["count"].as_u64().unwrap(),
                told if told.data["state"] == "ended" => {
                    ended.insert(told.data["id"].as_str().unwrap().to_owned());
                }
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(ended.len() as u64 + missed, total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reloaded_app_is_told_of() {
    let served = Served::new().await;
    let mut news = Stream::open(served.request(Method::GET, "/v1/events")).await;
    crate::common::app(served.folder.path(), "late", "[source]\nkind = \"query\"\n");
    served.order(frond_server::Order::Reload(Box::new(config()))).await;
    let told = within(async {
        loop {
            let told = news.next_named("app").await.data;
            if told["name"] == "late" && told["health"] == "serving" {
                return told;
            }
        }
    });
    assert_eq!(told.await["queries"]["total"], 0);
    served.ask("late", by_key(&["ok"])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_the_last_event_gets_204() {
    let served = Served::new().await;
    let id = served.ask("caller", by_key(&["ok-0"])).await.expect(200).query();
    let path = format!("/v1/queries/{id}/events");
    let told = Stream::open(served.request(Method::GET, &path)).await.rest().await;
    let last = told.last().unwrap().id.unwrap();
    // A browser reconnects every few seconds with the number of the last event, until it gets this
    // status.
    let again = |known: u64| {
        let request = served.request(Method::GET, &path).header("last-event-id", known.to_string());
        send(request.header("accept", crate::common::EVENTS))
    };
    for known in [last, last + 1, u64::MAX] {
        assert_eq!(again(known).await.expect(204).text(), "");
    }
    assert!(again(last - 1).await.expect(200).text().contains("query-ended"));
    // A running query may have more events.
    let mut stream = Stream::open(served.query("caller", by_key(&["spin"]))).await;
    let id = stream.header("frond-query");
    stream.next_named("query").await;
    let request = served.request(Method::GET, &format!("/v1/queries/{id}/events"));
    let mut follower = Stream::open(request.header("last-event-id", "1000")).await;
    drop(stream);
    assert_eq!(follower.next().await, None);
}
