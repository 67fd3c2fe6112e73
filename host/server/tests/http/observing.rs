//! Telemetry: traces over OTLP, and metrics that account for every query.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use frond_server::Config;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use reqwest::Method;
use serde_json::json;
use tokio::sync::mpsc;

use crate::common::{Served, Stream, asking, by_key, config, send, sum, within};

/// Starts a collector; returns its address, and the spans that it receives.
pub(crate) async fn collector() -> (String, mpsc::UnboundedReceiver<Vec<Span>>) {
    let (sender, received) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let resources = request.resource_spans;
        let named = |key: &str| {
            let attributes = resources[0].resource.as_ref().unwrap().attributes.clone();
            attributes.into_iter().any(|one| one.key == key)
        };
        for name in ["service.name", "service.version", "service.instance.id"] {
            assert!(named(name), "{name}");
        }
        let scopes = resources.into_iter().flat_map(|resource| resource.scope_spans);
        // The collector is slow.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let _ = sender.send(scopes.flat_map(|scope| scope.spans).collect::<Vec<_>>());
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, received)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_a_tree_of_spans_below_the_clients() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = "b7ad6b7169203331";
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

    // Without a parent the query is the root of a new trace; a failed query has an error status.
    served.ask("strict", by_key(&["trap"])).await.expect(504);
    let spans = within(received.recv()).await.unwrap();
    let root = spans.iter().find(|span| span.name == "query strict").unwrap();
    assert!(root.parent_span_id.is_empty() && hex(&root.trace_id) != trace);
    let status = root.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error as i32, "below-floor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_client_records_nothing_is_not_recorded() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    for (trace, flags) in [("0af7651916cd43dd8448eb211c80319c", "00"), ("1af7651916cd43dd8448eb211c80319c", "01")] {
        let request = served.query("caller", by_key(&["ok"]));
        send(request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-{flags}"))).await.expect(200);
    }
    // Traces are sent in the order in which queries end.
    let spans = within(received.recv()).await.unwrap();
    assert_eq!(hex(&spans[0].trace_id), "1af7651916cd43dd8448eb211c80319c");
    served.order(frond_server::Order::Stop).await;
    served.ended().await;
    assert!(received.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_is_sent_or_counted() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    let keys: Vec<_> = (0..12_000).map(|index| format!("ok-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    served.ask("caller", by_key(&keys)).await.expect(200);
    // The root comes last.
    let mut spans = Vec::new();
    while spans.last().is_none_or(|span: &Span| !span.parent_span_id.is_empty()) {
        let batch = within(received.recv()).await.unwrap();
        assert!(batch.len() <= 1000, "{}", batch.len());
        spans.extend(batch);
    }
    let sent = spans.len() as f64;
    served.until("frond_trace_spans_sent_total", &[], |counted| counted == sent).await;
    let dropped = served.metric("frond_trace_spans_dropped_total", &["reason=\"cut\""]).await;
    // At least the leaves, the query, its plan and its finish; merges are extra.
    assert!(dropped >= 2000.0 && sent + dropped >= 12_003.0, "{sent} {dropped}");
    let root = format!("{:?}", spans.last().unwrap().attributes);
    assert!(root.contains("frond.spans.dropped") && root.contains(&format!("IntValue({dropped})")), "{root}");
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len());
    assert_eq!(spans.iter().filter(|span| span.name == "finish").count(), 1);
}

/// The log of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_trace_is_in_the_log_whether_or_not_it_is_recorded() {
    let log = Log::default();
    let writer = log.clone();
    // This is the only test that reads the log, which the whole process shares.
    tracing_subscriber::fmt().json().with_writer(move || writer.clone()).init();
    let served = Served::new().await;
    for (trace, app, status) in [
        ("0af7651916cd43dd8448eb211c80319c", "caller", 200),
        ("1af7651916cd43dd8448eb211c80319c", "strict", 504),
        ("2af7651916cd43dd8448eb211c80319c", "refused", 422),
    ] {
        let (app, body) = if app == "refused" { ("caller", "{".to_owned()) } else { (app, by_key(&["trap", "ok"])) };
        let request = served.query(app, body);
        let reply = send(request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-00"))).await.expect(status);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = text.lines().find(|line| line.contains(trace)).unwrap_or_else(|| panic!("{trace}: {text}"));
        let fields = serde_json::from_str::<serde_json::Value>(line).unwrap()["fields"].clone();
        assert_eq!((&fields["trace"], &fields["query"]), (&json!(trace), &json!(reply.query())), "{line}");
    }
    // The trace of a job's client is logged as well, with the job.
    let trace = "3af7651916cd43dd8448eb211c80319c";
    for flags in ["00", "01"] {
        let id = job(&served, &format!("00-{trace}-b7ad6b7169203331-{flags}")).await;
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = text.lines().find(|line| line.contains("job accepted") && line.contains(&id));
        let line = line.unwrap_or_else(|| panic!("{id}: {text}"));
        let fields = serde_json::from_str::<serde_json::Value>(line).unwrap()["fields"].clone();
        assert_eq!((&fields["trace"], &fields["job"]), (&json!(trace), &json!(id)), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_the_collector_does_not_take_are_counted() {
    let served = Served::with(Config { traces: Some("http://127.0.0.1:1".to_owned()), ..config() }).await;
    served.ask("caller", by_key(&["ok-0", "ok-1"])).await.expect(200);
    // The query, its plan, two leaves, its finish, and its merges.
    served.until("frond_trace_spans_dropped_total", &["reason=\"refused\""], |count| count >= 5.0).await;
    assert_eq!(served.metric("frond_trace_spans_sent_total", &[]).await, 0.0);
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
async fn leaves_that_wait_are_counted_and_leave_their_slot_to_others() {
    let served = Served::with(Config { slots: 1, ..config() }).await;
    let keys: Vec<_> = (0..20).map(|index| format!("sleep-{index}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let asked = Stream::open(served.query("caller?deadline=60s", by_key(&keys))).await;
    let id = asked.header("frond-query");
    served.until("frond_leaves_waiting", &[], |waiting| waiting == 20.0).await;
    served.ask("caller", by_key(&["ok-0", "ok-1"])).await.expect(200);
    let path = format!("/v1/queries/{id}");
    // The query learns of the starts at its own pace.
    let all_open = async {
        while served.json(&path).await["partitions"]["running"] != 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(all_open).await;
    send(served.request(Method::DELETE, &path)).await.expect(202);
    served.leaves(0).await;
    drop(asked);
    let fault = json!({ "fault": "sleep-ms:20" });
    let id = served.ask("caller", asking(&fault, &keys)).await.expect(200).query();
    let events = Stream::open(served.request(Method::GET, &format!("/v1/queries/{id}/events"))).await;
    let told: Vec<_> = events.rest().await.into_iter().filter(|told| told.name == "attempt-ended").collect();
    assert_eq!(told.len(), 20);
    // A slow machine may find that the time has passed before the leaf waits.
    let waited = told.iter().find(|told| !told.data["waited"].is_null()).expect("some waited");
    let waits = waited.data["waits"].as_array().unwrap();
    assert!(!waits.is_empty() && waits.iter().all(|span| span[0].as_u64() <= span[1].as_u64()), "{waits:?}");
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
        // Not admitted.
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
    // Every started attempt ends, and is counted by its outcome.
    let events = |kind: &str| sum(&text, "frond_events_total", &[&format!("kind=\"{kind}\"")]);
    assert_eq!(events("attempt-started"), events("attempt-ended"));
    assert_eq!(events("attempt-ended"), sum(&text, "frond_leaves_total", &[]));
    assert_eq!(events("query-started"), events("query-ended"));
    assert_eq!(sum(&text, "frond_leaf_seconds_count", &[]), events("attempt-ended"));
    // A query ends before its leaves and its permit are released.
    for gauge in ["frond_queries_running", "frond_leaves_running", "frond_admission_ahead_seconds"] {
        served.until(gauge, &[], |value| value == 0.0).await;
    }
    assert!(sum(&text, "frond_http_replies_total", &["route=\"/v1/apps/{app}/query\"", "status=\"504\""]) >= 6.0);
}

/// Parses the families of an OpenMetrics text with their types, and checks every line.
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
    // Buckets are cumulative, and the last contains everything.
    let buckets = text.lines().filter(|line| line.starts_with("frond_query_seconds_bucket"));
    let counts: Vec<f64> = buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(counts.is_sorted() && counts.last() == Some(&2.0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_are_gone_leave_the_metrics_in_the_end() {
    // The metrics of the 20 latest removed apps are kept for some scrapes.
    const APPS: usize = 25;
    let folder = crate::common::apps();
    let gone = |number: usize| format!("gone-{number}");
    for number in 0..APPS {
        crate::common::app(folder.path(), &gone(number), "[source]\nkind = \"query\"\n");
    }
    let served = Served::of(folder, config()).await;
    served.ask("caller", by_key(&["ok"])).await.expect(200);
    for number in 0..APPS {
        served.ask(&gone(number), by_key(&["ok"])).await.expect(200);
    }
    let counted = async || {
        let text = served.get("/metrics").await.expect(200).text();
        let app = |number: &usize| text.contains(&format!("app=\"{}\"", gone(*number)));
        (0..APPS).filter(app).count()
    };
    assert_eq!(counted().await, APPS);
    for number in 0..APPS {
        std::fs::remove_dir_all(served.folder.path().join(gone(number))).unwrap();
    }
    served.order(frond_server::Order::Reload(Box::new(config()))).await;
    let leaving = async {
        while counted().await != 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(leaving).await;
    assert!(served.metric("frond_queries_begun_total", &["app=\"caller\""]).await == 1.0, "one that is there stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_written_so_that_they_can_be_read() {
    let folder = crate::common::apps();
    crate::common::app(folder.path(), "quo\"te\\back", "[source]\nkind = \"query\"\n");
    let served = Served::of(folder, config()).await;
    served.ask("quo%22te%5Cback", by_key(&["ok"])).await.expect(200);
    families(&served.get("/metrics").await.expect(200).text());
    // Unknown paths share one route, since their number is unbounded.
    for path in ["/a", "/b", "/v1/c"] {
        served.get(path).await.expect(404);
    }
    assert_eq!(served.metric("frond_http_replies_total", &["route=\"other\""]).await, 3.0);
}

/// Receives spans until one has this name.
async fn until_named(received: &mut mpsc::UnboundedReceiver<Vec<Span>>, name: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    while !spans.iter().any(|span| span.name == name) {
        spans.extend(within(received.recv()).await.unwrap());
    }
    spans
}

/// Submits a job, and waits for its end. Returns its id.
async fn job(served: &Served, traceparent: &str) -> String {
    let request =
        served.request(reqwest::Method::POST, "/v1/apps/caller/jobs").body(by_key(&["ok-0", "ok-1", "trap-2"]));
    let job = send(request.header("traceparent", traceparent)).await.expect(202).json();
    let id = job["id"].as_str().unwrap().to_owned();
    let ended = served.json(&format!("/v1/jobs/{id}?wait=60s")).await;
    assert_eq!(ended["state"], "partial", "{ended}");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_a_separate_trace_linked_with_its_clients() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = "b7ad6b7169203331";
    let id = job(&served, &format!("00-{trace}-{parent}-01")).await;
    let spans = until_named(&mut received, "stint caller").await;
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [root] = named("job caller")[..] else { panic!("{spans:?}") };
    let [submit] = named("submit caller")[..] else { panic!("{spans:?}") };
    let [stint] = named("stint caller")[..] else { panic!("{spans:?}") };
    assert_eq!((hex(&root.trace_id), root.parent_span_id.len()), (id.clone(), 0));
    assert_eq!((hex(&submit.trace_id), hex(&submit.parent_span_id)), (trace.to_owned(), parent.to_owned()));
    let link = |span: &Span| (hex(&span.links[0].trace_id), hex(&span.links[0].span_id));
    assert_eq!(link(root), (trace.to_owned(), parent.to_owned()));
    assert_eq!(link(submit), (id.clone(), hex(&root.span_id)));
    assert_eq!((&stint.trace_id, &stint.parent_span_id), (&root.trace_id, &root.span_id));
    assert!(format!("{:?}", stint.attributes).contains(&id), "{stint:?}");
    for (name, count) in [("plan", 1), ("leaf", 3), ("finish", 1)] {
        assert_eq!(named(name).len(), count, "{name}: {spans:?}");
        assert!(named(name).iter().all(|span| span.parent_span_id == stint.span_id), "{name}: {spans:?}");
    }
    let ids: HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len(), "span ids are not unique");
    // The job's leaves are counted like those of queries.
    served.until("frond_leaves_total", &["slug=\"ok\""], |count| count == 2.0).await;
    assert_eq!(served.metric("frond_leaves_total", &["slug=\"trap\""]).await, 1.0);
    assert_eq!(served.metric("frond_leaf_seconds_count", &["app=\"caller\""]).await, 3.0);
    served.until("frond_events_total", &["kind=\"attempt-ended\""], |count| count == 3.0).await;
    assert_eq!(served.metric("frond_queries_begun_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_client_records_nothing_is_not_recorded() {
    let (url, mut received) = collector().await;
    let served = Served::with(Config { traces: Some(url), ..config() }).await;
    job(&served, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").await;
    let id = job(&served, "").await;
    let spans = until_named(&mut received, "stint caller").await;
    served.order(frond_server::Order::Stop).await;
    served.ended().await;
    assert!(received.try_recv().is_err());
    assert!(spans.iter().all(|span| hex(&span.trace_id) == id), "{spans:?}");
    assert!(spans.iter().all(|span| span.links.is_empty()), "{spans:?}");
}
