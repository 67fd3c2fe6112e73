//! Decides which partitions are retried and when the gather ends. A pure state machine: it gets
//! events with their times and returns actions. It has no clock, no task and no lock.

mod copies;
mod coverage;
mod details;
mod ending;
mod parts;
mod retrying;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::answer::{Attempts, Status, UnitTally, WorkerCounts, below_all};
use crate::event::GatherEnd;
use crate::failure::{Cause, Failure, FailureKind};
use crate::ids::QueryId;
use crate::ledger::{Ledger, PartialRange, length};
use crate::merge::Span;
use crate::plan::Plan;
use crate::policy::budget::Budget;
use crate::policy::retry::{Retry, RetryBudget};
use crate::request::Floor;
use crate::share::{Part, Stretch};
use crate::work::{Emission, Outcome};

/// Action that the flow must perform next.
#[derive(Debug)]
pub enum Action {
    /// Pass this partial to the merge.
    Merge {
        /// The partition's index.
        partition: u32,
        /// Content that the partial covers.
        span: Span,
        /// The partial.
        partial: Bytes,
    },
    /// No partial of this content will arrive, although the partition is in the answer.
    Gap(Span),
    /// Retry this partition.
    Retry {
        /// The partition's index.
        partition: u32,
        /// The units to run again; `None` for the whole partition.
        rest: Option<Stretch>,
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
    /// Seconds that its last attempt waited without a slot.
    waited: f32,
    attempts: u16,
    /// Attempts that were copies of others.
    copies: u16,
    running: u16,
    /// Attempts at the whole partition that were lost with their workers.
    lost: u8,
    kind: Option<FailureKind>,
    /// Rank of the last failure; with the index, the key of its details.
    cause: Option<Cause>,
}

/// Counters for the account.
#[derive(Debug, Default)]
struct Account {
    attempts: Attempts,
    failures: BTreeMap<FailureKind, u64>,
    /// Work on units: what was redone, saved and discarded.
    units: UnitTally,
    workers: WorkerCounts,
    used: Duration,
    wasted: Duration,
    /// The part of it that attempts took which were not done first.
    beaten: Duration,
    waited: Duration,
    /// Seconds of each partition's successful attempt, from its start to its end.
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

/// Progress of an ended attempt: its part of the partition, and its last emission.
#[derive(Debug, Default)]
pub struct Reached {
    /// Its part of the partition, if its leaf takes pieces.
    pub part: Option<Part>,
    /// Its last emission.
    pub emission: Option<Emission>,
    /// Units that a rival which still runs has as well.
    pub contested: Option<Range<u64>>,
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
    /// Weight of the accepted parts of degraded partitions.
    parts: u64,
    /// Weight of the accepted parts of open partitions.
    open_parts: u64,
    /// Ledgers of the partitions that are taken in parts.
    ledgers: BTreeMap<u32, Ledger>,
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
    /// The best emissions of attempts that were cut off while rivals ran.
    spare: BTreeMap<u32, (f64, Bytes)>,
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
            parts: 0,
            open_parts: 0,
            // What is stored counts when it is recalled: until then, nobody has it.
            ledgers: plan.stored().begun().into_iter().map(|(index, one)| (index, Ledger::new(one.units()))).collect(),
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
            spare: BTreeMap::new(),
            account: Account::default(),
            plan,
            demand,
            budget,
        }
    }

