//! Traces, for those who collect them over OTLP: a query as a tree of spans, made of its recorded events when it has
//! ended. What cannot be sent is dropped, and counted in the log: a query never waits for a collector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use frond_root::{Event, EventKind};
use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::recent::Recorded;

/// Queries that wait to be sent.
const QUEUE: usize = 256;
/// The most spans of one query; of attempts, the first ones are told.
const MAX_SPANS: usize = 1000;
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends traces.
pub(crate) struct Traces {
    /// Taken away when no more are to come.
    queue: Mutex<Option<Queue>>,
    sending: Mutex<Option<JoinHandle<()>>>,
    dropped: Arc<AtomicU64>,
}

type Queue = mpsc::Sender<(Arc<Recorded>, Option<Parent>)>;

/// The span that a query is part of, as the client's `traceparent` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    trace: TraceId,
    span: SpanId,
}

impl Parent {
    /// W3C Trace Context, section 3.2: `00-{trace}-{span}-{flags}`.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("traceparent")?.to_str().ok()?;
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
            return None;
        }
        if ![version, trace, span, flags].into_iter().all(lower) || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span })
    }
}

impl Traces {
    /// Sends to the OTLP receiver at `endpoint`, from a task of this runtime.
    ///
    /// # Errors
    /// An address that is none.
    pub(crate) fn start(endpoint: &str) -> Result<Self, String> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| error.to_string())?;
        exporter.set_resource(&Resource::builder().with_service_name("frond").build());
        let (queue, mut waiting) = mpsc::channel::<(Arc<Recorded>, Option<Parent>)>(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = dropped.clone();
        let sending = tokio::spawn(async move {
            while let Some((recorded, parent)) = waiting.recv().await {
                if let Err(error) = exporter.export(spans(&recorded, parent)).await {
                    let lost = lost.fetch_add(1, Ordering::Relaxed) + 1;
                    tracing::warn!(%error, lost, "a trace could not be sent");
                }
            }
        });
        Ok(Self { queue: Mutex::new(Some(queue)), sending: Mutex::new(Some(sending)), dropped })
    }

    /// A query has ended.
    pub(crate) fn query(&self, recorded: &Arc<Recorded>, parent: Option<Parent>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().is_none_or(|queue| queue.try_send((recorded.clone(), parent)).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes no more, and sends what waits, for so long.
    pub(crate) async fn close(&self, within: Duration) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = sending else { return };
        if tokio::time::timeout(within, &mut sending).await.is_err() {
            tracing::warn!("the collector of traces took too long: some are lost");
            sending.abort();
        }
    }
}

/// A query's spans under construction.
struct Tree {
    trace: TraceId,
    root: SpanId,
    start: SystemTime,
    spans: Vec<SpanData>,
}

/// A query's tree: the query, its plan, each attempt, each merge, the finish.
fn spans(recorded: &Recorded, parent: Option<Parent>) -> Vec<SpanData> {
    let (events, _, _) = recorded.events(0, usize::MAX);
    let summary = recorded.summary();
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(summary.started_unix_ms);
    let id = u128::from_str_radix(&summary.id.to_string(), 16).unwrap_or(1);
    let trace = parent.map_or(TraceId::from(id), |parent| parent.trace);
    let mut tree = Tree { trace, root: span_id(id, 0), start, spans: Vec::new() };
    let end = events.last().map_or(0, |event| event.at);
    let mut attributes = vec![
        KeyValue::new("frond.app", summary.app.clone()),
        KeyValue::new("frond.query", summary.id.to_string()),
        KeyValue::new("frond.fraction", summary.fraction),
        KeyValue::new("frond.partitions", i64::try_from(summary.partitions.planned).unwrap_or(i64::MAX)),
    ];
    attributes.extend(summary.outcome.map(|outcome| KeyValue::new("frond.outcome", outcome)));
    let status = match summary.outcome {
        Some("failed") => Status::error(summary.reason.unwrap_or("failed")),
        _ => Status::Ok,
    };
    let root = tree.span(&format!("query {}", summary.app), 0, (0, end), attributes, status);
    let root = SpanData {
        parent_span_id: parent.map_or(SpanId::INVALID, |parent| parent.span),
        span_kind: SpanKind::Server,
        ..root
    };
    tree.spans.push(root);
    tree.children(&events, id, end);
    tree.spans
}

