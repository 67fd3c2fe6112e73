//! Observation of a simulation, event by event.

use std::ops::Range;
use std::time::Duration;

use frond_root::dispatch::ClaimOrder;
use frond_root::event::GatherEnd;
use frond_root::merge::Span;
use frond_root::policy::budget::Budget;
use frond_root::{AttemptId, Coverage, Outcome, Plan, Status, Ticket};
use serde::Serialize;
use tokio::time::Instant;

use crate::setup::Asker;

/// Fault of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The attempt is lost.
    Loss,
    /// The leaf stands still until it is stopped.
    Hang,
    /// The leaf traps.
    Trap,
    /// The leaf fails with `unavailable`.
    Unavailable,
}

/// Step of a simulation, as observers see it.
#[derive(Debug)]
pub enum Sight<'a> {
    /// A query arrived, and was admitted or not.
    Arrived {
        /// Its number.
        query: u64,
        /// False if it was refused.
        admitted: bool,
    },
    /// An attempt was claimed.
    Claimed {
        /// The query.
        query: u64,
        /// The ticket.
        ticket: &'a Ticket,
        /// Worker that claimed it; `None` for a slot of the root's process.
        worker: Option<usize>,
        /// Time of the claim, as the root's decisions take it.
        now: Instant,
        /// All queries that may be claimed from, as they are after the claim.
        order: &'a ClaimOrder<Asker>,
    },
    /// A leaf began on its slot.
    Began {
        /// The query.
        query: u64,
        /// The attempt.
        id: AttemptId,
        /// The slot.
        slot: u32,
        /// Fault that it will meet, unless it ends before.
        fault: Option<Fault>,
    },
    /// A leaf got a piece.
    Piece {
        /// The query.
        query: u64,
        /// The attempt.
        id: AttemptId,
        /// The units.
        units: &'a Range<u64>,
    },
    /// A leaf left its slot.
    Left {
        /// The query.
        query: u64,
        /// The attempt.
        id: AttemptId,
        /// The slot.
        slot: u32,
        /// Fault that it met.
        met: Option<Fault>,
    },
    /// A slot of the root's process is free again.
    Freed {
        /// Query of the leaf that it ran.
        asker: &'a Asker,
    },
    /// The root heard the end of an attempt.
    Ended {
        /// The query.
        query: u64,
        /// The attempt.
        id: AttemptId,
        /// Its outcome.
        outcome: &'a Outcome,
        /// True if the query waits for it no more.
        is_late: bool,
    },
    /// A partial was accepted.
    Accepted {
        /// The query.
        query: u64,
        /// Content that it covers.
        span: Span,
    },
    /// A retry was scheduled.
    Retry {
        /// The query.
        query: u64,
        /// The attempt to come.
        id: AttemptId,
    },
    /// A partition is settled without a success.
    Missing {
        /// The query.
        query: u64,
        /// The partition.
        partition: u32,
        /// Its outcome.
        status: Status,
    },
    /// A worker was lost.
    WorkerLost {
        /// Its number.
        worker: usize,
    },
    /// Slots are idle, and nobody has anything for them.
    Rested {
        /// The present, as the root's decisions take it.
        now: Instant,
        /// Number of idle slots.
        idle: usize,
        /// True if one of them may run background work.
        may_run_background: bool,
        /// All queries.
        order: &'a ClaimOrder<Asker>,
    },
    /// The gather of a query ended.
    Gathered {
        /// The query.
        query: u64,
        /// Its plan.
        plan: &'a Plan,
        /// Its time budget.
        budget: &'a Budget,
        /// Time from its start.
        took: Duration,
        /// Reason of the end.
        why: GatherEnd,
        /// Its account.
        coverage: &'a Coverage,
        /// `complete`, `partial` or `failed`.
        outcome: &'a str,
        /// Time of all leaves over the speed of all slots.
        bound: Duration,
    },
}

/// Observer of a simulation.
pub trait Observer {
    /// Sees one step. `at` is the virtual time since the start.
    fn see(&mut self, at: Duration, sight: &Sight<'_>);
}

impl Observer for () {
    fn see(&mut self, _at: Duration, _sight: &Sight<'_>) {}
}
