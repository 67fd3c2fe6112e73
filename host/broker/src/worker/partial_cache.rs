//! Finished partials of a worker that its roots have not stored. If a root dies, the next one that
//! runs the query recalls them, so that no finished leaf runs again.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use frond_root::AttemptId;
use frond_root::ledger::PartialRange;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::frames::{KeptPartial, MEMO_ID, MemoOf, RangeOf};
use crate::outcome::micros;

/// The most partials of all queries.
const MOST_PARTIALS: usize = 4096;
/// The most bytes of all partials.
const MOST_BYTES: usize = 64 << 20;
/// Time for which partials are kept after the loss of their root.
const KEEP: Duration = Duration::from_secs(600);

/// Cache of a worker's finished partials that are not stored, for all of its roots. The oldest goes
/// first.
#[derive(Clone, Debug, Default)]
pub struct PartialCache(Arc<Shared>);

/// Partials, as their queries share them.
#[derive(Debug, Default)]
struct Shared {
    next_run: AtomicU64,
    state: Mutex<State>,
}

/// Partials by age, and their numbers by attempt.
#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<(u64, AttemptId), u64>,
    bytes: usize,
    next: u64,
    /// Time until which a task removes what is kept for too long; `None` without a task.
    timed_until: Option<Instant>,
}

/// Partial of one attempt.
#[derive(Debug)]
struct Entry {
    run: Arc<RunMemo>,
    id: AttemptId,
    partial: RunPartial,
}

/// Partial of a leaf with what it accounts for.
#[derive(Clone, Debug)]
pub(super) struct RunPartial {
    /// Units that it accounts for; `None` for the whole partition.
    pub(super) units: Option<PartialRange>,
    /// The partial.
    pub(super) bytes: Bytes,
    /// Time that the leaf took.
    pub(super) ran: Duration,
    /// True if the leaf ended with success.
    pub(super) has_ended: bool,
    /// Token of the attempt.
    pub(super) token: Bytes,
}

/// Memo of one query of one session.
#[derive(Debug)]
struct RunMemo {
    number: u64,
    memo: MemoOf,
    /// Time at which the root was lost.
    lost: OnceLock<Instant>,
    /// True once the root has stopped the query: nothing of it is kept.
    is_stopped: AtomicBool,
}

/// Access of one query to the cache.
#[derive(Debug)]
pub(super) struct CachedRun {
    cache: Arc<Shared>,
    run: Arc<RunMemo>,
}

impl PartialCache {
    /// Adds a query. `None` if its memo has an id that is none.
    pub(super) fn open(&self, memo: MemoOf) -> Option<CachedRun> {
        (memo.id.len() == MEMO_ID).then(|| {
            let number = self.0.next_run.fetch_add(1, Ordering::Relaxed);
            let memo = MemoOf { id: Bytes::copy_from_slice(&memo.id), ..memo };
            let run = RunMemo { number, memo, lost: OnceLock::new(), is_stopped: AtomicBool::new(false) };
            CachedRun { cache: self.0.clone(), run: Arc::new(run) }
        })
    }

    /// Forgets after a while what a root has left that was lost by now. One task does so for all
    /// roots.
    pub(super) fn expire_later(&self) {
        // Without a runtime, the process is about to end.
        let Ok(runtime) = Handle::try_current() else { return };
        if self.0.state.lock().timed_until.replace(Instant::now() + KEEP).is_none() {
            runtime.spawn(expire_in_time(Arc::downgrade(&self.0)));
        }
    }

    /// Number of the next partial.
    pub(super) fn end(&self) -> u64 {
        let mut state = self.0.state.lock();
        state.expire(Instant::now());
        state.next
    }

    /// Copies the first partial under a memo whose number is among these.
    pub(super) fn first(&self, id: &[u8], numbers: Range<u64>) -> Option<KeptPartial> {
        let state = self.0.state.lock();
        let (number, entry) = state.entries.range(numbers).find(|(_, entry)| entry.run.memo.id == id)?;
        Some(entry.to_frame(*number))
    }

    /// Forgets partials under a memo, by their numbers.
    pub(super) fn forget(&self, id: &[u8], numbers: &[u64]) {
        let mut state = self.0.state.lock();
        for number in numbers {
            if state.entries.get(number).is_some_and(|entry| entry.run.memo.id == id) {
                state.remove(*number);
            }
        }
    }
}

