//! What others collect: traces over OTLP, and metrics in which every query is accounted for.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use frond_server::Config;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;

use crate::common::{Served, Stream, asking, by_key, config, send, sum, within};

/// A collector: the address that it listens on, and what it is sent.
async fn collector() -> (String, mpsc::UnboundedReceiver<Vec<Span>>) {
    let (sender, received) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let resources = request.resource_spans;
        let named = |key: &str| {
            let attributes = resources[0].resource.as_ref().unwrap().attributes.clone();
            attributes.into_iter().any(|one| one.key == key)
        };
        assert!(named("service.name"));
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
        // A collector takes its time.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let _ = sender.send(scopes.flat_map(|scope| scope.spans).collect::<Vec<_>>());
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, received)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_a_tree_of_spans_below_the_clients() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let request = served.query("caller", by_key(&["ok-0", "ok-1", "ok-2", "trap-3"]));
    let reply = send(request.header("traceparent", format!("00-{trace}-{parent}-01"))).await.expect(200);
    let spans = within(received.recv()).await.unwrap();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [root] = named("query caller")[..] else { panic!("{spans:?}") };
    assert_eq!((hex(&root.trace_id), hex(&root.parent_span_id)), (trace.to_owned(), parent.to_owned()));
    assert!(root.attributes.iter().any(|one| one.key == "frond.query" && format!("{one:?}").contains(&reply.query())));
    assert_eq!((named("plan").len(), named("leaf").len(), named("finish").len()), (1, 4, 1));
    assert!(!named("merge").is_empty(), "{spans:?}");
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len(), "span ids are not unique");
    for span in spans.iter().filter(|span| span.name != root.name) {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&root.trace_id, &root.span_id), "{span:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{span:?}");
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{span:?}");
    }
    let failed = named("leaf")
        .into_iter()
        .filter(|span| span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32));
    assert_eq!(failed.count(), 1);

    // Without a parent the query is the root of its own trace, and a failed one says so.
    served.ask("strict", by_key(&["trap"])).await.expect(504);
    let spans = within(received.recv()).await.unwrap();
    let root = spans.iter().find(|span| span.name == "query strict").unwrap();
    assert!(root.parent_span_id.is_empty() && hex(&root.trace_id) != trace);
    let status = root.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error as i32, "below-floor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_sent_before_the_server_has_ended() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    for _ in 0..20 {
        served.ask("caller", by_key(&["ok"])).await.expect(200);
    }
    served.order(frond_server::Order::Stop).await;
    served.ended().await;
    let mut traces = 0;
    while received.try_recv().is_ok() {
        traces += 1;
    }
    assert_eq!(traces, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_no_query() {
    let served = Served::with(Config { traces: Some("http://127.0.0.1:1".to_owned()), ..config() }).await;
    for _ in 0..3 {
        served.ask("caller", by_key(&["ok"])).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_accounted_for() {
    let served = Served::new().await;
    for _ in 0..3 {
        served.ask("caller", by_key(&["ok-0", "ok-1"])).await.expect(200);
        served.ask("caller", by_key(&["ok-0", "trap-1"])).await.expect(200);
        served.ask("strict", by_key(&["ok-0", "trap-1"])).await.expect(504);
        served.ask("caller", asking(&json!({ "merge-fault": "trap" }), &["ok-0", "ok-1"])).await.expect(502);
        served.ask("caller", by_key(&["invalid-query"])).await.expect(422);
        served.ask("caller", "{").await.expect(422);
        served.ask("split", r#"{"split-fault":"panic"}"#).await.expect(502);
        served.ask("caller?deadline=30ms", by_key(&["spin"])).await.expect(504);
        // Not taken on.
        served.ask("nobody", "").await.expect(404);
        served.ask("caller?floor=x", "").await.expect(400);
        let gone = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
        served.leaves(1).await;
        gone.abort();
        served.leaves(0).await;
        let mut stream = Stream::open(served.query("caller", by_key(&["spin", "ok"]))).await;
        stream.next_named("query").await;
        drop(stream);
        served.idle().await;
    }
    let text = served.get("/metrics").await.expect(200).text();
    let begun = sum(&text, "frond_queries_begun_total", &[]);
    assert_eq!((begun, sum(&text, "frond_queries_total", &[])), (30.0, 30.0));
    for (outcome, reason, count) in [
        ("complete", "", 3.0),
        ("partial", "", 3.0),
        ("failed", "below-floor", 3.0),
        ("failed", "merge", 3.0),
        ("failed", "invalid-query", 3.0),
        ("failed", "split", 3.0),
        ("failed", "refused", 3.0),
        ("failed", "deadline", 3.0),
    ] {
        let labels = [format!("outcome=\"{outcome}\""), format!("reason=\"{reason}\"")];
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        let counted = sum(&text, "frond_queries_total", &labels);
        assert!(counted >= count, "{outcome} {reason}: {counted}\n{text}");
    }
    assert_eq!(sum(&text, "frond_requests_refused_total", &[]), 6.0);
    // Each attempt ends as often as it begins, and each is counted by how.
    let events = |kind: &str| sum(&text, "frond_events_total", &[&format!("kind=\"{kind}\"")]);
    assert_eq!(events("attempt-started"), events("attempt-ended"));
    assert_eq!(events("attempt-ended"), sum(&text, "frond_leaves_total", &[]));
    assert_eq!(events("query-started"), events("query-ended"));
    assert_eq!(sum(&text, "frond_leaf_seconds_count", &[]), events("attempt-ended"));
    for gauge in ["frond_queries_running", "frond_leaves_running", "frond_admission_ahead_seconds"] {
        assert_eq!(sum(&text, gauge, &[]), 0.0, "{gauge}");
    }
    assert!(sum(&text, "frond_http_replies_total", &["route=\"/v1/apps/{app}/query\"", "status=\"504\""]) >= 6.0);
}

/// The families of an OpenMetrics text, with their types; and whether every line is one that the format knows.
fn families(text: &str) -> BTreeMap<String, String> {
    assert!(text.ends_with("# EOF\n"), "it does not end as it should");
    let mut types = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# ") {
            let (keyword, rest) = rest.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            assert!(matches!(keyword, "HELP" | "TYPE" | "UNIT"), "{line}");
            if keyword == "TYPE" {
                assert!(types.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is described twice");
            }
            assert!(keyword != "UNIT" || name.ends_with(&format!("_{value}")), "{line}");
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        assert!(seen.insert(sample.to_owned()), "{sample} is there twice");
        let name = sample.split('{').next().unwrap();
        let (family, suffix) = types
            .keys()
            .filter_map(|family| Some((family, name.strip_prefix(family.as_str())?)))
            .max_by_key(|(family, _)| family.len())
            .unwrap_or_else(|| panic!("{name} is of no family"));
        let fits: &[&str] = match types[family].as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other}"),
        };
        assert!(fits.contains(&suffix), "{line}");
    }
    types
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_openmetrics() {
    let served = Served::new().await;
    for keys in [["ok-0", "ok-1"], ["ok-0", "trap-1"]] {
        served.ask("caller", by_key(&keys)).await.expect(200);
    }
    let reply = served.get("/metrics").await.expect(200);
    assert_eq!(reply.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = reply.text();
    let types = families(&text);
    for name in ["frond_queries", "frond_query_seconds", "frond_leaves", "frond_http_connections"] {
        assert!(types.contains_key(name), "{name} is missing of {types:?}");
    }
    // Buckets only grow, and the last holds all.
    let buckets = text.lines().filter(|line| line.starts_with("frond_query_seconds_bucket"));
    let counts: Vec<f64> = buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(counts.is_sorted() && counts.last() == Some(&2.0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_written_so_that_they_can_be_read() {
    let folder = crate::common::apps();
    crate::common::app(folder.path(), "quo\"te\\back", "[source]\nkind = \"query\"\n");
    let served = Served::of(folder, config()).await;
    served.ask("quo%22te%5Cback", by_key(&["ok"])).await.expect(200);
    families(&served.get("/metrics").await.expect(200).text());
    // Addresses that nobody has are one route: they could be any number.
    for path in ["/a", "/b", "/v1/c"] {
        served.get(path).await.expect(404);
    }
    assert_eq!(served.metric("frond_http_replies_total", &["route=\"other\""]).await, 3.0);
}
