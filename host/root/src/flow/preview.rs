//! Previews of the answer: merged and finished from the current partials while leaves still run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::query_run::QueryRun;
use crate::event::Preview;
use crate::merge::Partials;
use crate::merge::fold::FOLD_BYTES;
use crate::runner::{Covered, Merger};

/// Previews take at most one part in so many of a thread's time.
const SHARE: u32 = 5;

/// Previews of one query: at most one runs. Dropping it stops its guest.
pub(super) struct Previews {
    to: Option<Arc<dyn Preview>>,
    due: Instant,
    shown: u64,
    running: JoinSet<Duration>,
}

impl Previews {
    pub(super) fn new(run: &QueryRun) -> Self {
        let to = run.services.events.preview().cloned();
        let due = run.start + to.as_ref().map_or(Duration::ZERO, |to| to.every());
        Self { to, due, shown: 0, running: JoinSet::new() }
    }

    /// Earliest time of the next preview; `None` when nobody wants one or one is running.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.to.is_some() && self.running.is_empty()).then_some(self.due)
    }

    /// True when a preview is due and has news: no fold should start before it has its partials.
    pub(super) fn is_due(&self, now: Instant, covered: u64) -> bool {
        self.due().is_some_and(|due| due <= now) && covered > self.shown
    }

    /// Starts a preview of `partials`, none of which is being folded.
    pub(super) fn start(&mut self, run: &QueryRun, partials: &Partials, covered: Covered) {
        let Some(to) = self.to.clone() else { return };
        self.shown = covered.covered;
        let partials = partials.peek();
        if partials.is_empty() || partials.iter().map(Bytes::len).sum::<usize>() > FOLD_BYTES {
            return self.later(Duration::ZERO);
        }
        let merger = run.services.merger.clone();
        let query = run.request.query.clone();
        let start = run.start;
        let until = run.budget.gather_deadline;
        self.running.spawn(async move {
            let began = Instant::now();
            if let Ok(Some(body)) = timeout_at(until, preview(&*merger, query, partials, covered, until)).await {
                to.take(began.saturating_duration_since(start), body, covered);
            }
            began.elapsed()
        });
    }

    /// Waits for the running preview and returns how long it took.
    pub(super) async fn ended(&mut self) -> Option<Duration> {
        self.running.join_next().await.map(Result::unwrap_or_default)
    }

    /// Schedules the next preview after one that took `took`.
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
