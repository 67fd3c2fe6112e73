//! Previews of the answer: merged and finished from the current partials while leaves still run.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::query_run::QueryRun;
use crate::event::{Events, Preview};
use crate::folding::{Folds, MergeCalls};
use crate::merge::Partials;
use crate::merge::fold::FOLD_BYTES;
use crate::runner::Covered;

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
        if partials.ready() == 0 || partials.held() > FOLD_BYTES as u64 {
            return self.later(Duration::ZERO);
        }
        let until = run.budget.gather_deadline;
        let calls = MergeCalls { until, events: Events::default(), ..run.merge_calls() };
        let folding = Folds::new(calls, 1).finish(partials.snapshot(), covered);
        let start = run.start;
        self.running.spawn(async move {
            let began = Instant::now();
            if let Ok(body) = folding.await {
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
