//! How a deadline is divided: `D = plan + gather + stop grace + merge reserve + reply`.
//!
//! Systems that keep nothing back lose partials that they already hold (apache/pinot#15797).

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::{Limit, Scope};

/// The least that is kept for merging.
pub const MIN_RESERVE: Duration = Duration::from_millis(5);
/// The most that is kept for merging while nothing is measured.
pub const MAX_UNMEASURED_RESERVE: Duration = Duration::from_secs(5);
/// The most that is kept for handing the answer over.
pub const MAX_REPLY: Duration = Duration::from_millis(5);
/// What is kept for handing the answer over, however near the deadline: timers may fire a millisecond late.
pub const MIN_REPLY: Duration = Duration::from_millis(1);
/// The longest deadline that is kept; a longer one is taken as this. Keeps every instant within the clock's range.
pub const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The most that is left to cut-off leaves for saying how far they got.
pub const MAX_GRACE: Duration = Duration::from_millis(10);

/// The instants of one query, in this order in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// When leaves are cut off.
    pub leaf_deadline: Instant,
    /// When nothing more is waited for.
    pub gather_deadline: Instant,
    /// When the merge is cut off.
    pub merge_deadline: Instant,
    /// What was promised.
    pub deadline: Instant,
    /// What is kept for merging.
    pub reserve: Duration,
    /// How long cut-off leaves are waited for.
    pub grace: Duration,
    /// The limit that the deadline is, for those that it ends.
    pub limit: Limit,
}

impl Budget {
    /// Divides `deadline`, counted from `start`; `merge_p99` is what past merges took, if known.
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

/// What a leaf that starts at once has of a deadline.
#[must_use]
pub fn leaf_time(deadline: Duration) -> Duration {
    let start = Instant::now();
    Budget::new(start, deadline, None).leaf_deadline - start
}

/// What a merge has of a deadline when the gather has used all of its own time.
#[must_use]
pub fn merge_time(deadline: Duration) -> Duration {
    let budget = Budget::new(Instant::now(), deadline, None);
    budget.merge_deadline - budget.gather_deadline
}

/// What to keep for merging: `clamp(1.5 × p99, 5 ms, 0.30 · D)`; without a measurement 10 % of `D`, at most 5 s.
#[must_use]
pub fn merge_reserve(deadline: Duration, p99: Option<Duration>) -> Duration {
    let wanted = match p99 {
        Some(p99) => p99.saturating_mul(3) / 2,
        None => MAX_UNMEASURED_RESERVE.min(deadline / 10),
    };
    wanted.max(MIN_RESERVE).min(deadline.saturating_mul(3) / 10)
}
