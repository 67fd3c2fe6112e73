//! Recent and running queries with their events, bounded in number and in memory.
//! Followers read the kept events at their own pace: a slow follower delays no query, and misses no
//! kept event.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use frond_root::answer::millis;
use frond_root::{Answer, CancellationToken, Event, EventKind, Floor, Listener, PartitionKey, QueryId, Request};
use parking_lot::Mutex;
use tokio::sync::Notify;

mod following;
mod lists;
mod preview;
mod state;
mod views;

use state::{End, State, account_bytes, texts};
pub(crate) use state::{Slowest, SoFar};
pub(crate) use views::{Counts, Detail, ShownBytes, Summary, floor_word};

/// The most repeatable events that are kept of one query.
const MAX_EVENTS: usize = 200_000;
/// The most bytes of a query, and of an answer, that are kept to be shown.
const MAX_SHOWN: usize = 64 << 10;
/// Approximate size of an event without its texts, in bytes.
const EVENT_BYTES: usize = size_of::<Event>() + 64;
/// Running queries stop keeping repeatable events at this multiple of the memory limit.
const RUNNING_SHARE: usize = 2;

/// Recent queries, oldest first.
pub(crate) struct Recent {
    queries: Mutex<VecDeque<Arc<QueryRecord>>>,
    most: usize,
    memory: usize,
    used: Arc<Used>,
    running: Arc<AtomicUsize>,
    total: AtomicU64,
    counted: Arc<Mutex<Counted>>,
}

/// Counters of changes: of beginnings and ends, and of ends alone, in total and by caller.
#[derive(Default)]
struct Counted {
    all: NewsCursor,
    ends: HashMap<String, u64>,
}

/// Memory of queries, in bytes.
#[derive(Default)]
struct Used {
    all: AtomicUsize,
    /// Bytes of queries that are no longer listed, but still read.
    forgotten: AtomicUsize,
}

impl Used {
    fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Bytes of listed queries; dropping more of them would not free the others.
    fn listed(&self) -> usize {
        self.all().saturating_sub(self.forgotten.load(Ordering::Relaxed))
    }
}

/// Cursor into the changes of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewsCursor {
    change: u64,
    end: u64,
}

/// One query with everything that is kept of it.
pub(crate) struct QueryRecord {
    pub(crate) id: QueryId,
    pub(crate) app: String,
    /// The query's owner; `None` if the server has no tokens.
    caller: Option<String>,
    pub(crate) version: u64,
    pub(crate) content_type: String,
    pub(crate) cancel: CancellationToken,
    query: Bytes,
    query_bytes: usize,
    floor: Floor,
    required: Vec<PartitionKey>,
    deadline: Duration,
    slots: usize,
    started: SystemTime,
    state: Mutex<State>,
    changed: Notify,
    used: Arc<Used>,
    running: Arc<AtomicUsize>,
    /// Memory used for it, in bytes.
    bytes: AtomicUsize,
    /// True once it is no longer listed.
    forgotten: AtomicBool,
    /// Limit of the memory of all queries, above which running ones keep fewer events.
    most: usize,
    counted: Arc<Mutex<Counted>>,
    /// Number of its last change, among all changes.
    change: AtomicU64,
    /// Number of its end, among all ends.
    end: AtomicU64,
    /// Number of its end, among those of its caller.
    end_of_caller: AtomicU64,
}

impl Recent {
    pub(crate) fn new(most: usize, memory: usize) -> Self {
        Self {
            queries: Mutex::default(),
            most,
            memory,
            used: Arc::default(),
            running: Arc::default(),
            total: AtomicU64::new(0),
            counted: Arc::default(),
        }
    }

