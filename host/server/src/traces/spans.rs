//! Spans from events: the query, its plan, each attempt, each merge, the finish.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use frond_root::{Event, EventKind, Failure, PartitionKey, WorkerTimes};
use opentelemetry::trace::{
    Event as SpanEvent, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::parent::Parent;
use crate::recent::QueryRecord;

/// The most spans of one trace.
const MAX_SPANS: usize = 10_000;
/// The part of [`MAX_SPANS`] that is reserved for spans other than successful leaves.
const RESERVED: usize = 1000;

/// Name of an attempt's span.
const LEAF: &str = "leaf";

/// Spans of a trace, and the number of omitted ones.
pub(crate) struct Spans {
    pub(crate) spans: Vec<SpanData>,
    pub(crate) cut: u64,
}

/// The spans of a query.
pub(super) fn of_query(recorded: &QueryRecord, parent: Option<Parent>) -> Spans {
    let (events, missed, _) = recorded.events(0, usize::MAX);
    let summary = recorded.summary();
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(summary.started_unix_ms);
    let id = u128::from_str_radix(&summary.id.to_string(), 16).unwrap_or(1);
    let trace = parent.map_or(TraceId::from(id), |parent| parent.trace);
    let mut tree = Tree::new(trace, id, 0, start);
    let end = events.last().map_or(0, |event| event.at);
    for event in &events {
        tree.take(event, end);
    }
    // Every second event that was not kept ends a span.
    tree.cut += missed / 2;
    let mut attributes = vec![
        KeyValue::new("frond.app", summary.app.clone()),
        KeyValue::new("frond.query", summary.id.to_string()),
        KeyValue::new("frond.fraction", summary.fraction),
        KeyValue::new("frond.partitions", int(summary.partitions.planned)),
    ];
    attributes.extend(summary.outcome.map(|outcome| KeyValue::new("frond.outcome", outcome)));
    let status = match summary.outcome {
        Some("failed") => Status::error(summary.reason.unwrap_or("failed")),
        _ => Status::Ok,
    };
    let root = Root { name: format!("query {}", summary.app), kind: SpanKind::Server, parent, attributes, status };
    tree.ended(root, end)
}

/// A tree of spans under construction.
pub(in crate::traces) struct Tree {
    trace: TraceId,
    root: SpanId,
    /// The base of the spans' ids.
    id: u128,
    number: u64,
    start: SystemTime,
    spans: Vec<SpanData>,
    /// Running attempts by partition and number.
    attempts: HashMap<(u32, u32), Began>,
    /// Running merges: their starts.
    folds: HashMap<u32, u64>,
    cut: u64,
}

/// Attempt that runs.
struct Began {
    at: u64,
    key: PartitionKey,
    cut_from: Option<u32>,
    copy_of: Option<u32>,
    worker: Option<String>,
}

/// The root span.
pub(super) struct Root {
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) parent: Option<Parent>,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) status: Status,
}

/// A span below the root.
struct Child<'a> {
    name: &'static str,
    /// Start and end in microseconds since the root's start.
    time: (u64, u64),
    attributes: Vec<KeyValue>,
    /// Times without a slot, in microseconds since the root's start.
    waits: &'a [(u64, u64)],
    failure: Option<&'a Failure>,
    /// Spans below it: what its worker did.
    steps: Vec<Step>,
}

impl Tree {
    /// Creates the tree of `trace`. Span ids are derived from `id` and numbers from `number`.
    pub(super) fn new(trace: TraceId, id: u128, number: u64, start: SystemTime) -> Self {
        Self {
            trace,
            root: span_id(id, number),
            id,
            number,
            start,
            spans: Vec::new(),
            attempts: HashMap::new(),
            folds: HashMap::new(),
            cut: 0,
        }
    }

