//! Division of a deadline: `D = plan + gather + stop grace + merge reserve + reply`.
//!
//! Systems without a reserve lose partials that they already hold (apache/pinot#15797).

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{Limit, Scope};

/// The least reserve for merging.
pub const MIN_RESERVE: Duration = Duration::from_millis(5);
/// The largest reserve for merging while nothing is measured.
pub const MAX_UNMEASURED_RESERVE: Duration = Duration::from_secs(5);
/// The most time reserved for returning the answer.
pub const MAX_REPLY: Duration = Duration::from_millis(5);
/// Time reserved for returning the answer, however near the deadline: timers may fire a millisecond
/// late.
pub const MIN_REPLY: Duration = Duration::from_millis(1);
/// The longest deadline; longer ones are cut to it. Keeps every instant within the clock's range.
pub const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The most time for cut-off leaves to stop and report.
pub const MAX_GRACE: Duration = Duration::from_millis(10);

/// Time budget of one query. The instants are in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Time at which leaves are cut off.
    pub leaf_deadline: Instant,
    /// Time at which the gather ends.
    pub gather_deadline: Instant,
    /// Time at which the merge is cut off.
    pub merge_deadline: Instant,
    /// Time by which the answer is promised.
    pub deadline: Instant,
    /// Time reserved for merging.
    pub reserve: Duration,
    /// Time that cut-off leaves are waited for.
    pub grace: Duration,
    /// Limit to name in failures that the deadline causes.
    pub limit: Limit,
}

impl Budget {
    /// Divides `deadline`, counted from `start`. `merge_p99` is the 99th percentile of past merges,
    /// if known.
    #[must_use]
    pub fn new(start: Instant, deadline: Duration, merge_p99: Option<Duration>) -> Self {
        let deadline = deadline.min(MAX_DEADLINE);
        let reserve = merge_reserve(deadline, merge_p99);
        let grace = MAX_GRACE.min(deadline / 50);
        let end = start + deadline;
        let reply = (deadline / 50).clamp(MIN_REPLY, MAX_REPLY).min(deadline / 4);
        let merge_deadline = end - reply;
        let gather_deadline = merge_deadline - reserve;
        Self {
            leaf_deadline: gather_deadline - grace,
            gather_deadline,
            merge_deadline,
            deadline: end,
            reserve,
            grace,
            limit: Limit::time(Scope::Query, deadline),
        }
    }
}

/// Time that a leaf has if it starts at once.
#[must_use]
pub fn leaf_time(deadline: Duration) -> Duration {
    let start = Instant::now();
    Budget::new(start, deadline, None).leaf_deadline - start
}

/// Time that a merge has when the gather has used all of its time.
#[must_use]
pub fn merge_time(deadline: Duration) -> Duration {
    let budget = Budget::new(Instant::now(), deadline, None);
    budget.merge_deadline - budget.gather_deadline
}

/// Time to reserve for merging: `clamp(1.5 × p99, 5 ms, 0.30 · D)`; without a measurement 10 % of
/// `D`, at most 5 s.
#[must_use]
pub fn merge_reserve(deadline: Duration, p99: Option<Duration>) -> Duration {
    let wanted = match p99 {
        Some(p99) => p99.saturating_mul(3) / 2,
        None => MAX_UNMEASURED_RESERVE.min(deadline / 10),
    };
    wanted.max(MIN_RESERVE).min(deadline.saturating_mul(3) / 10)
}
