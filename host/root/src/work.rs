//! Seam between a query and those who run its leaves. A runner sees a query as [`Work`], whatever
//! is behind it: the query's own [`Scatter`](crate::Scatter), or a stand-in for a query of another
//! process.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::answer::share;
use crate::call::Usage;
use crate::failure::{CANCELLED, Failure, FailureKind, SUPERSEDED, WAIT_OVER};
use crate::limit::Limit;
use crate::plan::Partition;
use crate::request::{Memo, Tenant};
use crate::share::{PieceSizes, Share};
use crate::waits::Waits;
use crate::worker_times::WorkerTimes;

/// The least time left for an attempt to start: with less, it could not end in time.
pub const MIN_TIME: Duration = Duration::from_millis(2);

/// Identity of an attempt within its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    /// Index of the partition in the plan.
    pub partition: u32,
    /// Number of the attempt at the partition, from 1.
    pub number: u32,
}

/// Claimed attempt: everything that a runner needs to run it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// Identity of the attempt.
    pub id: AttemptId,
    /// Slot that the attempt runs on.
    pub slot: u32,
    /// Time of the claim.
    pub claimed: Instant,
    /// Time by which the leaf must have ended.
    pub deadline: Instant,
    /// Limit that the deadline enforces.
    pub limit: Limit,
    /// The partition.
    pub partition: Partition,
    /// Share of the partition that the attempt takes; `None` if the runner's leaves take no pieces.
    pub share: Option<Arc<Share>>,
    /// Number of the attempt whose share was cut for this one.
    pub cut_from: Option<u32>,
    /// Number of the attempt that it copies.
    pub copy_of: Option<u32>,
    /// Name of the worker that runs it; `None` for this process.
    pub worker: Option<Arc<str>>,
    /// Time at which the leaf began, if its runner hears of that later.
    pub began: Option<Instant>,
}

/// Reason why a running attempt must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Nobody needs its result any more.
    Cancelled,
    /// Time is up for all leaves of the query.
    Late,
    /// This process runs the query no more, and another one may: it has use for what is finished.
    Abandoned,
    /// Another attempt at the same units has succeeded.
    Superseded,
}

/// Outcome of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// The leaf's partial, or the failure.
    pub result: Result<Bytes, Box<Failure>>,
    /// Time that the call took on its slot, measured by the runner.
    pub ran: Duration,
    /// Waits of the call without a slot.
    pub waits: Waits,
    /// Resources that the call used.
    pub usage: Usage,
    /// Last log lines of a successful leaf. A failed leaf's lines are in its failure.
    pub log: Vec<String>,
    /// Number of earlier calls that the same instance served; 0 for a fresh instance.
    pub earlier: u32,
    /// Times on the worker that ran it; `None` for this process, or if the worker did not report.
    pub on_worker: Option<Box<WorkerTimes<Instant>>>,
    /// True if the worker was lost together with the attempt. That is no fault of the leaf, so it
    /// costs neither an attempt nor a retry, unless it happens again and again.
    pub is_worker_lost: bool,
}

impl Outcome {
    /// A success without log lines.
    #[must_use]
    pub fn succeeded(partial: Bytes, ran: Duration, usage: Usage) -> Self {
        Self { usage, ..Self::new(Ok(partial), ran) }
    }

    /// A failure of the given kind, without usage or log lines.
    pub fn failed(kind: FailureKind, ran: Duration, message: impl Into<String>) -> Self {
        Self::new(Err(Box::new(Failure::new(kind, message))), ran)
    }

    /// The end of an attempt whose worker was lost.
    pub fn with_its_worker(ran: Duration, message: impl Into<String>) -> Self {
        Self { is_worker_lost: true, ..Self::failed(FailureKind::Lost, ran, message) }
    }

    /// The end of an attempt that its runner cuts off at `now` without a report of the leaf: at the
    /// deadline, or after the leaf was told to stop.
    #[must_use]
    pub fn cut_off(ticket: &Ticket, stop: Option<StopReason>, ran: Duration, now: Instant) -> Self {
        let failure = match stop {
            None => Failure::time_up(ticket.limit),
            Some(StopReason::Late) if now >= ticket.deadline => Failure::time_up(ticket.limit),
            Some(StopReason::Late) => Failure::new(FailureKind::OutOfTime, WAIT_OVER),
            Some(StopReason::Cancelled | StopReason::Abandoned) => Failure::new(FailureKind::Cancelled, CANCELLED),
            Some(StopReason::Superseded) => Failure::new(FailureKind::Cancelled, SUPERSEDED),
        };
        Self::new(Err(Box::new(failure)), ran)
    }

