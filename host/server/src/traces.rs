//! Traces over OTLP: each query is a tree of spans, made from its recorded events when it has
//! ended.
//! Spans that cannot be sent are dropped and counted, so that no query waits for a collector.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frond_tls::Trust;
use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

mod jobs;
mod spans;

use crate::recent::QueryRecord;
pub(crate) use jobs::RunSegment;
use spans::of_query;

/// The most traces that wait to be sent.
const QUEUE: usize = 256;
/// The most spans per request to the collector.
const BATCH: usize = 1000;
/// Timeout of a request to the collector.
const PATIENCE: Duration = Duration::from_secs(10);

/// The exporter of traces.
pub(crate) struct Traces {
    /// `None` once no more traces are accepted.
    queue: Mutex<Option<mpsc::Sender<Trace>>>,
    sending: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
    /// Jobs whose clients do not sample them, newest first.
    unrecorded: Mutex<VecDeque<u128>>,
}

/// A trace to be sent.
enum Trace {
    Query(Arc<QueryRecord>, Option<Parent>),
    Spans(Spans),
}

/// Spans of a trace, and the number of omitted ones.
pub(crate) struct Spans {
    pub(crate) spans: Vec<SpanData>,
    pub(crate) cut: u64,
}

/// Counts of spans: sent, and dropped by reason.
#[derive(Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    cut: AtomicU64,
    full: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// Spans that the collector has accepted.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Dropped spans, by reason.
    pub(crate) fn dropped(&self) -> [(&'static str, u64); 3] {
        [("cut", &self.cut), ("full", &self.full), ("refused", &self.refused)]
            .map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }
}

/// The client's span of which a query is part, from the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// The client samples it, and wants its children sampled as well.
    pub(crate) is_sampled: bool,
}

impl Parent {
    /// Parses W3C Trace Context, section 3.2: `00-{trace}-{span}-{flags}`.
    /// If there are several headers, all are ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all("traceparent").iter();
        let text = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
        let mut parts = text.split('-');
        let version = parts.next()?;
        let trace = parts.next()?;
        let span = parts.next()?;
        let flags = parts.next()?;
        let lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
            return None;
        }
        if ![version, trace, span, flags].into_iter().all(lower) || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = TraceId::from_hex(trace).ok()?;
        let span = SpanId::from_hex(span).ok()?;
        let is_sampled = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?).is_sampled();
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span, is_sampled })
    }
}

impl Traces {
    /// Starts a task that sends traces to the OTLP receiver at `endpoint`.
    ///
    /// # Errors
    /// If the URL is invalid, or the roots cannot be read.
    pub(crate) fn start(endpoint: &str, trust: &Trust) -> Result<Self, String> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client(endpoint, trust)?)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| error.to_string())?;
        exporter.set_resource(&resource());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let sending = tokio::spawn(send(exporter, waiting, counts.clone()));
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            sending: Mutex::new(Some(sending)),
            counts,
            unrecorded: Mutex::default(),
        })
    }

    /// The counts of spans so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Queues the trace of an ended query, unless its client does not sample it.
    pub(crate) fn query(&self, recorded: &Arc<QueryRecord>, parent: Option<Parent>) {
        if parent.is_some_and(|parent| !parent.is_sampled) {
            return;
        }
        if !self.push(Trace::Query(recorded.clone(), parent)) {
            self.counts.full.fetch_add(recorded.spans(), Ordering::Relaxed);
        }
    }

    fn push(&self, trace: Trace) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| queue.try_send(trace).is_ok())
    }

    /// Accepts no more traces, and waits up to `within` for the queued ones to be sent.
    pub(crate) async fn close(&self, within: Duration) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = sending else { return };
        if tokio::time::timeout(within, &mut sending).await.is_err() {
            tracing::warn!("the collector of traces took too long: some spans are lost");
            sending.abort();
        }
    }
}

/// The resource of all spans: this process, with a unique id.
fn resource() -> Resource {
    let id: [u8; 16] = rand::random();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    Resource::builder()
        .with_service_name("frond")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", hex))
        .build()
}

/// An HTTP client for the receiver, with TLS if the URL says so.
fn client(endpoint: &str, trust: &Trust) -> Result<reqwest::Client, String> {
    let endpoint = reqwest::Url::parse(endpoint).map_err(|error| error.to_string())?;
    let tls = match endpoint.scheme() {
        "https" => trust.client_for(&["http/1.1"]).map_err(|error| error.to_string())?,
        "http" => frond_tls::nobody().map_err(|error| error.to_string())?,
        scheme => return Err(format!("traces are not sent over {scheme}\n(such as http://127.0.0.1:4318)")),
    };
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(PATIENCE);
    client.build().map_err(|error| error.to_string())
}

/// Sends the queued traces, until the queue is closed.
async fn send(exporter: SpanExporter, mut waiting: mpsc::Receiver<Trace>, counts: Arc<Counts>) {
    while let Some(trace) = waiting.recv().await {
        let Spans { mut spans, cut } = match trace {
            Trace::Query(recorded, parent) => of_query(&recorded, parent),
            Trace::Spans(spans) => spans,
        };
        counts.cut.fetch_add(cut, Ordering::Relaxed);
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(BATCH));
            let batch = std::mem::replace(&mut spans, rest);
            let count = batch.len() as u64;
            match exporter.export(batch).await {
                Ok(()) => counts.sent.fetch_add(count, Ordering::Relaxed),
                Err(error) => {
                    let lost = counts.refused.fetch_add(count, Ordering::Relaxed) + count;
                    tracing::warn!(%error, lost, "spans could not be sent");
                    lost
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(text: &str) -> Option<Parent> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", text.parse().unwrap());
        Parent::of(&headers)
    }

    #[test]
    fn the_clients_span_is_the_parent() {
        let read = parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(read.trace, TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap());
        assert_eq!(read.span, SpanId::from_hex("b7ad6b7169203331").unwrap());
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            assert_eq!(parent(&text).unwrap().is_sampled, sampled, "{flags}");
        }
    }

    #[test]
    fn of_several_none_counts() {
        let mut headers = HeaderMap::new();
        for span in ["b7ad6b7169203331", "b7ad6b7169203332"] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-{span}-01");
            headers.append("traceparent", text.parse().unwrap());
        }
        assert_eq!(Parent::of(&headers), None);
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