impl CachedRun {
    /// Keeps the partial of an attempt, in the place of an earlier one.
    pub(super) fn keep(&self, id: AttemptId, partial: RunPartial) {
        let mut state = self.cache.state.lock();
        state.forget(self.run.number, id);
        // Under the lock: a query that is stopped leaves nothing behind.
        if !self.run.is_stopped.load(Ordering::SeqCst) {
            state.add(Entry { run: self.run.clone(), id, partial });
        }
    }

    /// Forgets the partial of an attempt whose call is made again.
    pub(super) fn retract(&self, id: AttemptId) {
        self.cache.state.lock().forget(self.run.number, id);
    }

    /// Forgets what the root has stored of an attempt: what it kept up to `until`, or all of it.
    pub(super) fn stored(&self, id: AttemptId, until: Option<u64>) {
        let mut state = self.cache.state.lock();
        let Some(number) = state.numbers.get(&(self.run.number, id)).copied() else { return };
        let Some(RunPartial { units, has_ended, .. }) = state.entries.get(&number).map(|entry| &entry.partial) else {
            return;
        };
        let reaches = |until: u64| !has_ended && units.is_some_and(|units| units.until <= until);
        if until.is_none_or(reaches) {
            state.remove(number);
        }
    }

    /// Forgets all: the root has stopped the query.
    pub(super) fn stop(&self) {
        let mut state = self.cache.state.lock();
        self.run.is_stopped.store(true, Ordering::SeqCst);
        let all = state.numbers.range(attempts(self.run.number)).map(|(_, number)| *number).collect::<Vec<_>>();
        all.into_iter().for_each(|number| state.remove(number));
    }

    /// Notes that the root is lost.
    pub(super) fn lose(&self) {
        self.run.lost.get_or_init(Instant::now);
    }
}

/// Forgets what is kept for too long, until nothing of a lost root can be left.
async fn expire_in_time(cache: Weak<Shared>) {
    while let Some(next) = cache.upgrade().and_then(|cache| cache.state.lock().expire_in_time(Instant::now())) {
        sleep_until(next).await;
    }
}

/// All attempts of a run.
fn attempts(run: u64) -> RangeInclusive<(u64, AttemptId)> {
    let id = |number| AttemptId { partition: number, number };
    (run, id(0))..=(run, id(u32::MAX))
}

impl State {
    fn add(&mut self, entry: Entry) {
        let size = entry.partial.bytes.len();
        if size > MOST_BYTES {
            return;
        }
        while self.entries.len() >= MOST_PARTIALS || self.bytes + size > MOST_BYTES {
            let Some(oldest) = self.entries.keys().next().copied() else { break };
            self.remove(oldest);
        }
        self.numbers.insert((entry.run.number, entry.id), self.next);
        self.entries.insert(self.next, entry);
        self.next += 1;
        self.bytes += size;
    }

    fn remove(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.bytes -= entry.partial.bytes.len();
            self.numbers.remove(&(entry.run.number, entry.id));
        }
    }

    /// Removes the partial of an attempt.
    fn forget(&mut self, run: u64, id: AttemptId) {
        if let Some(number) = self.numbers.get(&(run, id)).copied() {
            self.remove(number);
        }
    }

    /// Removes what is kept for too long.
    fn expire(&mut self, now: Instant) {
        let is_old = |entry: &Entry| entry.expiry().is_some_and(|at| now >= at);
        let old: Vec<_> = self.entries.iter().filter(|(_, entry)| is_old(entry)).map(|(number, _)| *number).collect();
        old.into_iter().for_each(|number| self.remove(number));
    }

    /// Removes what is kept for too long. Returns the time at which to do so again; `None` once
    /// nothing of a lost root can be left.
    fn expire_in_time(&mut self, now: Instant) -> Option<Instant> {
        self.expire(now);
        self.timed_until = self.timed_until.filter(|until| now < *until);
        let until = self.timed_until?;
        self.entries.values().filter_map(Entry::expiry).chain([until]).min()
    }
}

impl Entry {
    /// Time at which it is kept for too long; `None` while its root lives.
    fn expiry(&self) -> Option<Instant> {
        self.run.lost.get().map(|lost| *lost + KEEP)
    }

    fn to_frame(&self, number: u64) -> KeptPartial {
        let RunPartial { units, bytes, ran, has_ended, token } = &self.partial;
        let range = |PartialRange { begin, end, until, of }| RangeOf { begin, end, until, of };
        KeptPartial {
            number,
            epoch: self.run.memo.epoch,
            partition: self.id.partition,
            attempt: self.id.number,
            ran: micros(*ran),
            partial: bytes.clone(),
            units: units.map(range),
            has_ended: *has_ended,
            token: token.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