    fn new(result: Result<Bytes, Box<Failure>>, ran: Duration) -> Self {
        Self {
            result,
            ran,
            waits: Waits::default(),
            usage: Usage::default(),
            log: Vec::new(),
            earlier: 0,
            on_worker: None,
            is_worker_lost: false,
        }
    }
}

/// Partial that a leaf handed over before its end.
#[derive(Clone, Debug)]
pub struct Emission {
    /// The partial so far.
    pub partial: Bytes,
    /// Work that the partial covers.
    pub done: Done,
}

/// Work that an emission covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Done {
    /// Share of the partition, 0 to 1, as the leaf says. It counts only if the leaf is cut off.
    Share(f64),
    /// Exactly these units of the partition. It counts however the leaf fails.
    Units {
        /// First unit.
        begin: u64,
        /// Unit after the last.
        end: u64,
        /// All units of the partition.
        of: u64,
    },
}

impl Emission {
    /// Share of the partition that the partial covers, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.done {
            Done::Share(share) => share,
            Done::Units { begin, end, of } => share(end - begin, of),
        }
    }
}

/// Attempt whose partial so far the journal has stored, or does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAttempt {
    /// The attempt.
    pub id: AttemptId,
    /// Unit up to which the partial of a running attempt covers its share; `None` if the attempt
    /// has ended, and nothing more of it is to be stored.
    pub until: Option<u64>,
}

/// News of the workers that may run the leaves of a query.
#[derive(Clone, Copy, Debug)]
pub enum WorkerNews<'a> {
    /// Workers are there, or have joined: their number.
    Joined(u64),
    /// A worker was lost.
    Lost,
    /// A worker cannot run the query's leaf.
    Refused {
        /// Name of the worker.
        worker: &'a str,
        /// The reason, on one line.
        why: &'a str,
    },
    /// Workers that should be there are not: a remark for people. `None` once one has joined.
    Absent(Option<&'a str>),
}

/// Leaves of one query, as a runner sees them. A claimed attempt is started and ended, or given
/// back; [`Attempt`](crate::Attempt) sees to that.
pub trait Work: Send + Sync + Debug {
    /// The query's bytes.
    fn query(&self) -> &Bytes;

    /// Fair-share group of the query.
    fn tenant(&self) -> &Tenant;

    /// Weight of a background query; `None` for a foreground query.
    fn background(&self) -> Option<u32>;

    /// Key under which a worker keeps what is not stored: see [`Request`](crate::Request).
    fn memo(&self) -> Option<&Memo> {
        None
    }

    /// Calls `hook` each time when attempts have been stored, if there is a memo.
    fn on_stored(&self, _hook: StoredHook) {}