impl Tree {
    fn children(&mut self, events: &[Event], id: u128, end: u64) {
        let mut began = std::collections::HashMap::new();
        let mut folds = std::collections::HashMap::new();
        for (number, event) in (1_u64..).zip(events) {
            if self.spans.len() >= MAX_SPANS {
                return;
            }
            let (name, from, attributes, failure) = match &event.kind {
                EventKind::Planned { partitions, .. } => (
                    "plan".to_owned(),
                    0,
                    vec![KeyValue::new("frond.partitions", i64::try_from(*partitions).unwrap_or(i64::MAX))],
                    None,
                ),
                EventKind::AttemptStarted { partition, attempt, key, .. } => {
                    began.insert((*partition, *attempt), (event.at, key.clone()));
                    continue;
                }
                EventKind::AttemptEnded { partition, attempt, failure, usage, slot, .. } => {
                    let Some((from, key)) = began.remove(&(*partition, *attempt)) else { continue };
                    let attributes = vec![
                        KeyValue::new("frond.partition", key.to_string()),
                        KeyValue::new("frond.attempt", i64::from(*attempt)),
                        KeyValue::new("frond.slot", i64::from(*slot)),
                        KeyValue::new("frond.fuel", i64::try_from(usage.fuel).unwrap_or(i64::MAX)),
                    ];
                    ("leaf".to_owned(), from, attributes, failure.as_ref())
                }
                EventKind::FoldStarted { fold, .. } => {
                    folds.insert(*fold, event.at);
                    continue;
                }
                EventKind::FoldEnded { fold, failure, .. } => {
                    let Some(from) = folds.remove(fold) else { continue };
                    ("merge".to_owned(), from, Vec::new(), failure.as_ref())
                }
                EventKind::FinishStarted {} => {
                    let span = self.child(id, number, "finish", (event.at, end), Vec::new(), Status::Ok);
                    self.spans.push(span);
                    continue;
                }
                _ => continue,
            };
            let status = failure.map_or(Status::Ok, |failure| Status::error(failure.to_string()));
            let span = self.child(id, number, &name, (from, event.at), attributes, status);
            self.spans.push(span);
        }
    }

    fn child(
        &self,
        id: u128,
        number: u64,
        name: &str,
        time: (u64, u64),
        attributes: Vec<KeyValue>,
        status: Status,
    ) -> SpanData {
        let span = self.span(name, 0, time, attributes, status);
        let context =
            SpanContext::new(self.trace, span_id(id, number), TraceFlags::SAMPLED, false, TraceState::default());
        SpanData { span_context: context, parent_span_id: self.root, ..span }
    }

    fn span(
        &self,
        name: &str,
        _number: u64,
        (from, to): (u64, u64),
        attributes: Vec<KeyValue>,
        status: Status,
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(self.trace, self.root, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.to_owned().into(),
            start_time: self.start + Duration::from_micros(from),
            end_time: self.start + Duration::from_micros(to.max(from)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: InstrumentationScope::builder("frond").build(),
        }
    }
}

/// The id of a query's span number `number`: the query's own random bits, and never 0.
fn span_id(id: u128, number: u64) -> SpanId {
    let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(1);
    SpanId::from((low ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(text: &'static str) -> Option<Parent> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", http::HeaderValue::from_static(text));
        Parent::of(&headers)
    }

    #[test]
    fn the_clients_span_is_the_parent() {
        let read = parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(read.trace, TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap());
        assert_eq!(read.span, SpanId::from_hex("b7ad6b7169203331").unwrap());
    }

    #[test]
    fn what_is_no_trace_context_is_left_alone() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(parent(text), None, "{text}");
        }
    }
}
