//! Partitions that are taken in parts: what is accepted, what is run again, and when all is
//! settled.

use bytes::Bytes;
use tokio::time::Instant;

use super::{Action, Gather, Phase, Reached, status_of};
use crate::answer::{Status, Tally, UnitTally};
use crate::failure::{Cause, Failure, FailureKind};
use crate::ledger::{Ledger, PartialRange, length};
use crate::merge::Span;
use crate::policy::cutting::MAX_PIECES;
use crate::share::{Part, Stretch};
use crate::work::{Done, Emission, Outcome};

/// Reason why units of an ended attempt's part are still open.
enum Open<'a> {
    /// The leaf returned before the end of its part.
    Early,
    /// The attempt was lost with its worker.
    Lost,
    /// The attempt failed.
    Failed(&'a Failure),
}

/// Partial of an ended attempt at a part, with what it accounts for; `None` if it has none.
fn partial_of(part: &Part, outcome: &Outcome, emission: Option<&Emission>) -> Option<(PartialRange, Bytes)> {
    let Part { units: of, stretch, skipped, .. } = *part;
    let end = part.done();
    match (&outcome.result, emission.map(|emission| (emission.done, &emission.partial))) {
        (Ok(partial), _) => {
            let begin = stretch.begin;
            let until = if skipped { stretch.end.max(end) } else { end };
            let partial = if begin < end { partial.clone() } else { Bytes::new() };
            Some((PartialRange { begin, end, until, of }, partial))
        }
        (Err(_), Some((Done::Units { begin, end, .. }, partial))) => {
            Some((PartialRange { begin, end, until: end, of }, partial.clone()))
        }
        (Err(_), _) => None,
    }
}

impl Gather {
    /// The part of an ended attempt, if the ledger has to account for it: not a whole partition
    /// that one attempt took, or took nothing of.
    pub(super) fn in_parts(&self, partition: u32, outcome: &Outcome, reached: &Reached) -> Option<Part> {
        let ledger = self.ledgers.get(&partition);
        // A leaf that takes no pieces has the whole partition.
        let part = reached.part.or_else(|| ledger.map(|ledger| Part::whole(ledger.units())))?;
        // An empty partition is whole from the start: there is nothing to take in parts.
        let units = ledger.map_or(part.units, Ledger::units);
        let part = Some(Part { units, ..part }).filter(|part| part.units > 0)?;
        let kept = reached.emission.as_ref().is_some_and(|kept| matches!(kept.done, Done::Units { .. }));
        let is_plain = match outcome.result {
            Ok(_) => part.is_whole() && !part.skipped,
            Err(_) => part.stretch.range() == (0..part.units) && !kept,
        };
        (!is_plain || ledger.is_some()).then_some(part)
    }

    /// The partial of an ended attempt that must be stored before it counts, with its units, or
    /// `None` for the whole partition. Nothing of an attempt that counts for nothing is stored, and
    /// nothing of one that is stopped: the answer is made of it at once.
    #[must_use]
    pub fn to_store(
        &self,
        partition: u32,
        outcome: &Outcome,
        reached: &Reached,
    ) -> Option<(Option<PartialRange>, Bytes)> {
        let cell = self.cells.get(partition as usize)?;
        if cell.settled.is_some() || self.ended_why().is_some() {
            return None;
        }
        let Some(part) = self.in_parts(partition, outcome, reached) else {
            return outcome.result.as_ref().ok().map(|partial| (None, partial.clone()));
        };
        if outcome.result.is_err() && self.phase != Phase::Gathering {
            return None;
        }
        let (range, partial) = partial_of(&part, outcome, reached.emission.as_ref())?;
        self.is_new(partition, &range).then_some((Some(range), partial))
    }

    /// True if a partial of these units would count.
    #[must_use]
    pub fn is_new(&self, partition: u32, range: &PartialRange) -> bool {
        let units = range.begin..range.until;
        let is_settled = self.cells.get(partition as usize).is_none_or(|cell| cell.settled.is_some());
        !is_settled && !units.is_empty() && self.ledgers.get(&partition).is_none_or(|ledger| ledger.is_open(&units))
    }