    /// Adds a query that begins, on a version with answers of this media type.
    pub(crate) fn begin(
        &self,
        caller: Option<&str>,
        request: &Request,
        slots: usize,
        version: u64,
        answers: &str,
        cancel: &CancellationToken,
    ) -> Arc<QueryRecord> {
        let recorded = Arc::new(QueryRecord {
            id: request.id,
            app: request.app.clone(),
            caller: caller.map(str::to_owned),
            version,
            content_type: answers.to_owned(),
            cancel: cancel.clone(),
            query: shown(&request.query),
            query_bytes: request.query.len(),
            floor: request.floor,
            required: request.required.clone(),
            deadline: request.deadline,
            slots,
            started: SystemTime::now(),
            state: Mutex::default(),
            changed: Notify::new(),
            used: self.used.clone(),
            running: self.running.clone(),
            bytes: AtomicUsize::new(0),
            forgotten: AtomicBool::new(false),
            most: self.memory.saturating_mul(RUNNING_SHARE),
            counted: self.counted.clone(),
            change: AtomicU64::new(0),
            end: AtomicU64::new(0),
            end_of_caller: AtomicU64::new(0),
        });
        self.running.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        recorded.takes(size_of::<QueryRecord>() + recorded.query.len());
        let mut queries = self.queries.lock();
        queries.push_back(recorded.clone());
        self.forget(&mut queries);
        recorded.changed_now(false);
        recorded
    }

    /// Drops queries over the limits, after a query has ended.
    pub(crate) fn tidy(&self) {
        self.forget(&mut self.queries.lock());
    }

