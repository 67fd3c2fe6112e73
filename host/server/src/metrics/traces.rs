//! Metrics of spans.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::register;
use crate::traces::Traces;

/// Label of the reason why a trace was lost.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Counts of sent and dropped spans.
pub(super) struct TraceMetrics {
    sent: Counter,
    dropped: Family<Reason, Counter>,
}

impl TraceMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        let dropped =
            "Spans that were not sent: cut (more than one trace has), full (the queue), refused (the collector)";
        Self {
            sent: register::new(to, "trace_spans_sent", "Spans that the collector of traces has accepted"),
            dropped: register::new(to, "trace_spans_dropped", dropped),
        }
    }

    pub(super) fn read(&self, traces: &Traces) {
        let set = |counter: &Counter, value: u64| counter.inner().store(value, Ordering::Relaxed);
        set(&self.sent, traces.counts().sent());
        for (reason, count) in traces.counts().dropped() {
            set(&self.dropped.get_or_create(&Reason { reason }), count);
        }
    }
}