    /// Accounts for an attempt at a part of a partition.
    pub(super) fn part_ended(
        &mut self,
        (partition, part): (u32, Part),
        outcome: Outcome,
        reached: Reached,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let Reached { emission, contested, .. } = reached;
        let own = part.stretch.range();
        // A rival that still runs has the rest.
        let range = own.start..contested.as_ref().map_or(own.end, |rest| rest.start.clamp(own.start, own.end));
        let partial = partial_of(&part, &outcome, emission.as_ref());
        let partial = partial.filter(|(units, _)| units.until <= range.end || contested.is_none());
        let failure = outcome.result.err();
        let is_success = failure.is_none();
        let accepted = partial.map_or(0, |(range, partial)| self.accept(partition, &range, partial, actions));
        let advanced = accepted > 0;
        if advanced {
            self.change(partition, |ledger| ledger.used += outcome.ran);
            self.account.used += outcome.ran;
        } else {
            self.account.wasted += outcome.ran;
        }
        self.account.attempts.discarded += u64::from(is_success && !advanced);
        let open = match &failure {
            None => Open::Early,
            Some(_) if outcome.is_worker_lost => Open::Lost,
            Some(failure) => Open::Failed(failure),
        };
        let is_fresh = !is_success && advanced && self.begins_anew(partition);
        let gaps = self.change(partition, |ledger| ledger.gaps(&range));
        let handed_out = if is_success { own.start..part.done() } else { part.handed_out() };
        let mut left = 0;
        let mut is_given_up = false;
        for gap in gaps {
            let history = if is_fresh { Stretch { tries: 0, lost: 0, ..part.stretch } } else { part.stretch };
            let stretch = Stretch { begin: gap.start, end: gap.end, ..history };
            let again = length(&(gap.start..gap.end.min(handed_out.end)));
            left += again;
            if self.goes_on(partition, stretch, &open, is_fresh, now, actions) {
                self.account.units.redone += again;
                self.account.workers.units_redone += if matches!(open, Open::Lost) { again } else { 0 };
            } else {
                self.change(partition, |ledger| ledger.lose(&gap));
                is_given_up = true;
            }
        }
        let units = &mut self.account.units;
        units.saved += if is_success { 0 } else { accepted };
        units.discarded += length(&handed_out).saturating_sub(accepted + left);
        if let Some(failure) = failure {
            self.remember(partition, failure);
        } else if is_given_up {
            self.left_early(partition, &part);
        }
        self.settle_parts(partition, actions);
    }

    /// Notes why units are missing of which each attempt said that it succeeded.
    fn left_early(&mut self, partition: u32, part: &Part) {
        let taken = length(&part.handed_out());
        let all = length(&part.stretch.range());
        let message = format!("returned twice before the end of its part: it took {taken} of {all} units");
        let mut failure = Box::new(Failure::new(FailureKind::Incompatible, message));
        self.count(&mut failure);
        self.remember(partition, failure);
    }

    /// Has open units run again, if that may help: earlier failures do not count if the attempt is
    /// `is_fresh`. False if the units are to be given up.
    fn goes_on(
        &mut self,
        partition: u32,
        stretch: Stretch,
        open: &Open<'_>,
        is_fresh: bool,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        match open {
            Open::Lost => {
                let lost = stretch.lost + u32::from(!is_fresh);
                self.rerun(partition, Some(Stretch { lost, ..stretch }), now, actions)
            }
            Open::Early => {
                let again = self.change(partition, |ledger| ledger.leave_early(&stretch.range()));
                again && self.rerun(partition, Some(Stretch { tries: 0, early: true, ..stretch }), now, actions)
            }
            Open::Failed(failure) => {
                let tries = stretch.tries + u32::from(!is_fresh);
                let rest = Stretch { tries, ..stretch };
                if failure.kind.is_passing() {
                    let gathering = self.phase == Phase::Gathering;
                    return gathering && self.retry(partition, Some(rest), failure.retry_after(), now, actions);
                }
                failure.kind.is_cut_off() && is_fresh && self.rerun(partition, Some(rest), now, actions)
            }
        }
    }

    /// After a failure that follows progress, has the partition's retries begin anew. False once it
    /// has done so often: a leaf that advances each time ends, but one may advance by a unit.
    fn begins_anew(&mut self, partition: u32) -> bool {
        let anew = self.change(partition, |ledger| ledger.count_failure() <= MAX_PIECES);
        if anew {
            self.failing.remove(&partition);
        }
        anew
    }

    /// Records the partial of a part that an earlier run has stored.
    pub(super) fn part_recalled(
        &mut self,
        partition: u32,
        range: &PartialRange,
        partial: Bytes,
        actions: &mut Vec<Action>,
    ) {
        self.accept(partition, range, partial, actions);
        self.settle_parts(partition, actions);
    }