    /// Drops the oldest ended queries; running ones are kept.
    fn forget(&self, queries: &mut VecDeque<Arc<QueryRecord>>) {
        while queries.len() > self.most || self.used.listed() > self.memory {
            let Some(at) = queries.iter().position(|one| one.state.lock().end.is_some()) else { return };
            if let Some(one) = queries.remove(at) {
                // The size of an ended query is final.
                one.forgotten.store(true, Ordering::Relaxed);
                self.used.forgotten.fetch_add(one.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// Number of running queries.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Number of queries since the server started.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Memory of all queries in bytes, including unlisted ones that are still read.
    pub(crate) fn memory(&self) -> usize {
        self.used.all()
    }
}

impl QueryRecord {
    /// True if it belongs to this caller, or for `None`, which stands for all callers.
    fn is_of(&self, caller: Option<&str>) -> bool {
        caller.is_none_or(|caller| self.caller.as_deref() == Some(caller))
    }

    /// The query as an entry of a list.
    pub(crate) fn summary(&self) -> Summary {
        let state = self.state.lock();
        let end = state.end.as_ref();
        let coverage = end.and_then(|end| end.coverage.as_ref());
        Summary {
            id: self.id,
            app: self.app.clone(),
            version: self.version,
            state: if end.is_some() { "ended" } else { "running" },
            outcome: end.map(|end| end.outcome),
            reason: end.and_then(|end| end.reason),
            started_unix_ms: unix_ms(self.started),
            took_ms: end.map(|end| millis(end.took)),
            deadline_ms: millis(self.deadline),
            slots: self.slots,
            fraction: coverage.map_or(state.progress.fraction(), |coverage| coverage.fraction),
            partitions: state.counts(),
            events: state.events.len() as u64 + state.missed,
        }
    }

    /// The query with everything except the events.
    pub(crate) fn detail(&self) -> Detail {
        let summary = self.summary();
        let state = self.state.lock();
        let end = state.end.as_ref();
        Detail {
            summary,
            query: ShownBytes::of(&self.query, self.query_bytes),
            floor: floor_word(self.floor),
            require: self.required.iter().map(ToString::to_string).collect(),
            coverage: end.and_then(|end| end.coverage.clone()),
            answer: end.and_then(|end| end.answer.as_ref()).map(|(body, bytes)| ShownBytes::of(body, *bytes)),
            content_type: self.content_type.clone(),
        }
    }

    /// The attempt that took longest.
    pub(crate) fn slowest(&self) -> Option<Slowest> {
        self.state.lock().slowest.clone()
    }

    /// Counts of its partitions, and the covered share of the weight.
    pub(crate) fn progress(&self) -> (Counts, f64) {
        let state = self.state.lock();
        (state.counts(), state.progress.fraction())
    }

    /// Takes the newest preview of its answer.
    pub(crate) fn take_preview(&self) -> Option<SoFar> {
        self.state.lock().preview.take()
    }

    /// The kept events from number `from`, at most `most`; the number of events that were not kept;
    /// and whether more may follow.
    pub(crate) fn events(&self, from: usize, most: usize) -> (Vec<Event>, u64, bool) {
        let state = self.state.lock();
        let rest = state.events.get(from..).unwrap_or_default();
        let events: Vec<_> = rest.iter().take(most).cloned().collect();
        let more = state.end.is_none() || rest.len() > events.len();
        (events, state.missed, more)
    }

    /// Waits for the next change.
    /// Call it before reading the state: earlier changes do not wake it.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Ends it with an answer or a failure with its account.
    pub(crate) fn answered(&self, answer: &Answer) {
        let reason = match answer {
            Answer::Failed { reason, .. } => Some(reason.slug()),
            _ => None,
        };
        let kept = answer.body().map(|body| (shown(body), body.len()));
        let coverage = Some(Box::new(answer.coverage().clone()));
        self.end(End { took: self.age(), outcome: answer.outcome(), reason, coverage, answer: kept });
    }

    /// Ends it without an answer, because it was refused.
    pub(crate) fn refused(&self) {
        self.end(End { took: self.age(), outcome: "failed", reason: Some("refused"), coverage: None, answer: None });
    }

    /// Counts a change and stores its number, under one lock: a reader that sees the count also
    /// sees the number.
    fn changed_now(&self, ends: bool) {
        let mut counted = self.counted.lock();
        counted.all.change += 1;
        self.change.store(counted.all.change, Ordering::SeqCst);
        if ends {
            counted.all.end += 1;
            self.end.store(counted.all.end, Ordering::SeqCst);
            if let Some(caller) = &self.caller {
                let ends = counted.ends.entry(caller.clone()).or_default();
                *ends += 1;
                self.end_of_caller.store(*ends, Ordering::SeqCst);
            }
        }
    }

    fn age(&self) -> Duration {
        self.started.elapsed().unwrap_or_default()
    }

    fn takes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.used.all.fetch_add(bytes, Ordering::Relaxed);
    }

    fn end(&self, end: End) {
        let answer = end.answer.as_ref().map_or(0, |(kept, _)| kept.len());
        // The account is in the last event as well, which counts its own size.
        self.takes(answer + end.coverage.as_ref().map_or(0, |coverage| account_bytes(coverage)));
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
            self.running.fetch_sub(1, Ordering::Relaxed);
            self.changed_now(true);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Drop for QueryRecord {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.used.all.fetch_sub(bytes, Ordering::Relaxed);
        if *self.forgotten.get_mut() {
            self.used.forgotten.fetch_sub(bytes, Ordering::Relaxed);
        }
        if self.state.lock().end.is_none() {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Listener for QueryRecord {
    fn event(&self, event: &Event) {
        let bytes = EVENT_BYTES + texts(event);
        let mut state = self.state.lock();
        state.count(event);
        let repeats = matches!(
            event.kind,
            EventKind::AttemptStarted { .. }
                | EventKind::AttemptEnded { .. }
                | EventKind::PartitionMissing { .. }
                | EventKind::RetryScheduled { .. }
                | EventKind::FoldStarted { .. }
                | EventKind::FoldEnded { .. }
        );
        let full = state.events.len() >= MAX_EVENTS || self.used.all() > self.most;
        if repeats && full {
            state.missed += 1;
            return;
        }
        state.events.push(event.clone());
        drop(state);
        self.takes(bytes);
        self.changed.notify_waiters();
    }
}

/// The bytes that are kept to be shown. A prefix is copied, so that the rest can be freed.
fn shown(bytes: &Bytes) -> Bytes {
    match bytes.get(..MAX_SHOWN) {
        Some(first) => Bytes::copy_from_slice(first),
        None => bytes.clone(),
    }
}

pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
