//! What a job's answer would be by now: what is accepted, merged, with its account.

use bytes::Bytes;
use frond_root::answer::share;
use frond_root::merge::{Partials, Urgency};
use frond_root::runner::{Covered, Merger};
use frond_root::{Events, Failure};
use tokio::time::{Duration, Instant};

use crate::store::{Job, JobStore, StoreError};
use crate::work::AppVersion;

/// Bytes of partials read at once.
const BATCH: u64 = 8 << 20;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no partial answer.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// The store does not give what it keeps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The merge, or the finish, failed.
    #[error("what is there could not be merged: {0}")]
    Merge(Box<Failure>),
}

/// An answer made of what was accepted so far.
#[derive(Clone, Debug)]
pub struct PartialAnswer {
    /// What `finish` made of it.
    pub body: Bytes,
    /// The share of the planned weight that is in it.
    pub fraction: f64,
    /// Partials in it.
    pub partials: u64,
}

/// Merges what `job` has, in the tree that queries are merged in: each partial is folded some log₈(n) times. Ordered merges
/// get partials in the order of their partitions.
///
/// # Errors
/// See [`PartialError`].
pub async fn so_far(
    store: &dyn JobStore,
    job: &Job,
    app_version: &dyn AppVersion,
) -> Result<PartialAnswer, PartialError> {
    let asked = store.asked(job.id).await?;
    let request = app_version.request(&asked.query);
    let root = app_version.root(Events::default());
    let mut folding = Folding {
        merger: &*root.merger,
        query: asked.planned.unwrap_or(asked.query),
        until: Instant::now() + PATIENCE,
        tree: Partials::new(request.order, request.partials_memory),
        next: 0,
        partials: 0,
    };
    let mut after = None;
    loop {
        let page = store.partials(job.id, after, BATCH).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.index);
        for one in page {
            folding.add(one.index, one.bytes);
            // As it comes: of many that are there at once, the tree would fold the first ones again and again.
            folding.fold(false).await?;
        }
    }
    // What was accepted since the job was looked at is in it, too: the account is of now.
    let job = store.get(job.id).await?;
    let counts = job.counts;
    folding.skip_to(u32::try_from(counts.partitions).unwrap_or(u32::MAX));
    let covered = Covered {
        planned: counts.weight,
        covered: counts.settled_weight.min(counts.weight),
        complete: job.planned && folding.partials == counts.partitions && counts.degraded == 0,
    };
    let partials = folding.partials;
    let body = folding.finish(covered).await?;
    let fraction = if counts.weight == 0 { 0.0 } else { share(covered.covered, counts.weight) };
    Ok(PartialAnswer { body, fraction, partials })
}

/// Partials on their way into one answer.
struct Folding<'a> {
    merger: &'a dyn Merger,
    query: Bytes,
    until: Instant,
    tree: Partials,
    /// The next index that may come.
    next: u32,
    partials: u64,
}

impl Folding<'_> {
    fn add(&mut self, index: u32, partial: Bytes) {
        self.skip_to(index);
        self.tree.add(index, partial);
        self.next = index.saturating_add(1);
        self.partials += 1;
    }

    /// Says that no more partials come before `index`.
    fn skip_to(&mut self, index: u32) {
        (self.next..index).for_each(|missing| self.tree.skip(missing));
        self.next = self.next.max(index);
    }

    /// Makes the folds that are worth their call; with `all`, those that leave one partial.
    async fn fold(&mut self, all: bool) -> Result<(), PartialError> {
        let urgency = if all || self.tree.is_full() { Urgency::Any } else { Urgency::Full };
        while let Some(fold) = self.tree.next_fold(urgency) {
            let freed = fold.bytes();
            let merging = self.merger.merge(self.query.clone(), fold.inputs, self.until);
            let (merged, _) = merging.await.map_err(PartialError::Merge)?;
            self.tree.folded(fold.place, merged, freed);
        }
        Ok(())
    }

    async fn finish(mut self, covered: Covered) -> Result<Bytes, PartialError> {
        self.fold(true).await?;
        let finishing = self.merger.finish(self.query, self.tree.into_last(), covered, self.until);
        Ok(finishing.await.map_err(PartialError::Merge)?.0)
    }
}
