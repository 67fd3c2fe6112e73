//! Traces of jobs.
//! A job's trace has the job's id, on every server that runs it. The root is the span of the
//! submission, linked with the client's span. Below it are the run segments (spans `stint`): the
//! time from when a server takes the job until the job ends or the server loses it.

use std::time::{Duration, SystemTime};

use frond_root::{Event, EventKind, QueryId};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::SpanLinks;

use super::parent::Parent;
use super::spans::{Root, Spans, Tree, span_id};
use super::{Trace, Traces};

/// The most jobs whose clients do not sample them that are remembered.
const UNRECORDED: usize = 10_000;

/// A run segment of a job, under construction.
pub(crate) struct RunSegment {
    tree: Tree,
    parent: Parent,
    app: String,
    attributes: Vec<KeyValue>,
    status: Status,
    /// The event that began the finish.
    finish: Option<Event>,
    last: u64,
}

impl Traces {
    /// Remembers a job whose client does not sample it, so that its run segments are not recorded.
    pub(crate) fn unrecorded(&self, job: QueryId) {
        let mut unrecorded = self.unrecorded.lock();
        unrecorded.truncate(UNRECORDED - 1);
        unrecorded.push_front(number(job));
    }

    /// Records the submission of a job; `parent` is the client's span.
    pub(crate) fn accepted(&self, job: QueryId, app: &str, parent: Option<Parent>, start: SystemTime) {
        if self.is_unrecorded(job) {
            return;
        }
        let id = number(job);
        let end = u64::try_from(start.elapsed().unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
        let root = |name: String, parent| Root {
            name,
            kind: SpanKind::Producer,
            parent,
            attributes: vec![KeyValue::new("frond.app", app.to_owned()), KeyValue::new("frond.job", job.to_string())],
            status: Status::Ok,
        };
        let trace = TraceId::from(id);
        let mut spans = Tree::new(trace, id, 0, start).ended(root(format!("job {app}"), None), end);
        if let Some(parent) = parent {
            let mut submit =
                Tree::new(parent.trace, id, 1, start).ended(root(format!("submit {app}"), Some(parent)), end);
            for (span, to) in
                [(&mut spans, context(parent.trace, parent.span)), (&mut submit, context(trace, span_id(id, 0)))]
            {
                let mut links = SpanLinks::default();
                links.links.push(Link::new(to, Vec::new(), 0));
                span.spans.iter_mut().for_each(|span| span.links = links.clone());
            }
            spans.spans.append(&mut submit.spans);
        }
        self.job(spans);
    }

    /// Begins a run segment of a job; `None` if its client does not sample it.
    pub(crate) fn stint(&self, job: QueryId, app: &str, unix_ms: u64) -> Option<RunSegment> {
        if self.is_unrecorded(job) {
            return None;
        }
        let id = number(job);
        let trace = TraceId::from(id);
        let start = SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms);
        Some(RunSegment {
            // Span numbers of two run segments do not overlap below 65,536 spans a millisecond.
            tree: Tree::new(trace, id, unix_ms << 16, start),
            parent: Parent { trace, span: span_id(id, 0), is_sampled: true },
            app: app.to_owned(),
            attributes: vec![KeyValue::new("frond.app", app.to_owned()), KeyValue::new("frond.job", job.to_string())],
            status: Status::error("the server lost the job, or released it"),
            finish: None,
            last: 0,
        })
    }

    fn is_unrecorded(&self, job: QueryId) -> bool {
        self.unrecorded.lock().contains(&number(job))
    }

    /// Queues the spans of a job.
    pub(crate) fn job(&self, spans: Spans) {
        let count = spans.spans.len() as u64;
        if !self.push(Trace::Spans(spans)) {
            self.counts.full.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl RunSegment {
    /// Adds the next event.
    pub(crate) fn take(&mut self, event: &Event) {
        // The times of leaves are told later than those of other events.
        self.last = self.last.max(event.at);
        match &event.kind {
            // The duration of the finish is known only at the end.
            EventKind::FinishStarted {} => self.finish = Some(event.clone()),
            EventKind::QueryEnded { outcome, coverage, .. } => {
                self.attributes.extend([
                    KeyValue::new("frond.outcome", outcome.clone()),
                    KeyValue::new("frond.fraction", coverage.fraction),
                ]);
                self.status = if outcome == "failed" { Status::error("failed") } else { Status::Ok };
            }
            _ => self.tree.take(event, event.at),
        }
    }

    /// Ends the segment and returns its spans.
    pub(crate) fn ended(mut self) -> Spans {
        if let Some(finish) = self.finish {
            self.tree.take(&finish, self.last);
        }
        let Self { tree, parent, app, attributes, status, last, .. } = self;
        let name = format!("stint {app}");
        tree.ended(Root { name, kind: SpanKind::Consumer, parent: Some(parent), attributes, status }, last)
    }
}

fn number(job: QueryId) -> u128 {
    u128::from_str_radix(&job.to_string(), 16).unwrap_or(1)
}

fn context(trace: TraceId, span: opentelemetry::trace::SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default())
}
