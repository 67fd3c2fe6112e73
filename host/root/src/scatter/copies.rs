//! Record of the copies of one query's attempts.

use std::collections::{BTreeSet, VecDeque};

use crate::work::AttemptId;

/// Offered and claimed copies, and attempts that must stop.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Attempts to copy, the first one first.
    pub(super) offers: VecDeque<AttemptId>,
    /// Claimed copies of whose start the query's task has not heard.
    pub(super) claimed: Vec<AttemptId>,
    /// Attempts that must stop and have not ended.
    pub(super) superseded: BTreeSet<AttemptId>,
}
