//! Leaves of one query: runs an attempt and ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use frond_root::dispatch::Share;
use frond_root::{Attempt, Outcome, Usage, Work};

use crate::host::CallOrigin;
use crate::inline::is_given_up;
use crate::leaf::Leaf;
use crate::park::CallContext;

/// Leaves of one query.
pub(super) struct Query {
    pub(super) work: Arc<dyn Work>,
    pub(super) leaf: Leaf,
    /// Share of background work.
    pub(super) share: Share,
}

impl Query {
    /// Returns true for background work.
    pub(super) fn is_behind(&self) -> bool {
        self.work.background().is_some()
    }

    /// Runs an attempt and ends it. Returns the time of the call, and the attempt itself if it was
    /// given up only because it must not occupy this thread.
    pub(super) fn run(&self, attempt: Attempt, context: &CallContext) -> (Option<Attempt>, Duration) {
        let began = Instant::now();
        let deadline = attempt.deadline();
        let called = self.leaf.call(attempt, context);
        let took = began.elapsed();
        let output = called.result.as_ref().map_or(0, |partial| partial.len() as u64);
        let usage = Usage { output, ..called.usage };
        let short_calls = self.leaf.plugin.short_calls();
        let given_up = context.waker.is_none()
            && now() < deadline
            && called.result.as_ref().is_err_and(|failure| is_given_up(failure, took, &self.leaf.limits, short_calls));
        // A failed call has its log in its failure.
        let wrote = called.log.as_ref().filter(|log| called.result.is_ok() && log.written() > 0);
        let log = wrote.map(|log| log.read().shown()).unwrap_or_default();
        let mut left = None;
        if let CallOrigin::Leaf(attempt) = called.caller {
            if given_up {
                left = Some(attempt);
            } else {
                attempt.end(Outcome { result: called.result, ran: took, usage, log }, now());
            }
        }
        if let Some(weight) = self.work.background() {
            self.share.ran(took, weight);
        }
        self.leaf.plugin.learn(context.slot, took);
        (left, took)
    }
}

/// Returns the real time, even if tokio's clock is paused.
pub(super) fn now() -> tokio::time::Instant {
    Instant::now().into()
}
