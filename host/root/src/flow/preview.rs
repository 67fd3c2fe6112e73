//! What the answer would be by now, for those who watch: merged of what is there, while leaves still run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{QueryRun, query_of};
use crate::event::Preview;
use crate::merge::{FOLD_BYTES, Partials};
use crate::runner::{Covered, Merger};

/// Previews may take this part of one thread's time.
const SHARE: u32 = 5;

/// The previews of one query: at most one under way. Dropping it stops its guest.
pub(super) struct Previews {
    to: Option<Arc<dyn Preview>>,
    due: Instant,
    shown: u64,
    running: JoinSet<Duration>,
}

impl Previews {
    pub(super) fn new(course: &QueryRun) -> Self {
        let to = course.root.events.preview().cloned();
        let due = course.start + to.as_ref().map_or(Duration::ZERO, |to| to.every());
        Self { to, due, shown: 0, running: JoinSet::new() }
    }

    /// When the next one may be made; `None` when nobody wants one, or one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.to.is_some() && self.running.is_empty()).then_some(self.due)
    }

    /// True when one is to be made: no fold should begin until it has what there is.
    pub(super) fn is_due(&self, now: Instant, covered: u64) -> bool {
        self.due().is_some_and(|due| due <= now) && covered > self.shown
    }

    /// Makes one of `partials`, none of which is being folded.
    pub(super) fn start(&mut self, course: &QueryRun, partials: &Partials, covered: Covered) {
        let Some(to) = self.to.clone() else { return };
        self.shown = covered.covered;
        let partials = partials.peek();
        if partials.is_empty() || partials.iter().map(Bytes::len).sum::<usize>() > FOLD_BYTES {
            return self.later(Duration::ZERO);
        }
        let (merger, query, start) = (course.root.merger.clone(), query_of(course), course.start);
        let until = course.budget.gather_deadline;
        self.running.spawn(async move {
            let began = Instant::now();
            if let Ok(Some(body)) = timeout_at(until, preview(&*merger, query, partials, covered, until)).await {
                to.take(began.saturating_duration_since(start), body, covered);
            }
            began.elapsed()
        });
    }

    /// Waits for the one under way.
    pub(super) async fn ended(&mut self) -> Option<Duration> {
        self.running.join_next().await.map(Result::unwrap_or_default)
    }

    /// The last one took `took`.
    pub(super) fn later(&mut self, took: Duration) {
        let every = self.to.as_ref().map_or(Duration::ZERO, |to| to.every());
        self.due = Instant::now() + every.max(took * SHARE);
    }
}

async fn preview(
    merger: &dyn Merger,
    query: Bytes,
    mut partials: Vec<Bytes>,
    covered: Covered,
    until: Instant,
) -> Option<Bytes> {
    let merged = match partials.len() {
        0 | 1 => partials.pop(),
        _ => Some(merger.merge(query.clone(), partials, until).await.ok()?.0),
    };
    Some(merger.finish(query, merged, covered, until).await.ok()?.0)
}
