//! Invariants, checked while a world is simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use frond_root::dispatch::{ClaimOrder, ClaimSource, most_background};
use frond_root::ledger::PartialRange;
use frond_root::merge::Span;
use frond_root::policy::retry::{MIN_RETRIES, SHARE};
use frond_root::work::MIN_TIME;
use frond_root::{AttemptId, Coverage, FailureKind, Floor, Outcome, Share, Ticket, Work};
use frond_sim::{Asker, Fault, Observer, Sight, SimReport, World};
use tokio::time::Instant;

/// Query that runs, as the audit has seen it.
#[derive(Default)]
struct Seen {
    /// Accepted ranges by partition.
    accepted: BTreeMap<u32, Vec<Range<u64>>>,
    /// Shares of attempts that have not ended.
    shares: BTreeMap<AttemptId, Arc<Share>>,
    /// End of the last piece of each attempt.
    pieces: BTreeMap<AttemptId, u64>,
    /// Attempts that began on a slot.
    began: BTreeSet<AttemptId>,
    /// Attempts by partition, without those that were lost with their workers.
    attempts: BTreeMap<u32, u32>,
    /// Attempts by partition that were lost with their workers.
    lost: BTreeMap<u32, u32>,
    /// Faults that were met, and whose reports are awaited.
    met: BTreeMap<AttemptId, Fault>,
    missing: u64,
    retries: u64,
}

/// Invariants of a world, and the first breach of one.
pub(crate) struct Audit<'a> {
    world: &'a World,
    units: u64,
    open: BTreeMap<u64, Seen>,
    ended: BTreeSet<u64>,
    /// Leaf of each busy slot.
    slots: BTreeMap<u32, (u64, AttemptId)>,
    /// Busy slots by caller, of foreground queries.
    running: BTreeMap<Arc<str>, usize>,
    /// Callers of which a leaf has ended.
    known: BTreeSet<Arc<str>>,
    background: usize,
    stored: BTreeSet<(u32, u64)>,
    most_slots: usize,
    workers_lost: usize,
    breach: Option<String>,
}

/// True if a query has something that a slot may claim now.
fn is_open(asker: &Asker, now: Instant) -> bool {
    let has_room = asker.work.is_claimable() && now + MIN_TIME < asker.leaf_deadline;
    has_room && !asker.work.is_closed()
}