    /// Adds the next event; `end` is the end of the whole, if known.
    pub(super) fn take(&mut self, event: &Event, end: u64) {
        let Some(child) = self.child(event, end) else { return };
        self.number += 1;
        let is_plain = child.name == LEAF && child.failure.is_none();
        let most = if is_plain { MAX_SPANS - RESERVED } else { MAX_SPANS };
        if self.spans.len() >= most {
            self.cut += 1 + child.steps.len() as u64;
            return;
        }
        let status = child.failure.map_or(Status::Ok, |failure| Status::error(failure.to_string()));
        let id = span_id(self.id, self.number);
        let span = self.span(id, child.name.to_owned(), child.time, child.attributes, status);
        let events = self.wait_events(child.waits);
        self.spans.push(SpanData { parent_span_id: self.root, events, ..span });
        for Step { name, time, attributes } in child.steps {
            self.number += 1;
            if self.spans.len() >= most {
                self.cut += 1;
                continue;
            }
            let span = self.span(span_id(self.id, self.number), name.to_owned(), time, attributes, Status::Ok);
            self.spans.push(SpanData { parent_span_id: id, ..span });
        }
    }

    /// Events of a leaf's span: it waits without a slot, and runs on.
    fn wait_events(&self, waits: &[(u64, u64)]) -> SpanEvents {
        let at =
            |name: &'static str, at: u64| SpanEvent::new(name, self.start + Duration::from_micros(at), Vec::new(), 0);
        let mut events = SpanEvents::default();
        events.events.extend(waits.iter().flat_map(|(from, to)| [at("waits", *from), at("runs on", *to)]));
        events
    }

