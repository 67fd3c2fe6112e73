//! Answer of a job so far: its accepted partials, merged and finished, with their coverage.

use bytes::Bytes;
use frond_root::answer::share;
use frond_root::folding::{Folds, MergeCalls};
use frond_root::ledger::Position;
use frond_root::merge::fold::Urgency;
use frond_root::merge::{Partials, Span};
use frond_root::runner::Covered;
use frond_root::{Events, Failure, Request};
use tokio::time::{Duration, Instant};

use crate::store::{Job, JobStore, Partial, StoreError};
use crate::work::AppVersion;

/// Bytes of partials per read.
const BATCH: u64 = 8 << 20;
/// Time limit of the whole merge.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reason why there is no partial answer.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The merge or the finish failed.
    #[error("the accepted partials could not be merged: {0}")]
    Merge(Box<Failure>),
}

/// An answer made of the partials accepted so far.
#[derive(Clone, Debug)]
pub struct PartialAnswer {
    /// Answer of the app's `finish`.
    pub body: Bytes,
    /// Covered share of the planned weight, from 0 to 1.
    pub fraction: f64,
    /// Number of merged partials.
    pub partials: u64,
}

/// Merges and finishes the accepted partials of `job`, in the same kind of tree as a query: each
/// partial takes part in about log₈(n) merges. Ordered merges get partials in the order of their
/// partitions.
///
/// # Errors
/// See [`PartialError`].
pub async fn so_far(
    store: &dyn JobStore,
    job: &Job,
    app_version: &dyn AppVersion,
) -> Result<PartialAnswer, PartialError> {
    let job_query = store.asked(job.id).await?;
    let app = app_version.request(&job_query.query);
    let request = Request { tenant: job.tenant(app.tenant.clone()), background: Some(1), ..app };
    let root = app_version.services(&request, Events::default());
    let start = Instant::now();
    let calls = MergeCalls {
        merger: root.merger,
        query: job_query.planned.unwrap_or(job_query.query),
        until: start + PATIENCE,
        limit: None,
        events: Events::default(),
        start,
    };
    let mut folding = Folding {
        folds: Folds::new(calls, 1),
        tree: Partials::new(request.order, request.partials_memory),
        next: (0, 0),
        partials: 0,
    };
    // Read before the partials, of which it must have all.
    let before = store.get(job.id).await?;
    let was_done = before.planned && before.counts.done == before.counts.partitions;
    let mut after = None;
    loop {
        let page = store.partials(job.id, after, BATCH).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.index, last.range.map_or(0, |range| range.begin)));
        for one in page {
            folding.add(one);
            // One partial at a time: given many at once, the tree would merge the first ones
            // repeatedly.
            folding.fold().await.map_err(unmerged)?;
        }
    }
    // Read again: partials accepted in the meantime are merged, too, so the counts must include
    // them.
    let job = store.get(job.id).await?;
    let counts = job.counts;
    folding.skip_to((u32::try_from(counts.partitions).unwrap_or(u32::MAX), 0));
    let covered =
        Covered { planned: counts.weight, covered: counts.settled_weight.min(counts.weight), complete: was_done };
    let partials = folding.partials;
    let body = folding.folds.finish(folding.tree, covered).await.map_err(unmerged)?;
    let fraction = if counts.weight == 0 { 0.0 } else { share(covered.covered, counts.weight) };
    Ok(PartialAnswer { body, fraction, partials })
}

fn unmerged(failure: Failure) -> PartialError {
    PartialError::Merge(Box::new(failure))
}

/// Merge of a job's partials into one answer.
struct Folding {
    folds: Folds,
    tree: Partials,
    /// Next position that may be added.
    next: Position,
    partials: u64,
}

impl Folding {
    fn add(&mut self, partial: Partial) {
        let index = partial.index;
        let span = partial.range.map_or(index.into(), |range| Span::part(index, &range.covered(), range.of));
        // A part that skips everything has no partial.
        if partial.range.is_some_and(|range| range.covered().is_empty()) {
            return;
        }
        self.skip_to(span.from());
        self.tree.add(span, partial.bytes);
        self.next = span.to();
        self.partials += 1;
    }

    /// Declares that no partials come before a position.
    fn skip_to(&mut self, position: Position) {
        if self.next < position {
            self.tree.skip(Span::between(self.next, position));
            self.next = position;
        }
    }

    /// Runs the merges that are worth their call; when the tree is full, smaller ones, too.
    async fn fold(&mut self) -> Result<(), Failure> {
        let urgency = if self.tree.is_full() { Urgency::Any } else { Urgency::Full };
        self.folds.fold_all(&mut self.tree, urgency).await
    }
}