impl<'a> Audit<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let workers: u32 = world.cluster.workers.iter().map(|worker| worker.slots).sum();
        let most_slots = if world.cluster.workers.is_empty() { world.cluster.slots } else { workers };
        Self {
            world,
            units: world.query.pieces.map_or(1, |pieces| pieces.units),
            open: BTreeMap::new(),
            ended: BTreeSet::new(),
            slots: BTreeMap::new(),
            running: BTreeMap::new(),
            known: BTreeSet::new(),
            background: 0,
            stored: BTreeSet::new(),
            most_slots: most_slots as usize,
            workers_lost: 0,
            breach: None,
        }
    }

    /// Expects that no leaf takes what the journal has.
    pub(crate) fn storing(mut self, partials: &[(u32, Option<PartialRange>)]) -> Self {
        let begins = partials.iter().map(|(partition, range)| (*partition, range.map_or(0, |range| range.begin)));
        self.stored = begins.collect();
        self
    }

    /// Checks the report, and returns the first breach.
    pub(crate) fn end(self, report: &SimReport) -> Result<(), String> {
        if let Some(breach) = self.breach {
            return Err(breach);
        }
        let faults_are_spent = report.faults.values().all(|tally| tally.planned == tally.met + tally.spared);
        if !faults_are_spent {
            return Err("every_planned_fault_is_met_or_spared: the tally does not add up".to_owned());
        }
        if !self.open.is_empty() {
            return Err("every_query_ends: some did not".to_owned());
        }
        if report.utilisation > 1.0 + 1e-9 {
            return Err(format!("no_slot_runs_two_leaves: {} of the slots' time was used", report.utilisation));
        }
        Ok(())
    }

    fn check(&mut self, name: &str, holds: bool, detail: impl FnOnce() -> String) {
        if !holds && self.breach.is_none() {
            self.breach = Some(format!("{name}: {}", detail()));
        }
    }

    fn is_here(&self) -> bool {
        self.world.cluster.workers.is_empty()
    }

    fn has_no_faults(&self) -> bool {
        self.world.faults == frond_sim::FaultsTable::default()
    }

    fn range_of(&self, span: Span) -> (u32, Range<u64>) {
        let (partition, begin) = span.from();
        let (until, end) = span.to();
        (partition, begin..if until > partition { self.units } else { end })
    }

    fn claimed(&mut self, query: u64, ticket: &Ticket, now: Instant, order: &ClaimOrder<Asker>) {
        let id = ticket.id;
        self.check("nothing_happens_after_the_end", !self.ended.contains(&query), || format!("a claim of {query}"));
        self.check("no_leaf_starts_without_time", now + MIN_TIME < ticket.limits.until, || {
            format!("{id:?} of {query}")
        });
        let Some(asker) = order.iter().find(|one| one.query == query) else { return };
        let is_background = asker.work.background().is_some();
        if is_background && self.is_here() {
            let waits = order.has_open(now, false, |one| is_open(one, now) || one.work.is_cuttable(now));
            self.check("background_waits_for_foreground", !waits, || format!("{id:?} of {query}"));
            let most = most_background(self.most_slots);
            self.background += 1;
            let count = self.background;
            self.check("a_slot_is_reserved_for_foreground", count <= most, || format!("{count} of {most}"));
        }
        if !is_background && self.is_here() {
            self.fair(asker, ticket, now, order);
            *self.running.entry(asker.tenant().caller.clone()).or_default() += 1;
        }
        self.disjoint(query, ticket);
        let Some(seen) = self.open.get_mut(&query) else { return };
        if let Some(share) = &ticket.share {
            seen.shares.insert(id, share.clone());
        }
    }

    /// A free slot goes to the caller that holds the fewest.
    fn fair(&mut self, asker: &Asker, ticket: &Ticket, now: Instant, order: &ClaimOrder<Asker>) {
        if ticket.cut_from.is_some() || !self.has_no_faults() || !self.has_short_leaves() {
            return;
        }
        let held = |caller: &Arc<str>| self.running.get(caller).copied().unwrap_or_default();
        let own = asker.tenant().caller.clone();
        let claims = held(&own);
        let waits = |one: &Arc<Asker>| {
            let caller = &one.tenant().caller;
            let is_known = self.known.contains(caller) && *caller != own && one.background().is_none();
            is_known && is_open(one, now) && held(caller) < claims
        };
        let poorer = order.iter().find(|one| waits(one)).map(|one| one.query);
        self.check("slots_are_shared_between_callers", poorer.is_none(), || {
            format!("{own} got a slot beside {claims} of its own, and query {poorer:?} waits")
        });
    }

    /// True if no leaf can take long enough to count as long.
    fn has_short_leaves(&self) -> bool {
        let slowest = self.world.cluster.speeds.iter().copied().fold(1.0, f64::min);
        let most = match &self.world.query.leaf {
            frond_sim::Distribution::Constant(ms) => *ms,
            frond_sim::Distribution::List(times) | frond_sim::Distribution::Empirical(times) => {
                times.iter().copied().fold(0.0, f64::max)
            }
            _ => return false,
        };
        let factor = if self.world.query.slow.share > 0.0 { self.world.query.slow.times } else { 1.0 };
        (most * factor + self.world.query.overhead_ms) / slowest < 240.0
    }

    /// Running attempts at one partition have different units.
    fn disjoint(&mut self, query: u64, ticket: &Ticket) {
        let (Some(share), Some(seen)) = (&ticket.share, self.open.get(&query)) else { return };
        let own = share.stretch().range();
        let is_own = |id: &AttemptId| id.partition == ticket.id.partition && *id != ticket.id;
        let others = seen.shares.iter().filter(|(id, _)| is_own(id)).map(|(id, share)| (*id, share.stretch().range()));
        let overlap = others.into_iter().find(|(_, other)| other.start < own.end && own.start < other.end);
        let id = ticket.id;
        self.check("running_shares_are_disjoint", overlap.is_none(), || {
            format!("{id:?} of query {query} has {own:?}, and {overlap:?}")
        });
    }

    fn began(&mut self, query: u64, id: AttemptId, slot: u32) {
        let other = self.slots.insert(slot, (query, id));
        let most = self.most_slots;
        let is_one = other.is_none() && self.slots.len() <= most;
        self.check("no_slot_runs_two_leaves", is_one, || format!("{id:?} of {query} on {slot} beside {other:?}"));
        let is_first = self.open.get_mut(&query).is_none_or(|seen| seen.began.insert(id));
        self.check("no_attempt_begins_twice", is_first, || format!("{id:?} of {query}"));
        let is_stored = self.stored.contains(&(id.partition, 0)) && self.world.query.pieces.is_none();
        self.check("a_resumed_query_runs_only_the_rest", !is_stored, || format!("{id:?} of {query}"));
    }

    fn piece(&mut self, query: u64, id: AttemptId, units: &Range<u64>) {
        let is_stored = self.stored.range((id.partition, units.start)..(id.partition, units.end)).next().is_some();
        self.check("a_resumed_query_runs_only_the_rest", !is_stored, || format!("{id:?} takes {units:?}"));
        let of = self.units;
        let Some(seen) = self.open.get_mut(&query) else { return };
        let before = seen.pieces.insert(id, units.end);
        let begins = seen.shares.get(&id).map(|share| share.stretch());
        let follows = match (before, begins) {
            (Some(before), _) => before == units.start,
            (None, Some(stretch)) => stretch.begin == units.start,
            (None, None) => true,
        };
        let is_within = units.end <= of && begins.is_none_or(|stretch| units.end <= stretch.end);
        self.check("pieces_follow_one_another", follows && is_within && !units.is_empty(), || {
            format!("{id:?} of {query} got {units:?} after {before:?}, of {begins:?}")
        });
    }

    fn left(&mut self, query: u64, id: AttemptId, slot: u32, met: Option<Fault>) {
        let held = self.slots.remove(&slot);
        self.check("no_slot_runs_two_leaves", held == Some((query, id)), || format!("{held:?} left as {id:?}"));
        if let (Some(fault), Some(seen)) = (met, self.open.get_mut(&query)) {
            seen.met.insert(id, fault);
        }
    }

    fn ended(&mut self, query: u64, id: AttemptId, outcome: &Outcome) {
        let failure = outcome.result.as_ref().err().map(|failure| failure.kind);
        let limit = self.world.query.attempts;
        let is_in_pieces = self.world.query.pieces.is_some();
        let Some(seen) = self.open.get_mut(&query) else { return };
        seen.shares.remove(&id);
        let met = seen.met.remove(&id);
        let is_as_met = outcome.is_worker_lost
            || match met {
                Some(Fault::Loss) => failure == Some(FailureKind::Lost),
                Some(Fault::Trap) => failure == Some(FailureKind::Trap),
                Some(Fault::Unavailable) => failure == Some(FailureKind::Unavailable),
                Some(Fault::Hang) => matches!(failure, Some(FailureKind::OutOfTime | FailureKind::Cancelled)),
                None => !matches!(failure, Some(FailureKind::Lost | FailureKind::Trap | FailureKind::Unavailable)),
            };
        let lost = seen.lost.entry(id.partition).or_default();
        *lost += u32::from(outcome.is_worker_lost);
        let is_forgiven = outcome.is_worker_lost && *lost <= 5;
        let count = seen.attempts.entry(id.partition).or_default();
        *count += u32::from(!is_forgiven);
        let count = *count;
        self.check("every_fault_is_reported", is_as_met, || format!("{id:?} of {query} met {met:?}: {failure:?}"));
        self.check("attempts_stay_within_their_limit", is_in_pieces || count <= limit, || {
            format!("{count} of partition {} of query {query}", id.partition)
        });
    }

    fn accepted(&mut self, query: u64, span: Span) {
        let (partition, range) = self.range_of(span);
        self.check("nothing_happens_after_the_end", !self.ended.contains(&query), || format!("a partial of {query}"));
        let Some(seen) = self.open.get_mut(&query) else { return };
        let ranges = seen.accepted.entry(partition).or_default();
        let overlap = ranges.iter().find(|other| other.start < range.end && range.start < other.end).cloned();
        ranges.push(range.clone());
        self.check("each_unit_is_accepted_once", overlap.is_none() && !range.is_empty(), || {
            format!("{range:?} of partition {partition} of query {query}, and {overlap:?}")
        });
    }

    fn rested(&mut self, now: Instant, may_run_background: bool, order: &ClaimOrder<Asker>) {
        let most = self.most_slots;
        let open = |one: &Asker| is_open(one, now) && one.work.running() < most;
        let waits = order.has_open(now, may_run_background, open);
        self.check("no_slot_idles_beside_work", !waits, || "an idle slot found nothing".to_owned());
        let cuts = order.has_open(now, may_run_background, |one| one.work.is_cuttable(now));
        self.check("no_slot_idles_beside_a_cut", !cuts, || "an idle slot cut nothing".to_owned());
    }

    fn gathered(&mut self, query: u64, took: Duration, coverage: &Coverage, outcome: &str, bound: Duration) {
        self.ended.insert(query);
        let Some(seen) = self.open.remove(&query) else { return };
        let planned = u64::from(self.world.query.partitions);
        let closed = coverage.partitions.is_closed() && coverage.weight.is_closed();
        self.check("every_account_is_closed", closed && coverage.partitions.planned == planned, || {
            format!("{:?} and {:?}", coverage.partitions, coverage.weight)
        });
        let units = coverage.units;
        self.check("every_account_is_closed", units.planned == units.taken + units.skipped + units.lost, || {
            format!("{units:?}")
        });
        self.covers(query, &seen, coverage);
        self.keeps_floor(query, coverage, outcome);
        let reruns_are_free = self.workers_lost > 0 || self.world.query.pieces.is_some();
        let most = MIN_RETRIES.max((coverage.attempts.started as f64 * SHARE) as u64);
        let retries = coverage.attempts.retries;
        self.check("retries_stay_within_their_budget", reruns_are_free || retries <= most, || {
            format!("{retries} of {most} in query {query}")
        });
        let heard: u64 = coverage.failures.values().sum();
        self.check("every_fault_is_reported", heard <= coverage.attempts.started, || format!("{heard} failures"));
        let deadline = Duration::from_secs_f64(self.world.query.deadline_ms / 1e3);
        self.check("every_answer_is_in_time", took <= deadline, || format!("{took:?} of {deadline:?}"));
        self.is_near_bound(query, took, coverage, bound);
        self.survives(query, took, coverage, outcome);
    }

    /// The account says of each partition what was accepted.
    fn covers(&mut self, query: u64, seen: &Seen, coverage: &Coverage) {
        let of = self.units;
        let sums = seen.accepted.values().map(|ranges| ranges.iter().map(|range| range.end - range.start).sum::<u64>());
        let whole = sums.clone().filter(|sum| *sum == of).count() as u64;
        let some = sums.filter(|sum| *sum < of).count() as u64;
        let partitions = coverage.partitions;
        let is_right = whole == partitions.succeeded && some == partitions.degraded;
        self.check("the_account_is_what_was_accepted", is_right, || {
            format!("{whole} whole and {some} in part, in query {query} with {partitions:?}")
        });
        let absent = partitions.planned - partitions.succeeded - partitions.skipped;
        let missing = seen.missing;
        self.check("each_missing_partition_is_told_once", missing == absent, || format!("{missing} of {absent}"));
        let named = coverage.missing.len() as u64 + coverage.missing_omitted;
        self.check("each_missing_partition_is_told_once", named == absent, || format!("{named} of {absent}"));
    }

    fn keeps_floor(&mut self, query: u64, coverage: &Coverage, outcome: &str) {
        let is_enough = coverage.required_missing.is_empty()
            && match coverage.floor {
                Floor::All => coverage.complete,
                Floor::AtLeast(least) => coverage.fraction >= least - 1e-9,
                Floor::BestEffort => coverage.fraction > 0.0,
            };
        self.check("an_answer_reaches_its_floor", is_enough || outcome == "failed", || {
            format!("{outcome} with {} of {:?} in query {query}", coverage.fraction, coverage.floor)
        });
        let is_whole = coverage.fraction >= 1.0 && coverage.partitions.is_complete();
        self.check(
            "an_answer_is_complete_if_nothing_is_missing",
            is_whole == (outcome == "complete") || self.merges(),
            || format!("{outcome} with {:?} in query {query}", coverage.partitions),
        );
    }

    /// True if the last merge may take too long.
    fn merges(&self) -> bool {
        self.world.query.merge_ms > 0.0
    }

    /// A query alone, with leaves that can be cut, takes little longer than its work divided by all
    /// slots.
    fn is_near_bound(&mut self, query: u64, took: Duration, coverage: &Coverage, bound: Duration) {
        let world = self.world;
        let divides = world.query.pieces.is_some_and(|pieces| pieces.units >= 10_000);
        // A slot is reserved for tenants that asked lately.
        let is_alone = world.arrivals.rate.is_none() && world.arrivals.background == 0.0 && world.arrivals.tenants == 1;
        let is_even = world.query.slow.share == 0.0;
        if !divides || !is_alone || !is_even || !self.is_here() || !self.has_no_faults() || !coverage.complete {
            return;
        }
        // At most 64 cuts of a partition.
        if coverage.attempts.cuts >= 64 {
            return;
        }
        let price = Duration::from_secs_f64((world.query.overhead_ms + world.query.merge_ms) / 1e3);
        // A rest of less than four prices, or 2 ms, is not cut; a piece takes 3 ms; and a leaf knows
        // its rate only after its second piece.
        let starts = coverage.attempts.started as u32 / self.most_slots as u32 + 1;
        let most = bound.mul_f64(1.02) + price * (8 + starts) + Duration::from_millis(16);
        self.check("cuts_bring_a_query_near_its_bound", took <= most, || {
            format!("query {query} took {took:?}, its bound is {bound:?}, with {:?}", coverage.attempts)
        });
    }

    /// Without faults of leaves, lost workers cost nothing but time while one worker is left.
    fn survives(&mut self, query: u64, took: Duration, coverage: &Coverage, outcome: &str) {
        let lives = self.world.cluster.workers.iter().any(|worker| worker.killed_ms.is_none());
        let has_time = self.world.query.leaf_time_ms.is_none();
        let deadline = Duration::from_secs_f64(self.world.query.deadline_ms / 1e3);
        let is_early = took < deadline / 2 && self.world.query.floor == Floor::All && self.world.query.merge_ms == 0.0;
        if (lives || self.is_here()) && has_time && self.has_no_faults() && is_early {
            self.check("lost_workers_cost_no_answer", outcome == "complete", || {
                format!("query {query} is {outcome} after {took:?}: {:?}", coverage.failures)
            });
        }
    }
}