    /// Records news of the workers that may run the leaves.
    fn hear_of_workers(&self, _news: WorkerNews<'_>) {}

    /// The partition of a query that has only one.
    fn only(&self) -> Option<&Partition>;

    /// Claims the next attempt for `slot`. `None` when the window is full, everything is claimed,
    /// backpressure holds leaves back, the query is over, or too little time is left.
    fn claim(&self, slot: u32, now: Instant) -> Option<Ticket>;

    /// True while there is anything to claim, whether or not the window has room.
    fn is_claimable(&self) -> bool;

    /// Number of claimed attempts that have not ended, waiting ones included.
    fn running(&self) -> usize;

    /// Cuts a running share in two if that lets the query end sooner, and claims the second half
    /// for `slot`. Call it when no query has anything to claim.
    fn cut(&self, slot: u32, now: Instant) -> Option<Ticket>;

    /// True if [`Work::cut`] would find something to cut.
    fn is_cuttable(&self, now: Instant) -> bool;

    /// Calls `hook` each time when a running share may have become worth a cut.
    fn on_cuttable(&self, hook: Box<dyn Fn() + Send + Sync>);

    /// Claims a copy of a slow attempt for `slot`: a further attempt at the same partition. `may`
    /// tells by the partition's index whether it may run there. Call it when no query has anything
    /// to claim or to cut.
    fn copy(&self, _slot: u32, _now: Instant, _may: &dyn Fn(u32) -> bool) -> Option<Ticket> {
        None
    }

    /// True if [`Work::copy`] would find an attempt to copy that may run anywhere.
    fn is_copyable(&self, _now: Instant) -> bool {
        false
    }

    /// Calls `hook` with each attempt that must stop while others go on: see [`Work::stop`].
    fn on_superseded(&self, _hook: SupersededHook) {}

    /// Hands out the next piece of an attempt's share. Pending while the process that owns the
    /// share has not been heard; the context is then woken.
    fn poll_piece(&self, ticket: &Ticket, now: Instant, context: &mut Context<'_>) -> Poll<Option<Range<u64>>>;

    /// Hands out units of an attempt's share that take about `time`, for an attempt of another
    /// process, which divides them into pieces. `None` if no units are left, or if the work is for
    /// this process alone.
    fn lease(&self, _ticket: &Ticket, _time: Duration, _now: Instant) -> Option<Range<u64>> {
        None
    }

    /// True once no attempt may start and all running ones must stop.
    fn is_closed(&self) -> bool;

    /// Reason why this attempt must stop, if it must.
    fn stop(&self, id: AttemptId) -> Option<StopReason>;

    /// Calls `hook` when running attempts must stop; at once if they must already.
    fn on_stop(&self, hook: Box<dyn Fn() + Send + Sync>);

    /// Records that the leaf began. The runner knows of it at `now`.
    fn start(&self, ticket: &Ticket, now: Instant);

    /// Records that a started attempt waits for something outside, such as an answer of an API: its
    /// slot and its place in the window are free for another one.
    fn wait(&self, id: AttemptId);

    /// Records that a waiting attempt runs on, or ends. It takes a place even in a full window: an
    /// attempt that has begun goes before a new one.
    fn resume(&self, id: AttemptId);

    /// True while waiting attempts may run on: the work is not over, and not held back.
    fn may_resume(&self) -> bool;

    /// Stores the emission, replacing an earlier one of the same attempt.
    fn emit(&self, id: AttemptId, emission: Emission);

    /// Forgets the emission of an attempt whose call is made again.
    fn retract(&self, id: AttemptId);

    /// Ends a started attempt. It ended at `now`, or is given up then.
    fn end(&self, ticket: Ticket, outcome: Outcome, now: Instant);

    /// Gives back an attempt that was not started: it can be claimed again, and costs nothing.
    fn give_back(&self, ticket: Ticket);
}

/// Function that is told which attempts have been stored.
pub type StoredHook = Arc<dyn Fn(&[StoredAttempt]) + Send + Sync>;

/// Function that is told of an attempt that must stop.
pub type SupersededHook = Arc<dyn Fn(AttemptId) + Send + Sync>;

/// Runs leaves. A runner claims attempts of all attached work, each on a slot, and ends each
/// attempt. When work is closed, the runner stops its leaves and drops it.
pub trait LeafRunner: Send + Sync {
    /// Attaches the leaves of a query.
    fn attach(&self, work: Arc<dyn Work>);

    /// Signals that attempts are claimable again: after a retry or after backpressure.
    fn nudge(&self);

    /// The most leaves at once, at least 1.
    fn slots(&self) -> usize;

    /// The slots of this process alone. Workers may join and leave, and say any number: what a
    /// query needs for its slots is computed with these.
    fn own_slots(&self) -> usize {
        self.slots()
    }

    /// The most claimed attempts at once: more than the slots if attempts are on their way to
    /// workers, or if workers may join.
    fn most_claimed(&self) -> usize {
        self.slots()
    }

    /// Sizes of the pieces; `None` if the leaves do not take their partitions piece by piece.
    fn pieces(&self) -> Option<PieceSizes>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Scope;

    #[test]
    fn an_attempt_that_is_cut_off_says_by_what() {
        let now = Instant::now();
        let ticket = Ticket {
            id: AttemptId { partition: 0, number: 1 },
            slot: 0,
            claimed: now,
            deadline: now + Duration::from_secs(1),
            limit: Limit::time(Scope::Leaf, Duration::from_secs(1)),
            partition: Partition::new("p", Bytes::new()),
            share: None,
            cut_from: None,
            copy_of: None,
            worker: None,
            began: None,
        };
        let cut_off = |stop, at| {
            let outcome = Outcome::cut_off(&ticket, stop, Duration::ZERO, at);
            let failure = outcome.result.unwrap_err();
            (failure.kind, failure.limit.is_some())
        };
        let late = ticket.deadline;
        assert_eq!(cut_off(None, late), (FailureKind::OutOfTime, true));
        assert_eq!(cut_off(Some(StopReason::Late), late), (FailureKind::OutOfTime, true));
        assert_eq!(cut_off(Some(StopReason::Late), now), (FailureKind::OutOfTime, false));
        assert_eq!(cut_off(Some(StopReason::Cancelled), late), (FailureKind::Cancelled, false));
        assert_eq!(cut_off(Some(StopReason::Superseded), late), (FailureKind::Cancelled, false));
    }
}
