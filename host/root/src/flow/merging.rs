//! Folds: started by the gather while leaves still run, and afterwards until one partial is left;
//! then the finish.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::query_run::QueryRun;
use crate::answer::Reason;
use crate::call::Usage;
use crate::event::EventKind;
use crate::failure::{Failure, FailureKind};
use crate::gather::Gather;
use crate::merge::Partials;
use crate::merge::fold::{TreePosition, Urgency};
use crate::runner::{Covered, MergeFuture, MergeResult};

/// The most folds of one query that run at once.
const MAX_FOLDS: usize = 4;

/// Result of one fold.
pub(super) struct FoldResult {
    fold: u32,
    place: TreePosition,
    freed: u64,
    result: MergeResult,
}

/// Running folds. Dropping them stops their guests.
pub(super) struct Folds {
    running: JoinSet<FoldResult>,
    /// Folds that were done at their first poll.
    ended: VecDeque<FoldResult>,
    most: usize,
    begun: u32,
}

impl Folds {
    pub(super) fn new(slots: usize) -> Self {
        Self { running: JoinSet::new(), ended: VecDeque::new(), most: slots.clamp(1, MAX_FOLDS), begun: 0 }
    }

    /// Starts all folds that `urgency` allows and that have room.
    pub(super) fn start(&mut self, run: &QueryRun, partials: &mut Partials, urgency: Urgency) {
        while self.running.len() + self.ended.len() < self.most
            && let Some(next) = partials.next_fold(urgency)
        {
            let fold = self.begun;
            let freed = next.bytes();
            let place = next.place;
            self.begun += 1;
            run.emit(|| EventKind::FoldStarted {
                fold,
                inputs: u32::try_from(next.inputs.len()).unwrap_or(u32::MAX),
                bytes: freed,
            });
            let until = run.budget.merge_deadline;
            let call = run.services.merger.merge(run.request.query.clone(), next.inputs, until);
            let mut bounded = Box::pin(within(run, call));
            let folded = move |result| FoldResult { fold, place, freed, result };
            match at_once(bounded.as_mut()) {
                Some(result) => self.ended.push_back(folded(result)),
                None => drop(self.running.spawn(async move { folded(bounded.await) })),
            }
        }
    }

    /// Waits for the next fold to end. `None` when none runs; a failure when its task was lost.
    pub(super) async fn next(&mut self) -> Option<Result<FoldResult, Failure>> {
        if let Some(folded) = self.ended.pop_front() {
            return Some(Ok(folded));
        }
        let ended = self.running.join_next().await?;
        Some(ended.map_err(|lost| Failure::new(FailureKind::Lost, format!("a merge was lost: {lost}"))))
    }

    /// Adds a fold's result to the tree, or returns its failure.
    pub(super) fn take(
        &mut self,
        run: &QueryRun,
        partials: &mut Partials,
        folded: Result<FoldResult, Failure>,
    ) -> Result<(), Failure> {
        let folded = folded?;
        let (result, failure) = match folded.result {
            Ok((bytes, _)) => (bytes, None),
            Err(failure) => (Bytes::new(), Some(*failure)),
        };
        run.emit(|| EventKind::FoldEnded { fold: folded.fold, bytes: result.len() as u64, failure: failure.clone() });
        partials.folded(folded.place, result, folded.freed);
        failure.map_or(Ok(()), Err)
    }
}

/// Folds the remaining partials into one, and makes the answer from it.
pub(super) async fn finish(
    run: &QueryRun,
    gather: &Gather,
    complete: bool,
    mut partials: Partials,
    mut folds: Folds,
) -> Result<Bytes, Reason> {
    loop {
        folds.start(run, &mut partials, Urgency::Any);
        match folds.next().await {
            Some(folded) => folds.take(run, &mut partials, folded).map_err(reason)?,
            None => break,
        }
    }
    run.emit(|| EventKind::FinishStarted {});
    let covered = Covered { planned: gather.planned(), covered: gather.covered(), complete };
    let until = run.budget.merge_deadline;
    let call = run.services.merger.finish(run.request.query.clone(), partials.into_last(), covered, until);
    within(run, call).await.map(|(body, _)| body).map_err(|failure| reason(*failure))
}

/// Maps a merge's failure to the query's.
pub(super) fn reason(failure: Failure) -> Reason {
    match failure.kind {
        FailureKind::InvalidQuery => Reason::InvalidQuery(failure),
        _ => Reason::Merge(failure),
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

/// Bounds a call by the merge deadline, should the merger fail to end it in time.
fn within(run: &QueryRun, call: MergeFuture) -> impl Future<Output = Result<(Bytes, Usage), Box<Failure>>> + use<> {
    let until = run.budget.merge_deadline;
    let limit = run.budget.limit;
    async move {
        let called = timeout_at(until, call).await.unwrap_or_else(|_| {
            let late = Failure::new(FailureKind::OutOfTime, "the merge was still running when its time was up");
            Err(Box::new(late))
        });
        called.map_err(|failure| Box::new(failure.within(limit)))
    }
}
