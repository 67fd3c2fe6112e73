//! Decides which partitions are retried and when the gather ends. A pure state machine: it gets
//! events with their times and returns actions. It has no clock, no task and no lock.

mod coverage;
mod ending;
mod retrying;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::answer::{Attempts, MAX_MISSING, Status, below_all};
use crate::event::GatherEnd;
use crate::failure::{Cause, Failure, FailureKind};
use crate::ids::QueryId;
use crate::plan::Plan;
use crate::policy::budget::Budget;
use crate::policy::retry::{Retry, RetryBudget};
use crate::request::Floor;
use crate::work::{Emission, Outcome};

/// Action that the flow must perform next.
#[derive(Debug)]
pub enum Action {
    /// Pass this partial to the merge.
    Merge {
        /// The partition's index.
        partition: u32,
        /// Its partial.
        partial: Bytes,
    },
    /// Retry this partition.
    Retry {
        /// The partition's index.
        partition: u32,
        /// Number of the coming attempt.
        attempt: u32,
        /// Earliest start of the retry.
        at: Instant,
    },
    /// This partition will have no partial, or only an emitted one.
    Missing {
        /// Its index.
        partition: u32,
        /// Outcome of the partition.
        status: Status,
        /// Slug of the last failure.
        slug: Option<FailureKind>,
    },
    /// The floor is reached and no required partition is missing.
    FloorReached {
        /// The covered share of the weight.
        fraction: f64,
    },
    /// Stop all leaves.
    Close {
        /// True when the leaves are stopped because time is up.
        late: bool,
    },
}

/// State of one partition.
#[derive(Clone, Copy, Debug, Default)]
struct PartitionCell {
    settled: Option<Status>,
    share: f64,
    attempts: u16,
    running: u16,
    kind: Option<FailureKind>,
    /// Rank of the last failure; with the index, the key of its details.
    cause: Option<Cause>,
}

/// Counters for the account.
#[derive(Debug, Default)]
struct Account {
    attempts: Attempts,
    failures: BTreeMap<FailureKind, u64>,
    used: Duration,
    wasted: Duration,
    /// Seconds of each partition's successful attempt.
    took: Vec<(u32, f32)>,
}

/// Conditions that an answer must meet.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The floor.
    pub floor: Floor,
    /// Indexes of the required partitions.
    pub required: BTreeSet<u32>,
}

/// Phase of a gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gathering,
    Draining { why: GatherEnd, until: Instant },
    Ended { why: GatherEnd },
}

/// State of one query's gather.
#[derive(Debug)]
pub struct Gather {
    query: QueryId,
    plan: Arc<Plan>,
    demand: Demand,
    budget: Budget,
    cells: Vec<PartitionCell>,
    open: u64,
    open_weight: u64,
    /// Weight of the partitions that succeeded.
    whole: u64,
    /// Sum of the weighted shares of degraded partitions. Not rounded one by one: of a weight of 1,
    /// every share would be truncated to 0.
    shares: f64,
    running: u64,
    required_open: u64,
    required_lost: bool,
    phase: Phase,
    floor_reached: bool,
    wait_until: Option<Instant>,
    invalid_query: Option<Failure>,
    retry: Retry,
    retries: RetryBudget,
    /// Time of the first failure of each partition that has failed and not succeeded since.
    failing: BTreeMap<u32, Instant>,
    /// Last failures in full, of the partitions that the account names: the first ones by cause,
    /// then by index.
    details: BTreeMap<(Cause, u32), Box<Failure>>,
    account: Account,
}

impl Gather {
    /// A gather before its first event.
    #[must_use]
    pub fn new(query: QueryId, plan: Arc<Plan>, demand: Demand, budget: Budget) -> Self {
        let open = plan.len() as u64;
        Self {
            query,
            cells: vec![PartitionCell::default(); plan.len()],
            open,
            open_weight: plan.weight(),
            whole: 0,
            shares: 0.0,
            running: 0,
            required_open: demand.required.len() as u64,
            required_lost: false,
            phase: Phase::Gathering,
            floor_reached: false,
            wait_until: None,
            invalid_query: None,
            retry: Retry::QUERY,
            retries: RetryBudget::default(),
            failing: BTreeMap::new(),
            details: BTreeMap::new(),
            account: Account::default(),
            plan,
            demand,
            budget,
        }
    }