impl Observer for Audit<'_> {
    fn see(&mut self, _at: Duration, sight: &Sight<'_>) {
        match sight {
            Sight::Arrived { query, admitted: true } => drop(self.open.insert(*query, Seen::default())),
            Sight::Arrived { admitted: false, .. } => {}
            Sight::Claimed { query, ticket, now, order, .. } => self.claimed(*query, ticket, *now, order),
            Sight::Began { query, id, slot, .. } => self.began(*query, *id, *slot),
            Sight::Piece { query, id, units } => self.piece(*query, *id, units),
            Sight::Left { query, id, slot, met } => self.left(*query, *id, *slot, *met),
            Sight::Freed { asker } if asker.work.background().is_some() => self.background -= 1,
            Sight::Freed { asker } => {
                let caller = asker.tenant().caller.clone();
                self.known.insert(caller.clone());
                *self.running.entry(caller).or_default() -= 1;
            }
            Sight::Ended { query, id, outcome, .. } => self.ended(*query, *id, outcome),
            Sight::Accepted { query, span } => self.accepted(*query, *span),
            Sight::Retry { query, .. } => {
                let is_open = self.open.get_mut(query).map(|seen| seen.retries += 1).is_some();
                self.check("nothing_happens_after_the_end", is_open, || format!("a retry of {query}"));
            }
            Sight::Missing { query, .. } => {
                let is_open = self.open.get_mut(query).map(|seen| seen.missing += 1).is_some();
                self.check("nothing_happens_after_the_end", is_open, || format!("a missing partition of {query}"));
            }
            Sight::WorkerLost { .. } => self.workers_lost += 1,
            Sight::Rested { now, may_run_background, order, .. } => self.rested(*now, *may_run_background, order),
            Sight::Gathered { query, took, coverage, outcome, bound, .. } => {
                self.gathered(*query, *took, coverage, outcome, *bound);
            }
        }
    }
}
