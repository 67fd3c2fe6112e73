//! Folding of partials into an answer: the merge calls of a tree, while leaves run or all at once,
//! then the finish. Queries, their previews and partial answers of jobs all fold here.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::event::{EventKind, Events};
use crate::failure::{Failure, FailureKind};
use crate::limit::Limit;
use crate::merge::Partials;
use crate::merge::fold::{TreePosition, Urgency};
use crate::runner::{Covered, MergeFuture, MergeResult, Merger};

/// The most folds of one query that run at once.
const MAX_FOLDS: usize = 4;

/// Merge calls of one query: their merger, their time, and the listeners of their events.
#[derive(Clone)]
pub struct MergeCalls {
    /// Runs the calls.
    pub merger: Arc<dyn Merger>,
    /// The query's bytes.
    pub query: Bytes,
    /// Time by which each call ends.
    pub until: Instant,
    /// Limit behind `until`; `None` if no limit is named.
    pub limit: Option<Limit>,
    /// Receives the events.
    pub events: Events,
    /// Start of the query, from which the events count.
    pub start: Instant,
}

impl MergeCalls {
    fn emit(&self, kind: impl FnOnce() -> EventKind) {
        self.events.emit(self.start.elapsed(), kind);
    }

    /// Bounds a call by its time, should the merger fail to end it.
    fn within(&self, call: MergeFuture) -> impl Future<Output = MergeResult> + use<> {
        let until = self.until;
        let limit = self.limit;
        async move {
            let called = timeout_at(until, call).await.unwrap_or_else(|_| {
                let late = Failure::new(FailureKind::OutOfTime, "the merge was still running when its time was up");
                Err(Box::new(late))
            });
            called.map_err(|failure| match limit {
                Some(limit) => Box::new(failure.within(limit)),
                None => failure,
            })
        }
    }
}

/// Result of one fold.
pub struct FoldResult {
    fold: u32,
    place: TreePosition,
    freed: u64,
    result: MergeResult,
    /// Time of the call.
    pub took: Duration,
}

/// Running folds. Dropping them stops their guests.
pub struct Folds {
    calls: MergeCalls,
    running: JoinSet<FoldResult>,
    /// Folds that were done at their first poll.
    ended: VecDeque<FoldResult>,
    most: usize,
    begun: u32,
}

impl Folds {
    /// No folds yet; at most `most` run at once, within the bound for one query.
    #[must_use]
    pub fn new(calls: MergeCalls, most: usize) -> Self {
        let most = most.clamp(1, MAX_FOLDS);
        Self { calls, running: JoinSet::new(), ended: VecDeque::new(), most, begun: 0 }
    }

    /// Starts all folds that `urgency` allows and that have room.
    pub fn start(&mut self, partials: &mut Partials, urgency: Urgency) {
        while self.running.len() + self.ended.len() < self.most
            && let Some(next) = partials.next_fold(urgency)
        {
            let fold = self.begun;
            let freed = next.bytes();
            let place = next.place;
            self.begun += 1;
            self.calls.emit(|| EventKind::FoldStarted {
                fold,
                inputs: u32::try_from(next.inputs.len()).unwrap_or(u32::MAX),
                bytes: freed,
            });
            let call = self.calls.merger.merge(self.calls.query.clone(), next.inputs, self.calls.until);
            let mut bounded = Box::pin(self.calls.within(call));
            let began = Instant::now();
            let folded = move |result| FoldResult { fold, place, freed, result, took: began.elapsed() };
            match at_once(bounded.as_mut()) {
                Some(result) => self.ended.push_back(folded(result)),
                None => drop(self.running.spawn(async move { folded(bounded.await) })),
            }
        }
    }

    /// Waits for the next fold to end. `None` when none runs; a failure when its task was lost.
    pub async fn next(&mut self) -> Option<Result<FoldResult, Failure>> {
        if let Some(folded) = self.ended.pop_front() {
            return Some(Ok(folded));
        }
        let ended = self.running.join_next().await?;
        Some(ended.map_err(|lost| Failure::new(FailureKind::Lost, format!("a merge was lost: {lost}"))))
    }

    /// Adds a fold's result to the tree.
    ///
    /// # Errors
    /// The failure of the fold.
    pub fn take(&mut self, partials: &mut Partials, folded: Result<FoldResult, Failure>) -> Result<(), Failure> {
        let folded = folded?;
        let (result, failure) = match folded.result {
            Ok((bytes, _)) => (bytes, None),
            Err(failure) => (Bytes::new(), Some(*failure)),
        };
        let bytes = result.len() as u64;
        self.calls.emit(|| EventKind::FoldEnded { fold: folded.fold, bytes, failure: failure.clone() });
        partials.folded(folded.place, result, folded.freed);
        failure.map_or(Ok(()), Err)
    }

    /// Folds until `urgency` allows no further fold; [`Urgency::Any`] leaves one partial.
    ///
    /// # Errors
    /// The failure of the first fold that fails.
    pub async fn fold_all(&mut self, partials: &mut Partials, urgency: Urgency) -> Result<(), Failure> {
        loop {
            self.start(partials, urgency);
            match self.next().await {
                Some(folded) => self.take(partials, folded)?,
                None => return Ok(()),
            }
        }
    }

    /// Folds the remaining partials into one, and makes the answer from it.
    ///
    /// # Errors
    /// The failure of a fold or of the finish.
    pub async fn finish(mut self, mut partials: Partials, covered: Covered) -> Result<Bytes, Failure> {
        self.fold_all(&mut partials, Urgency::Any).await?;
        let calls = self.calls;
        calls.emit(|| EventKind::FinishStarted {});
        let call = calls.merger.finish(calls.query.clone(), partials.into_last(), covered, calls.until);
        calls.within(call).await.map(|(body, _)| body).map_err(|failure| *failure)
    }
}

/// Polls a call once and returns its result if it is done. Spawning a task for it would wake a
/// thread, which takes longer and displaces a leaf.
fn at_once(call: Pin<&mut impl Future<Output = MergeResult>>) -> Option<MergeResult> {
    let mut context = Context::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| call.poll(&mut context))) {
        Ok(Poll::Ready(merged)) => Some(merged),
        Ok(Poll::Pending) => None,
        Err(_) => Some(Err(Box::new(Failure::new(FailureKind::Lost, "a merge was lost: it panicked")))),
    }
}