    /// Records that a leaf began.
    pub fn started(&mut self, partition: u32, at: Instant) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.attempts += 1;
        cell.running += 1;
        self.running += 1;
        self.retries.attempt(at);
        self.account.attempts.started += 1;
    }

    /// Records a partial of an earlier run, read from the journal.
    pub fn recalled(&mut self, partition: u32, partial: Bytes, actions: &mut Vec<Action>) {
        let open = self.cells.get(partition as usize).is_some_and(|cell| cell.settled.is_none());
        if open && self.ended_why().is_none() {
            self.settle(partition, Status::Succeeded, 1.0);
            actions.push(Action::Merge { partition, partial });
        }
    }

    /// Records that a leaf ended after `ran`. `emission` is its last emission.
    pub fn ended(
        &mut self,
        partition: u32,
        ran: Duration,
        outcome: Outcome,
        emission: Option<Emission>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.running = cell.running.saturating_sub(1);
        let settled = cell.settled.is_some();
        let running = cell.running;
        self.running = self.running.saturating_sub(1);
        if settled || self.ended_why().is_some() {
            self.account.wasted += ran;
            self.account.attempts.discarded += u64::from(outcome.result.is_ok());
            return;
        }
        match outcome.result {
            Ok(partial) => {
                self.account.used += ran;
                self.account.took.push((partition, ran.as_secs_f32()));
                self.settle(partition, Status::Succeeded, 1.0);
                actions.push(Action::Merge { partition, partial });
            }
            Err(mut failure) => {
                if self.is_late() && failure.kind == FailureKind::Cancelled {
                    failure.kind = FailureKind::OutOfTime;
                }
                *self.account.failures.entry(failure.kind).or_default() += 1;
                if self.failed(partition, failure, emission, running, now, actions) {
                    self.account.used += ran;
                } else {
                    self.account.wasted += ran;
                }
            }
        }
    }

    /// Handles a failed attempt. True when its emission counts.
    fn failed(
        &mut self,
        partition: u32,
        failure: Box<Failure>,
        emission: Option<Emission>,
        others: u16,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        if failure.kind == FailureKind::InvalidQuery {
            self.invalid_query.get_or_insert_with(|| (*failure).clone());
        }
        let kind = failure.kind;
        let asks = failure.retry_after();
        self.remember(partition, failure);
        if others > 0 {
            return false;
        }
        if kind.is_passing() && self.phase == Phase::Gathering && self.retry(partition, asks, now, actions) {
            return false;
        }
        match emission.filter(|_| kind.is_cut_off()) {
            Some(emission) => {
                self.degrade(partition, emission, actions);
                true
            }
            None => {
                self.miss(partition, status_of(kind), actions);
                false
            }
        }
    }

    fn degrade(&mut self, partition: u32, emission: Emission, actions: &mut Vec<Action>) {
        // A guest may return any number; NaN counts as nothing.
        let share = if emission.done.is_nan() { 0.0 } else { emission.done.clamp(0.0, 1.0) };
        self.settle(partition, Status::Degraded, share);
        self.explains(partition, Cause::Late);
        actions.push(Action::Merge { partition, partial: emission.partial });
        self.note_missing(partition, Status::Degraded, actions);
    }

    fn miss(&mut self, partition: u32, status: Status, actions: &mut Vec<Action>) {
        self.settle(partition, status, 0.0);
        if status == Status::Failed {
            self.explains(partition, Cause::Own);
        }
        self.note_missing(partition, status, actions);
    }

    fn note_missing(&self, partition: u32, status: Status, actions: &mut Vec<Action>) {
        actions.push(Action::Missing {
            partition,
            status,
            slug: self.cells.get(partition as usize).and_then(|cell| cell.kind),
        });
    }

    fn settle(&mut self, partition: u32, status: Status, share: f64) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.settled = Some(status);
        cell.share = share;
        self.failing.remove(&partition);
        let before = cell.cause;
        if let (Status::Succeeded, Some(cause)) = (status, before) {
            self.details.remove(&(cause, partition));
        }
        let weight = self.plan.get(partition).map_or(0, |one| one.weight);
        self.open -= 1;
        self.open_weight = self.open_weight.saturating_sub(weight);
        match status {
            Status::Succeeded | Status::Skipped => self.whole += weight,
            _ => self.shares += weight as f64 * share,
        }
        if self.demand.required.contains(&partition) {
            self.required_open -= 1;
            self.required_lost |= status != Status::Succeeded;
        }
    }

    fn remember(&mut self, partition: u32, failure: Box<Failure>) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        let cause = Cause::from(failure.kind);
        cell.kind = Some(failure.kind);
        if let Some(before) = cell.cause.replace(cause) {
            self.details.remove(&(before, partition));
        }
        self.details.insert((cause, partition), failure);
        if self.details.len() > MAX_MISSING {
            self.details.pop_last();
        }
    }

    /// Files the last failure of a partition under another cause, once the partition is settled.
    fn explains(&mut self, partition: u32, cause: Cause) {
        let before = self.cells.get_mut(partition as usize).and_then(|cell| cell.cause.replace(cause));
        if let Some(failure) = before.and_then(|before| self.details.remove(&(before, partition))) {
            self.details.insert((cause, partition), failure);
        }
    }

    /// Covered share of the planned weight; 1 for an empty plan, otherwise only when nothing is
    /// missing.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let planned = self.plan.weight();
        // Compares integers: as a fraction, a weight of 1 in 2^54 would be lost to rounding.
        if self.whole == planned {
            return 1.0;
        }
        below_all((self.whole as f64 + self.shares) / planned as f64)
    }

    /// The planned weight.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.plan.weight()
    }

    /// Weight in the answer, including the shares of degraded partitions.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.whole + self.shares as u64
    }

    /// True when anything is in the answer, however little.
    #[must_use]
    pub fn has_something(&self) -> bool {
        self.whole > 0 || self.shares > 0.0
    }

    /// The failure of a leaf that rejected the query, if one did.
    #[must_use]
    pub fn invalid_query(&self) -> Option<&Failure> {
        self.invalid_query.as_ref()
    }

    /// True when the floor is reached and every required partition has succeeded.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        let something = self.has_something() || self.plan.is_empty();
        something && self.required_open == 0 && !self.required_lost && self.reaches_floor(0)
    }

    /// True when the floor would be reached with `more` weight. A degraded partition never
    /// satisfies [`Floor::All`], whatever its share.
    fn reaches_floor(&self, more: u64) -> bool {
        let whole = self.whole + more;
        match self.demand.floor {
            Floor::All => whole >= self.plan.weight(),
            Floor::AtLeast(least) => whole as f64 + self.shares >= share_of(least, self.plan.weight()),
            Floor::BestEffort => true,
        }
    }
}

/// The part `least` of `all`, reduced by the possible rounding error of the product: 0.7 of 10 is
/// 7, not more.
fn share_of(least: f64, all: u64) -> f64 {
    least * all as f64 * (1.0 - 1e-12)
}

fn status_of(kind: FailureKind) -> Status {
    match kind {
        FailureKind::OutOfTime => Status::TimedOut,
        FailureKind::Cancelled => Status::Cancelled,
        _ => Status::Failed,
    }
}