    /// Records that a leaf began; `is_cut` if it has the half of another attempt's rest.
    pub fn started(&mut self, partition: u32, at: Instant, is_cut: bool) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.attempts += 1;
        cell.running += 1;
        self.running += 1;
        self.retries.attempt(at);
        self.account.attempts.started += 1;
        self.account.attempts.cuts += u64::from(is_cut);
    }

    /// Records that a leaf began on the worker of this name.
    pub fn started_on(&mut self, worker: &Arc<str>) {
        self.account.workers.started(worker);
    }

    /// Records the workers that were there so far, and those of them that were lost.
    pub fn had_workers(&mut self, joined: u64, lost: u64) {
        self.account.workers.had(joined, lost);
    }

    /// Records a partial of an earlier run, read from the journal: of these units, or of the whole
    /// partition.
    pub fn recalled(
        &mut self,
        partition: u32,
        units: Option<&PartialRange>,
        partial: Bytes,
        actions: &mut Vec<Action>,
    ) {
        let open = self.cells.get(partition as usize).is_some_and(|cell| cell.settled.is_none());
        if !open || self.ended_why().is_some() {
            return;
        }
        match units {
            Some(range) => self.part_recalled(partition, range, partial, actions),
            None => {
                self.settle(partition, Status::Succeeded, 1.0);
                actions.push(Action::Merge { partition, span: partition.into(), partial });
            }
        }
    }

    /// Records that a leaf ended in an instance that had served `earlier` calls, and that it waited
    /// without a slot for `waited`.
    pub fn served(&mut self, partition: u32, earlier: u32, waited: Duration) {
        self.account.attempts.warm += u64::from(earlier > 0);
        self.account.waited += waited;
        if let Some(cell) = self.cells.get_mut(partition as usize) {
            cell.waited = waited.as_secs_f32();
        }
    }

    /// Records that a leaf ended.
    pub fn ended(
        &mut self,
        partition: u32,
        mut outcome: Outcome,
        reached: Reached,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let ran = outcome.ran;
        self.account.workers.attempts_lost += u64::from(outcome.is_worker_lost);
        let part = self.in_parts(partition, &outcome, &reached);
        outcome.is_worker_lost = outcome.is_worker_lost && self.is_forgiven(partition, part.as_ref());
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.running = cell.running.saturating_sub(1);
        let settled = cell.settled.is_some();
        let running = cell.running;
        let waited = cell.waited;
        self.running = self.running.saturating_sub(1);
        if settled || self.ended_why().is_some() {
            self.account.wasted += ran;
            self.account.attempts.discarded += u64::from(outcome.result.is_ok());
            return;
        }
        if let Err(failure) = &mut outcome.result {
            self.count(failure);
        }
        if let Some(part) = part {
            return self.part_ended((partition, part), outcome, reached, now, actions);
        }
        match outcome.result {
            Ok(partial) => {
                self.account.used += ran;
                self.account.took.push((partition, ran.as_secs_f32() + waited));
                self.settle(partition, Status::Succeeded, 1.0);
                actions.push(Action::Merge { partition, span: partition.into(), partial });
            }
            Err(failure) if outcome.is_worker_lost && running == 0 && self.rerun(partition, None, now, actions) => {
                self.account.wasted += ran;
                let again = reached.part.map_or(0, |part| length(&part.handed_out()));
                self.account.units.redone += again;
                self.account.workers.units_redone += again;
                self.remember(partition, failure);
            }
            Err(failure) => {
                if self.failed(partition, failure, reached, running, now, actions) {
                    self.account.used += ran;
                } else {
                    self.account.wasted += ran;
                }
            }
        }
    }

    /// Counts a failure. One that only reports the end of the query's time is late, not cancelled.
    fn count(&mut self, failure: &mut Failure) {
        if self.is_late() && failure.kind == FailureKind::Cancelled {
            failure.kind = FailureKind::OutOfTime;
        }
        *self.account.failures.entry(failure.kind).or_default() += 1;
        if failure.kind == FailureKind::InvalidQuery {
            self.invalid_query.get_or_insert_with(|| failure.clone());
        }
    }

    /// Handles a failed attempt. True when its emission counts.
    fn failed(
        &mut self,
        partition: u32,
        failure: Box<Failure>,
        reached: Reached,
        others: u16,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let kind = failure.kind;
        let asks = failure.retry_after();
        self.remember(partition, failure);
        if others > 0 {
            self.spare_emission(partition, kind, reached.emission);
            return false;
        }
        if kind.is_passing() && self.phase == Phase::Gathering && self.retry(partition, None, asks, now, actions) {
            self.account.units.redone += reached.part.map_or(0, |part| length(&part.handed_out()));
            return false;
        }
        self.spare_emission(partition, kind, reached.emission);
        let is_degraded = self.degrade_to_spare(partition, actions);
        if !is_degraded {
            self.miss(partition, status_of(kind), actions);
        }
        is_degraded
    }

    fn degrade(&mut self, partition: u32, partial: Bytes, share: f64, actions: &mut Vec<Action>) {
        // A guest may return any number; NaN counts as nothing.
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self.settle(partition, Status::Degraded, share);
        self.explains(partition, Cause::Late);
        actions.push(Action::Merge { partition, span: partition.into(), partial });
        self.note_missing(partition, Status::Degraded, actions);
    }

    fn settle(&mut self, partition: u32, status: Status, share: f64) {
        let Some(cell) = self.cells.get_mut(partition as usize) else {
            return;
        };
        cell.settled = Some(status);
        cell.share = share;
        self.failing.remove(&partition);
        self.spare.remove(&partition);
        let before = cell.cause;
        if let (Status::Succeeded, Some(cause)) = (status, before) {
            self.details.remove(&(cause, partition));
        }
        let weight = self.plan.get(partition).map_or(0, |one| one.weight);
        self.open -= 1;
        self.open_weight = self.open_weight.saturating_sub(weight);
        let ledger = self.ledgers.get(&partition);
        self.open_parts -= ledger.map_or(0, |ledger| ledger.weight_of(ledger.covered(), weight));
        match (status, ledger) {
            (Status::Succeeded | Status::Skipped, _) => self.whole += weight,
            (_, None) => self.shares += weight as f64 * share,
            (_, Some(ledger)) => {
                let exact = ledger.weight_of(ledger.covered(), weight);
                self.parts += exact;
                self.shares += (weight as f64 * share - exact as f64).max(0.0);
            }
        }
        if self.demand.required.contains(&partition) {
            self.required_open -= 1;
            self.required_lost |= status != Status::Succeeded;
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
        below_all(self.sum() / planned as f64)
    }

    /// The planned weight.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.plan.weight()
    }

    /// Weight in the answer, including parts of partitions, and the shares of degraded ones.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.whole + self.parts + self.open_parts + self.shares as u64
    }

    fn sum(&self) -> f64 {
        (self.whole + self.parts + self.open_parts) as f64 + self.shares
    }

    /// True when anything is in the answer, however little.
    #[must_use]
    pub fn has_something(&self) -> bool {
        self.sum() > 0.0
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
        // The parts of open partitions are a part of the open weight.
        let parts = self.parts + self.open_parts.saturating_sub(more);
        match self.demand.floor {
            Floor::All => whole >= self.plan.weight(),
            Floor::AtLeast(least) => (whole + parts) as f64 + self.shares >= share_of(least, self.plan.weight()),
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
