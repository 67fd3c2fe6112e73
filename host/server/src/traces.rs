//! Traces over OTLP: each query is a tree of spans, made from its recorded events when it has
//! ended.
//! Spans that cannot be sent are dropped and counted, so that no query waits for a collector.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use frond_tls::Trust;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

mod jobs;
mod parent;
mod spans;

use crate::recent::QueryRecord;
pub(crate) use jobs::RunSegment;
pub(crate) use parent::Parent;
use spans::{Spans, of_query};

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
        let queue = self.queue.lock();
        queue.as_ref().is_some_and(|queue| queue.try_send(trace).is_ok())
    }

    /// Accepts no more traces, and waits up to `within` for the queued ones to be sent.
    pub(crate) async fn close(&self, within: Duration) {
        drop(self.queue.lock().take());
        let sending = self.sending.lock().take();
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
    Resource::builder()
        .with_service_name("frond")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", HEXLOWER.encode(&id)))
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