    /// Accounts for the partial of a part, unless some of it is accounted for already. Returns the
    /// number of its units that are in the answer now.
    pub(super) fn accept(
        &mut self,
        partition: u32,
        range: &PartialRange,
        partial: Bytes,
        actions: &mut Vec<Action>,
    ) -> u64 {
        let accepted = self.change(partition, |ledger| ledger.account(range));
        let covered = range.covered();
        let merges = accepted && !covered.is_empty();
        if merges {
            let units = self.ledgers.get(&partition).map_or(0, Ledger::units);
            actions.push(Action::Merge { partition, span: Span::part(partition, &covered, units), partial });
        }
        if merges { length(&covered) } else { 0 }
    }

    /// Changes the ledger of an open partition, and the weight of its parts with it.
    fn change<T>(&mut self, partition: u32, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let (units, weight) = self.plan.get(partition).map_or((0, 0), |one| (one.content.units().count, one.weight));
        let ledger = self.ledgers.entry(partition).or_insert_with(|| Ledger::new(units));
        let before = ledger.weight_of(ledger.covered(), weight);
        let result = change(ledger);
        self.open_parts += ledger.weight_of(ledger.covered(), weight);
        self.open_parts -= before;
        result
    }

    /// Settles a partition once none of its units is open.
    fn settle_parts(&mut self, partition: u32, actions: &mut Vec<Action>) {
        let Some(ledger) = self.ledgers.get(&partition).filter(|ledger| ledger.is_settled()) else { return };
        let covered = ledger.covered();
        let units = ledger.units();
        let used = ledger.used.as_secs_f32();
        let gaps = ledger.without_partial().into_iter().map(|gap| Action::Gap(Span::part(partition, &gap, units)));
        let kind = self.cells.get(partition as usize).and_then(|cell| cell.kind);
        if covered == 0 {
            return self.miss(partition, kind.map_or(Status::Failed, status_of), actions);
        }
        actions.extend(gaps);
        if covered == units {
            // What earlier runs have done took no time of this one.
            self.account.took.extend((used > 0.0).then_some((partition, used)));
            return self.settle(partition, Status::Succeeded, 1.0);
        }
        self.settle(partition, Status::Degraded, covered as f64 / units as f64);
        if kind.is_some_and(|kind| kind.is_cut_off()) {
            self.explains(partition, Cause::Late);
        }
        self.note_missing(partition, Status::Degraded, actions);
    }

    /// Gives the open units of a partition up at the end of the gather. False if nothing of the
    /// partition is in the answer.
    pub(super) fn end_parts(&mut self, partition: u32, actions: &mut Vec<Action>) -> bool {
        let Some(ledger) = self.ledgers.get_mut(&partition).filter(|ledger| ledger.covered() > 0) else { return false };
        ledger.lose(&(0..ledger.units()));
        self.settle_parts(partition, actions);
        true
    }

    /// Moves the weight of units that leaves have skipped from `succeeded` to `skipped`.
    pub(super) fn move_skipped(&self, weight: &mut Tally) {
        for (index, ledger) in self.ledgers.iter().filter(|(_, ledger)| ledger.skipped() > 0) {
            let done = self.cells.get(*index as usize).is_some_and(|cell| cell.settled == Some(Status::Succeeded));
            if let Some(partition) = self.plan.get(*index).filter(|_| done) {
                let skipped = ledger.weight_of(ledger.skipped(), partition.weight);
                weight.succeeded -= skipped;
                weight.skipped += skipped;
            }
        }
    }

    /// Units of the partitions that are taken in parts, by fate, and the work on them.
    pub(super) fn units(&self) -> UnitTally {
        let mut all = self.account.units;
        for (index, ledger) in &self.ledgers {
            let is_settled = self.cells.get(*index as usize).is_some_and(|cell| cell.settled.is_some());
            all.planned += ledger.units();
            all.taken += ledger.taken();
            all.skipped += ledger.skipped();
            all.lost += if is_settled { ledger.units() - ledger.covered() } else { 0 };
        }
        all
    }

    /// Missing units of a partition of which some are in the answer.
    pub(super) fn missing_ranges(&self, partition: u32) -> Vec<(u64, u64)> {
        let ledger = self.ledgers.get(&partition).filter(|ledger| ledger.covered() > 0);
        let missing = ledger.map(Ledger::missing).unwrap_or_default();
        missing.into_iter().map(|range| (range.start, range.end)).collect()
    }
}