    fn child<'a>(&mut self, event: &'a Event, end: u64) -> Option<Child<'a>> {
        let child = |name, from, to| Child {
            name,
            time: (from, to),
            attributes: Vec::new(),
            waits: &[],
            failure: None,
            steps: Vec::new(),
        };
        match &event.kind {
            EventKind::Planned { partitions, .. } => {
                let attributes = vec![KeyValue::new("frond.partitions", int(*partitions))];
                Some(Child { attributes, ..child("plan", 0, event.at) })
            }
            EventKind::AttemptStarted { partition, attempt, key, cut_from, copy_of, worker, .. } => {
                let began = Began {
                    at: event.at,
                    key: key.clone(),
                    cut_from: *cut_from,
                    copy_of: *copy_of,
                    worker: worker.clone(),
                };
                self.attempts.insert((*partition, *attempt), began);
                None
            }
            EventKind::AttemptEnded { partition, attempt, failure, waits, on_worker, .. } => {
                let began = self.attempts.remove(&(*partition, *attempt))?;
                // Of an attempt on a worker, also the way there and back.
                let way = on_worker.as_ref().map(|times| (times.claimed.min(began.at), times.heard.max(event.at)));
                let (from, to) = way.unwrap_or((began.at, event.at));
                let steps = on_worker.as_ref().map(|times| steps(times, &began, event.at)).unwrap_or_default();
                let attributes = leaf_attributes(&event.kind, began);
                Some(Child { attributes, waits, steps, failure: failure.as_ref(), ..child(LEAF, from, to) })
            }
            EventKind::FoldStarted { fold, .. } => {
                self.folds.insert(*fold, event.at);
                None
            }
            EventKind::FoldEnded { fold, failure, .. } => {
                let from = self.folds.remove(fold)?;
                Some(Child { failure: failure.as_ref(), ..child("merge", from, event.at) })
            }
            EventKind::FinishStarted {} => Some(child("finish", event.at, end)),
            _ => None,
        }
    }

    /// Adds the root span, which ends at `end`, and returns all spans.
    pub(super) fn ended(mut self, root: Root, end: u64) -> Spans {
        let Root { name, kind, parent, mut attributes, status } = root;
        if self.cut > 0 {
            attributes.push(KeyValue::new("frond.spans.dropped", int(self.cut)));
        }
        let span = self.span(self.root, name, (0, end), attributes, status);
        let span = SpanData {
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| parent.span),
            parent_span_is_remote: parent.is_some(),
            span_kind: kind,
            ..span
        };
        self.spans.push(span);
        Spans { spans: self.spans, cut: self.cut }
    }

    fn span(
        &self,
        id: SpanId,
        name: String,
        (from, to): (u64, u64),
        attributes: Vec<KeyValue>,
        status: Status,
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(self.trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
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

/// Attributes of an attempt's span.
fn leaf_attributes(ended: &EventKind, began: Began) -> Vec<KeyValue> {
    let EventKind::AttemptEnded { attempt, usage, slot, earlier, waited, part, .. } = ended else { return Vec::new() };
    let mut attributes = vec![
        KeyValue::new("frond.partition", began.key.to_string()),
        KeyValue::new("frond.attempt", i64::from(*attempt)),
        KeyValue::new("frond.slot", i64::from(*slot)),
        KeyValue::new("frond.fuel", int(usage.fuel)),
        KeyValue::new("frond.earlier", i64::from(*earlier)),
        KeyValue::new("frond.waited_us", int(*waited)),
    ];
    attributes.extend(began.cut_from.map(|from| KeyValue::new("frond.cut_from", i64::from(from))));
    attributes.extend(began.copy_of.map(|of| KeyValue::new("frond.copy_of", i64::from(of))));
    attributes.extend(began.worker.map(|worker| KeyValue::new("frond.worker", worker)));
    if let Some(part) = part {
        attributes.push(KeyValue::new("frond.part.begin", int(part.begin)));
        attributes.push(KeyValue::new("frond.part.done", int(part.done)));
        attributes.push(KeyValue::new("frond.part.end", int(part.end)));
    }
    attributes
}

/// A span below an attempt: what its worker did.
struct Step {
    name: &'static str,
    /// Start and end in microseconds since the root's start.
    time: (u64, u64),
    attributes: Vec<KeyValue>,
}

/// Spans of what a worker did for an attempt that ended at `ended`: it loaded the code, had the
/// attempt wait for a slot, ran it, and read its content from the root.
fn steps(times: &WorkerTimes, began: &Began, ended: u64) -> Vec<Step> {
    let step = |name, from: u64, to: u64| Step {
        name,
        time: (from, to.max(from)),
        attributes: began.worker.iter().map(|worker| KeyValue::new("frond.worker", worker.clone())).collect(),
    };
    let load = times.code.map(|(from, to)| step("load", from, to));
    let loaded = times.code.map_or(0, |(_, to)| to);
    let queue = times.received.map(|at| step("queue", at.max(loaded), began.at));
    let pull = times.pulls.map(|pulls| {
        let mut pull = step("pull", pulls.from, pulls.to);
        pull.attributes.push(KeyValue::new("frond.pull.reads", int(pulls.reads)));
        pull.attributes.push(KeyValue::new("frond.pull.bytes", int(pulls.bytes)));
        pull.attributes.push(KeyValue::new("frond.pull.waited_us", int(pulls.waited)));
        pull
    });
    [load, queue, Some(step("run", began.at, ended)), pull].into_iter().flatten().collect()
}

/// A count as an attribute.
fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Derives the id of span `number` from the random bits of `id`; never 0.
pub(super) fn span_id(id: u128, number: u64) -> SpanId {
    let low = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(1);
    SpanId::from((low ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1))
}

#[cfg(test)]
mod tests {
    use frond_root::{FailureKind, PullTimes, Usage};

    use super::*;

    /// Returns the start and the end of an attempt.
    fn events(partition: u32, failure: Option<Failure>, waited: u64, waits: Vec<(u64, u64)>) -> [EventKind; 2] {
        let started = EventKind::AttemptStarted {
            partition,
            key: "p".into(),
            attempt: 1,
            slot: 0,
            weight: 1,
            units: None,
            cut_from: None,
            copy_of: None,
            worker: None,
        };
        let ended = EventKind::AttemptEnded {
            partition,
            attempt: 1,
            slot: 0,
            failure,
            usage: Usage::default(),
            log: Vec::new(),
            earlier: 0,
            waited,
            waits,
            part: None,
            on_worker: None,
            beaten: false,
        };
        [started, ended]
    }

    fn attempt(tree: &mut Tree, partition: u32, failure: Option<Failure>) {
        for kind in events(partition, failure, 0, Vec::new()) {
            tree.take(&Event { at: u64::from(partition), kind }, 0);
        }
    }

    #[test]
    fn the_span_of_a_leaf_has_events_for_its_waits() {
        let start = SystemTime::UNIX_EPOCH;
        let mut tree = Tree::new(TraceId::from(7_u128), 7, 0, start);
        let [started, ended] = events(0, None, 50, vec![(10, 40), (60, 80)]);
        tree.take(&Event { at: 5, kind: started }, 0);
        tree.take(&Event { at: 90, kind: ended }, 0);
        let [span] = &tree.spans[..] else { panic!("{:?}", tree.spans) };
        let micros = |time: SystemTime| time.duration_since(start).unwrap().as_micros();
        let events: Vec<_> = span.events.iter().map(|event| (&*event.name, micros(event.timestamp))).collect();
        assert_eq!(events, [("waits", 10), ("runs on", 40), ("waits", 60), ("runs on", 80)]);
        assert!(span.attributes.contains(&KeyValue::new("frond.waited_us", 50)));
    }

    #[test]
    fn what_a_worker_did_is_below_its_attempt() {
        let start = SystemTime::UNIX_EPOCH;
        let mut tree = Tree::new(TraceId::from(7_u128), 7, 0, start);
        let [mut started, mut ended] = events(0, None, 0, Vec::new());
        if let EventKind::AttemptStarted { worker, .. } = &mut started {
            *worker = Some("w".to_owned());
        }
        let pulls = PullTimes { from: 55, to: 70, waited: 9, reads: 3, bytes: 4096 };
        let times =
            WorkerTimes { claimed: 10, received: Some(20), code: Some((15, 40)), pulls: Some(pulls), heard: 99 };
        if let EventKind::AttemptEnded { on_worker, .. } = &mut ended {
            *on_worker = Some(Box::new(times));
        }
        tree.take(&Event { at: 50, kind: started }, 0);
        tree.take(&Event { at: 90, kind: ended }, 0);
        let micros = |time: SystemTime| time.duration_since(start).unwrap().as_micros();
        let told: Vec<_> =
            tree.spans.iter().map(|span| (&*span.name, micros(span.start_time), micros(span.end_time))).collect();
        assert_eq!(told, [("leaf", 10, 99), ("load", 15, 40), ("queue", 40, 50), ("run", 50, 90), ("pull", 55, 70)]);
        let [leaf, steps @ ..] = &tree.spans[..] else { panic!("{told:?}") };
        assert_eq!(leaf.parent_span_id, tree.root);
        let worker = KeyValue::new("frond.worker", "w");
        assert!(steps.iter().all(|step| step.parent_span_id == leaf.span_context.span_id()), "{steps:?}");
        assert!(steps.iter().all(|step| step.attributes.contains(&worker)), "{steps:?}");
        assert!(steps[3].attributes.contains(&KeyValue::new("frond.pull.bytes", 4096)));
    }

    #[test]
    fn omitted_spans_are_counted_and_rare_ones_have_room() {
        let mut tree = Tree::new(TraceId::from(7_u128), 7, 0, SystemTime::UNIX_EPOCH);
        let successes = u32::try_from(MAX_SPANS).unwrap() + 5;
        (0..successes).for_each(|index| attempt(&mut tree, index, None));
        attempt(&mut tree, successes, Some(Failure::new(FailureKind::Trap, "unreachable")));
        let root = Root {
            name: "query app".to_owned(),
            kind: SpanKind::Server,
            parent: None,
            attributes: Vec::new(),
            status: Status::Ok,
        };
        let Spans { spans, cut } = tree.ended(root, u64::from(successes));
        assert_eq!((spans.len() as u64 + cut, cut), (u64::from(successes) + 2, RESERVED as u64 + 5));
        assert!(spans.iter().any(|span| matches!(span.status, Status::Error { .. })));
        let root = spans.last().unwrap();
        assert_eq!(root.attributes, [KeyValue::new("frond.spans.dropped", int(cut))]);
        let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
        assert_eq!(ids.len(), spans.len());
    }
}
