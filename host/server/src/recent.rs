//! Recent queries, those that run included, with what happened to each: bounded in number and in memory. Whoever watches
//! one reads what is kept, at their own pace: nobody who is slow holds up a query, or misses what is still kept.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use frond_root::answer::millis;
use frond_root::{Answer, Cancel, Event, EventKind, Floor, Listener, PartitionKey, QueryId, Request};
use tokio::sync::Notify;

mod following;
mod lists;
mod preview;
mod state;
mod views;

use state::{End, State, account_bytes, texts};
pub(crate) use state::{Slowest, SoFar};
pub(crate) use views::{Counts, Detail, ShownBytes, Summary, floor_word};

use crate::reply::word;

/// The most events of one query that are kept, beside those that it has but one of.
const MAX_EVENTS: usize = 200_000;
/// The most bytes of a query, and of an answer, that are kept to be shown.
const MAX_SHOWN: usize = 64 << 10;
/// What an event takes, about, beside its texts.
const EVENT_BYTES: usize = size_of::<Event>() + 64;
/// With this many times the memory that recent queries may take, those that run no longer keep what repeats.
const RUNNING_SHARE: usize = 2;

/// The queries, newest last.
pub(crate) struct Recent {
    queries: Mutex<VecDeque<Arc<QueryRecord>>>,
    most: usize,
    memory: usize,
    used: Arc<Used>,
    running: Arc<AtomicUsize>,
    total: AtomicU64,
    counted: Arc<Mutex<Counted>>,
}

/// Beginnings and ends, counted; and ends alone, of all and of each caller.
#[derive(Default)]
struct Counted {
    all: NewsCursor,
    ends: HashMap<String, u64>,
}

/// What queries take, in bytes.
#[derive(Default)]
struct Used {
    all: AtomicUsize,
    /// Of those that are not listed any more, and that somebody still reads.
    forgotten: AtomicUsize,
}

impl Used {
    fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Of those that are listed: to forget more of them would not free what somebody reads.
    fn listed(&self) -> usize {
        self.all().saturating_sub(self.forgotten.load(Ordering::Relaxed))
    }
}

/// How much of the news somebody has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewsCursor {
    change: u64,
    end: u64,
}

/// One query, as far as it is known.
pub(crate) struct QueryRecord {
    pub(crate) id: QueryId,
    pub(crate) app: String,
    /// Whom it belongs to; nobody in particular where there are no tokens.
    caller: Option<String>,
    pub(crate) version: u64,
    pub(crate) content_type: String,
    pub(crate) cancel: Cancel,
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
    /// What is kept of it, in bytes.
    bytes: AtomicUsize,
    /// It is not listed any more.
    forgotten: AtomicBool,
    /// What all queries may take before those that run keep less.
    most: usize,
    counted: Arc<Mutex<Counted>>,
    /// Which change its last was, and which end its own: of all, and of its caller.
    change: AtomicU64,
    end: AtomicU64,
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

    /// A caller's query begins, at a version whose answers are of this type.
    pub(crate) fn begin(
        &self,
        caller: Option<&str>,
        request: &Request,
        version: u64,
        answers: &str,
        cancel: &Cancel,
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
            slots: request.slots,
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
        let mut queries = lock(&self.queries);
        queries.push_back(recorded.clone());
        self.forget(&mut queries);
        recorded.changed_now(false);
        recorded
    }

    /// A query has ended: there may be more than are kept.
    pub(crate) fn tidy(&self) {
        self.forget(&mut lock(&self.queries));
    }

    /// Those that ended go first, the oldest first; those that run are kept.
    fn forget(&self, queries: &mut VecDeque<Arc<QueryRecord>>) {
        while queries.len() > self.most || self.used.listed() > self.memory {
            let Some(at) = queries.iter().position(|one| lock(&one.state).end.is_some()) else { return };
            if let Some(one) = queries.remove(at) {
                // It has ended: its bytes do not change any more.
                one.forgotten.store(true, Ordering::Relaxed);
                self.used.forgotten.fetch_add(one.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// Those that run.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// All that ever began.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// What they take, in bytes, those included that somebody still reads.
    pub(crate) fn memory(&self) -> usize {
        self.used.all()
    }
}

impl QueryRecord {
    /// True when it belongs to this caller; any does to `None`, who sees everybody's.
    fn is_of(&self, caller: Option<&str>) -> bool {
        caller.is_none_or(|caller| self.caller.as_deref() == Some(caller))
    }

    /// What a list says of it.
    pub(crate) fn summary(&self) -> Summary {
        let state = lock(&self.state);
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
            fraction: coverage.map_or(state.fraction(), |coverage| coverage.fraction),
            partitions: state.counts,
            events: state.events.len() as u64 + state.missed,
        }
    }

    /// All that is known of it, but for its events.
    pub(crate) fn detail(&self) -> Detail {
        let summary = self.summary();
        let state = lock(&self.state);
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
        lock(&self.state).slowest.clone()
    }

    /// Its partitions and the covered share, by weight.
    pub(crate) fn progress(&self) -> (Counts, f64) {
        let state = lock(&self.state);
        (state.counts, state.fraction())
    }

    /// The newest preview of its answer, taken away.
    pub(crate) fn take_preview(&self) -> Option<SoFar> {
        lock(&self.state).preview.take()
    }

    /// The kept events from number `from` on, at most `most` of them; how many were not kept; and whether more may come.
    pub(crate) fn events(&self, from: usize, most: usize) -> (Vec<Event>, u64, bool) {
        let state = lock(&self.state);
        let rest = state.events.get(from..).unwrap_or_default();
        let events: Vec<_> = rest.iter().take(most).cloned().collect();
        let more = state.end.is_none() || rest.len() > events.len();
        (events, state.missed, more)
    }

    /// Waits for news. Whoever asks has to look again before, as news that came earlier are not told.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// It has an answer, or an account of why not.
    pub(crate) fn answered(&self, answer: &Answer) {
        let reason = match answer {
            Answer::Failed { reason, .. } => Some(word(reason)),
            _ => None,
        };
        let kept = answer.body().map(|body| (shown(body), body.len()));
        let coverage = Some(Box::new(answer.coverage().clone()));
        self.end(End { took: self.age(), outcome: answer.outcome(), reason, coverage, answer: kept });
    }

    /// It was refused before it could have an answer.
    pub(crate) fn refused(&self) {
        self.end(End { took: self.age(), outcome: "failed", reason: Some("refused"), coverage: None, answer: None });
    }

    /// Counts a change and says which it is, in one step: whoever has seen the count can see which it was.
    fn changed_now(&self, ends: bool) {
        let mut counted = lock(&self.counted);
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
        // The account is in the last event, too, which says how large it is.
        self.takes(answer + end.coverage.as_ref().map_or(0, |coverage| account_bytes(coverage)));
        let mut state = lock(&self.state);
        if state.end.is_none() {
            state.counts.running = 0;
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
        if lock(&self.state).end.is_none() {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Listener for QueryRecord {
    fn event(&self, event: &Event) {
        let bytes = EVENT_BYTES + texts(event);
        let mut state = lock(&self.state);
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

/// What is kept of bytes. Copied, so that a short beginning does not keep the whole.
fn shown(bytes: &Bytes) -> Bytes {
    match bytes.get(..MAX_SHOWN) {
        Some(first) => Bytes::copy_from_slice(first),
        None => bytes.clone(),
    }
}

pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
