//! Leaves on a worker of a broker, as telemetry has them.

use std::sync::Arc;

use frond_broker::Introduction;
use frond_broker::cluster::serve_roots;
use frond_broker::nats::{Options, connect};
use frond_broker::session::Settings;
use frond_root::CancellationToken;
use frond_root::call::Grants;
use frond_run::Machine;
use frond_run::workers::{WorkerLeaves, engine};
use frond_server::Config;
use frond_server::config::Workers;
use frond_testkit::Nats;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tokio::runtime::Handle;

use crate::common::{Served, by_key, config, send, within};
use crate::observing::{collector, hex};

/// Bytes of a content that is too large to travel with its attempt.
const LARGE: usize = 300_000;

/// Runs a worker with one slot, until the runtime ends.
async fn worker(nats: &Nats, name: &str) {
    let machine = Arc::new(Machine::new(1).unwrap());
    let slots = machine.start(&Handle::current()).unwrap();
    let introduction =
        Introduction { name: name.to_owned(), slots: 1, waiting: 16, engine: engine(), ..Introduction::default() };
    let loader = Arc::new(WorkerLeaves::new(machine, slots, Grants::default(), true));
    let options = Options { url: nats.url(), pool: "default".to_owned(), ..Options::default() };
    let side = connect(&options).await.unwrap().worker(name).await.unwrap();
    tokio::spawn(serve_roots(side, Settings::default(), introduction, loader, CancellationToken::new()));
}

fn attribute(span: &Span, key: &str) -> Option<AnyValue> {
    let found = span.attributes.iter().find(|one| one.key == key)?;
    found.value.clone()?.value
}

/// Spans of this name below that one.
fn below<'a>(spans: &'a [Span], parent: &Span, name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id && span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_does_is_in_the_trace_of_its_query() {
    let Some(nats) = Nats::start() else { return };
    let (url, mut received) = collector().await;
    worker(&nats, "far").await;
    let workers = Workers { nats: Some(nats.url()), local: Some(false), ..Workers::default() };
    let served = Served::with(Config { traces: Some(url), workers, ..config() }).await;
    let large = json!({ "key": "read-source-1", "data": "x".repeat(LARGE), "weight": 1 });
    let small = json!({ "key": "ok-0", "data": "", "weight": 1 });
    let asked = json!({ "query": {}, "partitions": [small, large] }).to_string();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = served.query("strict", asked).header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    send(request).await.expect(200);
    let spans = within(received.recv()).await.unwrap();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == trace), "{spans:?}");
    let leaves: Vec<_> = spans.iter().filter(|span| span.name == "leaf").collect();
    assert_eq!(leaves.len(), 2, "{spans:?}");
    let far = Some(AnyValue::StringValue("far".to_owned()));
    for leaf in &leaves {
        for (name, count) in [("run", 1), ("queue", 1)] {
            assert_eq!(below(&spans, leaf, name).len(), count, "{name}: {spans:?}");
        }
        let steps = spans.iter().filter(|span| span.parent_span_id == leaf.span_id);
        for step in steps {
            assert_eq!(attribute(step, "frond.worker"), far, "{step:?}");
            assert!(step.start_time_unix_nano >= leaf.start_time_unix_nano, "{step:?} {leaf:?}");
            assert!(step.end_time_unix_nano <= leaf.end_time_unix_nano, "{step:?} {leaf:?}");
        }
    }
    let of = |name: &str| leaves.iter().flat_map(|leaf| below(&spans, leaf, name)).collect::<Vec<_>>();
    assert!(!of("load").is_empty(), "somebody waited for the code: {spans:?}");
    let [pull] = of("pull")[..] else { panic!("{spans:?}") };
    assert_eq!(attribute(pull, "frond.pull.bytes"), Some(AnyValue::IntValue(LARGE as i64)), "{pull:?}");

    // Nothing is loaded for a second query.
    served.ask("strict", by_key(&["ok"])).await.expect(200);
    let spans = within(received.recv()).await.unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains(&"run") && !names.contains(&"load") && !names.contains(&"pull"), "{names:?}");
}
