//! Answers of queries: forms, headers, and the status of every outcome.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{ENVELOPE, Reply, Served, Stream, app, apps, asking, by_key, config, send};

/// Checks that the counts of the coverage's partitions add up.
fn closed(coverage: &Value) {
    let tally = coverage["partitions"].as_object().unwrap();
    let count = |name: &str| tally[name].as_u64().unwrap();
    let parts = ["skipped", "succeeded", "degraded", "failed", "timed_out", "cancelled", "not_started"];
    assert_eq!(count("planned"), parts.into_iter().map(count).sum::<u64>(), "{tally:?}");
}

/// Durations of `Server-Timing`, by name.
fn timings(reply: &Reply) -> Vec<(String, f64)> {
    let one = |metric: &str| {
        let mut parts = metric.trim().split(';');
        let name = parts.next().unwrap().to_owned();
        let duration = parts.find_map(|part| part.strip_prefix("dur=")).unwrap();
        (name, duration.parse().unwrap())
    };
    reply.header("server-timing").split(',').map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_is_the_apps_own_bytes() {
    let served = Served::new().await;
    let reply = served.ask("caller", by_key(&["ok-0", "ok-1"])).await.expect(200);
    assert_eq!(reply.json()["count"], 2);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("frond-complete"), "true");
    assert_eq!(reply.header("frond-coverage"), "1.0000; 2/2");
    assert_eq!(reply.query().len(), 32);
    let names: Vec<_> = timings(&reply).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["plan", "scatter", "slowest", "merge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_is_200_and_says_so() {
    let served = Served::new().await;
    let reply = served.ask("caller", by_key(&["ok-0", "ok-1", "ok-2", "trap-3"])).await.expect(200);
    assert_eq!(reply.json()["count"], 3);
    assert_eq!(reply.header("frond-complete"), "false");
    assert_eq!(reply.header("frond-coverage"), "0.7500; 3/4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coverage_is_1_only_when_nothing_is_missing() {
    let served = Served::new().await;
    let heavy = json!({ "key": "ok-0", "data": "", "weight": 10_000_000_000_000_u64 });
    let query = json!({ "query": {}, "partitions": [heavy, { "key": "trap-1", "data": "", "weight": 1 }] });
    let reply = served.ask("caller", query.to_string()).await.expect(200);
    assert_eq!(reply.header("frond-complete"), "false");
    assert_eq!(reply.header("frond-coverage"), "0.9999; 1/2");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_its_escapes_would_multiply_is_told_in_base64() {
    let folder = apps();
    let manifest = folder.path().join("caller/frond.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("application/json", "text/plain")).unwrap();
    let served = Served::of(folder, config()).await;
    for (text, expect) in [("a\tb\n", json!("a\tb\n")), ("\u{1}\u{2}\u{3}", json!({ "base64": "AQID" }))] {
        let query = asking(&json!({ "finish-fault": format!("text:{text}") }), &["ok"]);
        let whole = send(served.query("caller", query.clone()).header("accept", ENVELOPE)).await.expect(200);
        assert_eq!(whole.json()["answer"], expect);
        let told = Stream::open(served.query("caller", query.clone())).await.rest().await;
        assert_eq!(told.last().unwrap().data["answer"], expect);
        assert_eq!(served.ask("caller", query).await.expect(200).text(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_on_inputs_are_counted_in_a_header_and_told_in_the_envelope() {
    let folder = apps();
    let source = "[source]\nkind = \"files\"\nglob = \"read-source-*\"\n";
    app(folder.path(), "files", &format!("{source}[query]\ndeadline = \"30s\"\nfloor = \"best-effort\"\n"));
    std::fs::write(folder.path().join("files/read-source-0"), b"\x1f\x8b\x08rest").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("files/read-source-1")).unwrap();
    let served = Served::of(folder, config()).await;
    let reply = send(served.query("files", "{}").header("accept", ENVELOPE)).await.expect(200);
    assert_eq!(reply.header("frond-notes"), "1");
    let coverage = &reply.json()["coverage"];
    assert!(coverage["notes"][0].as_str().unwrap().contains("compressed (gzip)"), "{coverage}");
    // An unreadable file makes a missing partition; the rest is answered.
    assert!(coverage["missing"][0]["failure"]["message"].as_str().unwrap().contains("cannot read"), "{coverage}");
    closed(coverage);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_envelope_has_the_whole_account() {
    let served = Served::new().await;
    let ask = |app, keys| send(served.query(app, by_key(keys)).header("accept", ENVELOPE));
    let whole = ask("caller", &["ok-0"]).await.expect(200);
    assert_eq!(whole.header("content-type"), ENVELOPE);
    let whole = whole.json();
    assert_eq!((&whole["version"], &whole["outcome"]), (&json!(1), &json!("complete")));
    assert_eq!(whole["answer"]["count"], 1);
    closed(&whole["coverage"]);

    let partial = ask("caller", &["ok-0", "panic-1"]).await.expect(200);
    assert_eq!(partial.header("frond-complete"), "false");
    let partial = partial.json();
    assert_eq!(partial["outcome"], "partial");
    assert_eq!(partial["coverage"]["missing"][0]["key"], "panic-1");
    assert_eq!(partial["coverage"]["missing"][0]["slug"], "trap");
    closed(&partial["coverage"]);

    let failed = ask("strict", &["ok-0", "panic-1"]).await.expect(504);
    assert_eq!(failed.header("content-type"), ENVELOPE);
    let failed = failed.json();
    assert_eq!((&failed["outcome"], &failed["reason"]), (&json!("failed"), &json!("below-floor")));
    assert_eq!(failed["answer"], Value::Null);
    closed(&failed["coverage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_envelope_is_chosen_among_other_types() {
    let served = Served::new().await;
    for accept in ["text/html, application/vnd.frond+json, */*;q=0.9", "Application/Vnd.Frond+JSON"] {
        let reply = send(served.query("caller", by_key(&["ok"])).header("accept", accept)).await;
        assert_eq!(reply.expect(200).header("content-type"), ENVELOPE, "{accept}");
    }
    // The plain answer is chosen if it is preferred, or equal to a stream.
    for accept in [
        "application/json",
        "application/json, text/event-stream",
        "text/event-stream, application/json",
        "application/vnd.frond+json;q=0.5, */*",
    ] {
        let reply = send(served.query("caller", by_key(&["ok"])).header("accept", accept)).await;
        assert_eq!(reply.expect(200).header("content-type"), "application/json", "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_is_504_with_the_account_of_it() {
    let served = Served::new().await;
    let reply = served.ask("strict", by_key(&["ok-0", "trap-1"])).await;
    assert_eq!(reply.header("frond-complete"), "false");
    let id = reply.query();
    let problem = reply.problem(504, "trap", "too little arrived");
    assert_eq!((&problem["query"], &problem["reason"]), (&json!(id), &json!("below-floor")));
    closed(&problem["coverage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_before_the_deadline_is_504() {
    let served = Served::new().await;
    let reply = served.ask("caller?deadline=100ms", by_key(&["spin-0", "sleep-1"])).await;
    assert_eq!(reply.header("frond-coverage"), "0.0000; 0/2");
    let problem = reply.problem(504, "out-of-time", "nothing arrived");
    assert_eq!(problem["reason"], "deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_in_the_address_stand_in_for_the_apps() {
    let served = Served::new().await;
    let body = || by_key(&["ok-0", "ok-1", "ok-2", "trap-3"]);
    served.ask("strict?floor=75%25", body()).await.expect(200);
    served.ask("strict?floor=best-effort", body()).await.expect(200);
    served.ask("caller?floor=all", body()).await.expect(504);
    served.ask("caller?floor=0.8", body()).await.expect(504);
    served.ask("caller?require=ok-0&require=ok-1", body()).await.expect(200);
    served.ask("caller?require=trap-3", body()).await.expect(504);
    let reply = served.ask("caller?require=elsewhere", body()).await;
    reply.problem(400, "bad-request", "elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_or_the_source_refuses_is_422() {
    let served = Served::new().await;
    let reply = served.ask("caller", by_key(&["invalid-query-0"])).await;
    let problem = reply.problem(422, "invalid-query", "as the query asked");
    assert_eq!(problem["reason"], "invalid-query");
    served.ask("caller", "{").await.problem(422, "invalid-query", "this app takes");
    served.ask("caller", "").await.problem(422, "invalid-query", "");
    served.ask("caller", vec![0xff, 0xfe]).await.problem(422, "invalid-query", "not UTF-8");
    served.ask("caller", by_key(&["same", "same"])).await.problem(422, "invalid-query", "same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_or_split_at_fault_is_502() {
    let served = Served::new().await;
    for fault in ["merge-fault", "finish-fault"] {
        for (way, slug) in [("trap", "trap"), ("panic", "trap"), ("exit", "trap"), ("recurse", "trap")] {
            let mut query = json!({});
            query[fault] = json!(way);
            let reply = served.ask("caller", asking(&query, &["ok-0", "ok-1", "ok-2"])).await;
            let problem = reply.problem(502, slug, "the merge failed");
            assert_eq!(problem["reason"], "merge", "{fault} {way}");
            closed(&problem["coverage"]);
        }
    }
    let reply = served.ask("split", r#"{"split-fault":"trap"}"#).await;
    assert_eq!(reply.problem(502, "trap", "the split failed")["reason"], "split");
    served.ask("split", r#"{"split":["ok-0","ok-1"]}"#).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_wrong_are_400_and_say_why() {
    let served = Served::new().await;
    for (parameters, text) in [
        ("deadline=soon", "`deadline=soon`: `soon` is not a duration"),
        ("deadline=", "`deadline=`"),
        ("deadline=0s", "must be above 0"),
        ("deadline=1h", "the longest that this server allows is 600s"),
        ("deadline=600s", "`deadline` is 600s: the longest that this app allows is 60s"),
        ("deadline=60.001s", "the longest that this app allows is 60s"),
        ("deadline=1s&deadline=2s", "given twice"),
        ("floor=2", "`floor=2`"),
        ("floor=nan", "`floor=nan`"),
        ("floor=-1", "`floor=-1`"),
        ("deadlin=1s", "there is no parameter `deadlin`"),
        ("%00=1", "there is no parameter"),
    ] {
        let reply = served.ask(&format!("caller?{parameters}"), by_key(&["ok"])).await;
        reply.problem(400, "bad-request", text);
    }
    let many = "&require=ok".repeat(1001);
    served.ask(&format!("caller?{}", &many[1..]), by_key(&["ok"])).await.problem(400, "bad-request", "more than 1000");
    assert_eq!(served.metric("frond_queries_begun_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_are_404() {
    let served = Served::new().await;
    served.ask("nobody", "").await.problem(404, "not-found", "there is no app `nobody`");
    let long = "n".repeat(5000);
    let detail = served.ask(&long, "").await.problem(404, "not-found", "there is no app")["detail"].to_string();
    assert!(detail.len() < 300, "{detail}");
    for path in ["/v1", "/v1/", "/v1/apps/caller/", "/v1/apps/caller/query/", "/V1/apps", "//v1/apps", "/page/none.js"]
    {
        served.get(path).await.expect(404).problem(404, "not-found", "");
    }
    for id in ["0", "x", &"0".repeat(32), &"f".repeat(32), &"z".repeat(32), &format!("+{}", "0".repeat(31))] {
        served.get(&format!("/v1/queries/{id}")).await.problem(404, "not-found", "not known");
        served.get(&format!("/v1/queries/{id}/events")).await.problem(404, "not-found", "not known");
    }
    for path in ["/v1/apps/%ff", "/v1/queries/%ff", "/v1/queries/%ff/events"] {
        served.get(path).await.problem(404, "not-found", "");
    }
    served.ask("%ff", "").await.problem(404, "not-found", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_405_with_the_allowed_ones() {
    let served = Served::new().await;
    for (method, path, allowed) in [
        (Method::GET, "/v1/apps/caller/query", "POST"),
        (Method::DELETE, "/v1/apps/caller/query", "POST"),
        (Method::POST, "/v1/queries", "GET,HEAD"),
        (Method::PUT, "/metrics", "GET,HEAD"),
        (Method::PATCH, "/v1/apps/caller", "GET,HEAD"),
        (Method::POST, "/", "GET,HEAD"),
        (Method::TRACE, "/healthz", "GET,HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/healthz", "GET,HEAD"),
    ] {
        let reply = send(served.request(method.clone(), path)).await;
        assert_eq!(reply.header("allow"), allowed, "{method} {path}");
        reply.problem(405, "not-allowed", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_no_body() {
    let served = Served::new().await;
    for path in ["/healthz", "/v1/apps", "/v1/events", "/", "/nowhere"] {
        let reply = send(served.request(Method::HEAD, path)).await;
        assert_eq!((reply.status == 200, reply.body.len()), (path != "/nowhere", 0), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_answered_in_time_is_503_at_once() {
    let mut config = config();
    config.limits.queries = 1;
    let served = Served::with(config).await;
    let running = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
    served.leaves(1).await;
    let reply = served.ask("caller", by_key(&["ok"])).await;
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    reply.problem(503, "overloaded", "too many queries to answer in time");
    running.abort();
    served.idle().await;
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    assert_eq!(served.metric("frond_requests_refused_total", &["overloaded"]).await, 1.0);
    assert_eq!(served.metric("frond_queries_not_admitted_total", &["kind=\"places\""]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_queries_of_one_app_sleep_another_app_answers() {
    let folder = apps();
    app(folder.path(), "quiet", "[source]\nkind = \"query\"\n");
    let mut config = config();
    (config.slots, config.waiting) = (2, 0);
    config.limits.queries = 32;
    let served = Served::of(folder, config).await;
    served.ask("quiet", by_key(&["ok"])).await.expect(200);
    // The server learns the cost, and that the leaves are long.
    served.ask("caller", by_key(&["sleep-ms:500"])).await.expect(200);
    let crowd: Vec<_> =
        (0..40).map(|_| tokio::spawn(served.query("caller?deadline=60s", by_key(&["sleep"])).send())).collect();
    // A tenant gets as many of the 32 places as it leaves free, 16; the other 24 are refused.
    served.until("frond_queries_not_admitted_total", &["kind=\"share\""], |refused| refused == 24.0).await;
    served.leaves(1).await;
    for _ in 0..5 {
        served.ask("quiet", by_key(&["ok", "ok-2"])).await.expect(200);
    }
    assert_eq!(served.metric("frond_admission_tenants", &[]).await, 1.0);
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_would_not_fit_beside_those_that_run_are_refused() {
    let mut config = config();
    (config.slots, config.waiting) = (1, 0);
    let served = Served::with(config).await;
    // The server learns the cost: half a second of the only slot, in which the leaf waits.
    served.ask("caller", by_key(&["sleep-ms:500"])).await.expect(200);
    let first = tokio::spawn(served.query("caller?deadline=2s", by_key(&["sleep"])).send());
    served.leaves(1).await;
    served.ask("caller?deadline=200ms", by_key(&["ok"])).await.problem(503, "overloaded", "in time");
    drop(first.await.unwrap().unwrap());
    served.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_floods_or_lies_costs_its_own_partition_only() {
    let served = Served::new().await;
    let keys = [
        "ok-0",
        "trap-1",
        "abort-2",
        "exit-3",
        "recurse-4",
        "huge-output-5",
        "flood-stdout-6",
        "grow-memory-7",
        "huge-emit-8",
        "emit-bad-done-9",
        "flood-stderr-10",
        "invalid-partition-11",
    ];
    let reply = send(served.query("caller", by_key(&keys)).header("accept", ENVELOPE)).await.expect(200).json();
    closed(&reply["coverage"]);
    assert_eq!(reply["coverage"]["partitions"]["planned"], keys.len());
    assert!(reply["answer"]["keys"].as_array().unwrap().contains(&json!("ok-0")), "{}", reply["answer"]);
    served.ask("caller", by_key(&["ok"])).await.expect(200);
}
