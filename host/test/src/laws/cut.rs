//! Law *cut*: a partition that is taken in any pieces, cut anywhere, and run again from any kept
//! partial gives the answer of the whole. The law is checked if the leaf imports `pieces`. It finds
//! a leaf that counts a record in two parts or in none, whose parts depend on each other, that
//! returns before its part ends, or whose kept partials are not of the pieces so far.

mod sample;
mod schedule;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::runner::Covered;
use frond_root::work::Done;
use frond_root::{Emission, Failure, FailureKind, Partition};
use frond_sandbox::trial::{LeafCalls, Piecewise};
use frond_sandbox::{Guests, Leaf};
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use super::law::{CounterExample, FinishOutcome, Law, LawResult, MAX_SHRINKS, Merges, is_chance};
use super::partials::{Group, LeafInput};
use crate::case::Lower;
use crate::diff::{diff, shown};
use crate::tester::Tester;
use sample::Sample;
use schedule::Schedule;

/// Number of random schedules for each partition.
const SCHEDULES: usize = 12;
/// Of so many schedules, the last tries what the leaf keeps. So many are tried however long they
/// take.
const ROUND: usize = 3;
/// Limit on the time of all schedules, and on that of the search for a smaller counter-example.
const TIME: Duration = Duration::from_secs(30);
/// A content is halved while the leaf uses more fuel than this for the whole.
const MUCH_FUEL: u64 = 200_000_000;
/// A content is halved while the leaf takes longer than this for the whole, as one that waits does.
const LONG: Duration = Duration::from_secs(1);
/// Limit on the partitions of one query that are cut.
const MAX_PARTITIONS: usize = 4;

/// Checks the law on the partitions of `groups`.
pub(super) fn cut(
    tester: &Tester,
    (leaf, guests): (&Leaf, &Guests),
    groups: &[Group],
    merges: &Merges,
    seed: u64,
) -> LawResult {
    let random = ChaCha12Rng::seed_from_u64(seed);
    let until = Instant::now() + TIME;
    let mut checks = Checks { law: LawResult::new(Law::Cut), random, until, kept: 0, skipped: 0 };
    for group in groups {
        for input in group.inputs.iter().filter(|input| input.fresh.is_ok()).take(MAX_PARTITIONS) {
            let Some(sample) = Sample::of(&input.partition) else { continue };
            Cutting { tester, leaf, guests, merges, group, input }.check(&mut checks, sample);
        }
    }
    checks.result()
}

/// Checks of the law so far.
struct Checks {
    law: LawResult,
    random: ChaCha12Rng,
    /// Time after which no more schedules are tried.
    until: Instant,
    /// Number of schedules that held in which a kept partial stood for a killed leaf.
    kept: u64,
    /// Number of schedules that were not tried.
    skipped: usize,
}

impl Checks {
    fn result(self) -> LawResult {
        let Self { mut law, kept, skipped, .. } = self;
        if law.holds() && kept == 0 {
            law.notes.push("kept partials were not checked: the leaf kept none before it was killed".to_owned());
        }
        if skipped > 0 {
            let limit = TIME.as_secs();
            law.notes.push(format!("{skipped} more schedules were not tried: the limit of {limit} s was over"));
        }
        law
    }
}

/// One partition of a query, to be taken in parts.
struct Cutting<'a> {
    tester: &'a Tester,
    leaf: &'a Leaf,
    guests: &'a Guests,
    merges: &'a Merges,
    group: &'a Group,
    input: &'a LeafInput,
}

/// Schedule that gives another answer than the whole.
struct Different {
    sample: Sample,
    schedule: Schedule,
    whole: Bytes,
    outcome: FinishOutcome,
}

/// Result of taking a content by a schedule; without a verdict, the failure of a call that says
/// nothing about the leaf.
type Verdict<T> = Result<T, String>;

/// Returns the outcome of a call. A call that runs out of fuel has no verdict: many small pieces
/// cost more fuel than the few of a query.
fn verdict(result: Result<Bytes, Box<Failure>>) -> Verdict<FinishOutcome> {
    match result {
        Err(failure) if is_chance(failure.kind) || failure.kind == FailureKind::OutOfFuel => Err(failure.to_string()),
        result => Ok(result.map_err(|failure| failure.to_string())),
    }
}

/// Answer of a content that is taken in one piece, and the leaf's effort.
struct Whole {
    answer: Bytes,
    fuel: u64,
    took: Duration,
}

impl Whole {
    fn is_costly(&self) -> bool {
        self.fuel > MUCH_FUEL || self.took > LONG
    }
}

/// Outcome of a schedule.
struct Run {
    outcome: FinishOutcome,
    /// True if a kept partial stands for a killed leaf.
    is_kept: bool,
}

impl Cutting<'_> {
    fn check(&self, checks: &mut Checks, sample: Sample) {
        let Checks { law, random, until, kept, skipped } = checks;
        if law.broken.is_some() {
            return;
        }
        let (sample, whole) = match self.begin(sample) {
            Ok(Some((sample, whole))) => (sample, whole.answer),
            // A leaf that asks for no piece is never cut.
            Ok(None) => return,
            Err(failure) => return law.fails(failure),
        };
        for number in 1..=SCHEDULES {
            if number > ROUND && Instant::now() >= *until {
                *skipped += SCHEDULES + 1 - number;
                return;
            }
            let schedule = match number % ROUND {
                0 => Schedule::keeping(&sample, random),
                _ => Schedule::random(&sample, random),
            };
            match self.run(&sample, &schedule) {
                Err(failure) => law.fails(failure),
                Ok(run) if run.outcome.as_ref() == Ok(&whole) => {
                    law.checked += 1;
                    *kept += u64::from(run.is_kept);
                }
                Ok(run) => return self.breaks(law, Different { sample, schedule, whole, outcome: run.outcome }),
            }
        }
    }

    /// Returns the content to cut, with its answer: a short one repeated, unless the leaf refuses
    /// that or finds it costly, and less of a costly one. `None` if the leaf asks for no piece.
    fn begin(&self, mut sample: Sample) -> Verdict<Option<(Sample, Whole)>> {
        if let Some(repeated) = sample.repeated()
            && let Ok(Some(whole)) = self.whole(&repeated)
            && !whole.is_costly()
        {
            return Ok(Some((repeated, whole)));
        }
        let Some(mut whole) = self.whole(&sample)? else { return Ok(None) };
        while whole.is_costly()
            && let Some(half) = sample.halved()
            && let Ok(Some(less)) = self.whole(&half)
        {
            whole = less;
            sample = half;
        }
        Ok(Some((sample, whole)))
    }

    /// Takes a content in one piece; `None` if the leaf asks for no piece, or if the content has
    /// other units than the partition.
    fn whole(&self, sample: &Sample) -> Verdict<Option<Whole>> {
        let partition = self.partition(sample);
        if !sample.is_of(partition.content.units()) {
            return Ok(None);
        }
        let time = self.tester.leaf_time(&Lower::default());
        let _host_calls_wait_on = self.tester.runtime.enter();
        let mut calls = self.tester.trials().leaf_calls(self.leaf, &self.group.query, time);
        let piecewise = Piecewise { range: 0..sample.units(), ends: Vec::new(), until: None };
        let call = calls.call((self.input.index, partition), Some(piecewise));
        let trial = call.map_err(|error| error.to_string())?;
        let partial = verdict(trial.result)??;
        let Some(part) = trial.part else { return Ok(None) };
        let taken = BTreeMap::from([(0, partial)]);
        let answer = self.answer(if part.taken > 0 { taken } else { BTreeMap::new() })??;
        Ok(Some(Whole { answer, fuel: trial.usage.fuel, took: trial.took }))
    }

    /// Takes a content by a schedule.
    fn run(&self, sample: &Sample, schedule: &Schedule) -> Verdict<Run> {
        let time = self.tester.leaf_time(&Lower::default());
        let _host_calls_wait_on = self.tester.runtime.enter();
        let partition = self.partition(sample);
        let mut calls = self.tester.trials().leaf_calls(self.leaf, &self.group.query, time);
        let mut partials = BTreeMap::new();
        let mut is_kept = false;
        for range in schedule.parts(sample.units()) {
            let mut rest = Some(range.clone());
            let mut kill = schedule.kill.filter(|at| range.contains(at));
            while let Some(range) = rest.take() {
                match self.take(&mut calls, &partition, (range, kill.take()), schedule)? {
                    Ok(Taken { range, partial, left, is_kept: of_kept }) => {
                        is_kept |= of_kept;
                        // Nothing was taken of an empty range: it has no partial.
                        partials.extend(partial.filter(|_| !range.is_empty()).map(|partial| (range.start, partial)));
                        rest = left;
                    }
                    Err(why) => return Ok(Run { outcome: Err(why.shown(sample)), is_kept }),
                }
            }
        }
        Ok(Run { outcome: self.answer(partials)?, is_kept })
    }

    /// Makes one call of a schedule.
    fn take(
        &self,
        calls: &mut LeafCalls<'_>,
        partition: &Partition,
        (range, kill): (Range<u64>, Option<u64>),
        schedule: &Schedule,
    ) -> Verdict<Result<Taken, Stopped>> {
        let piecewise = Piecewise { range: range.clone(), ends: schedule.ends.clone(), until: kill };
        let call = calls.call((self.input.index, partition.clone()), Some(piecewise));
        let trial = call.map_err(|error| error.to_string())?;
        let partial = match verdict(trial.result)? {
            Ok(partial) => partial,
            Err(failure) => return Ok(Err(Stopped::Failed(failure))),
        };
        if let (Some(_), Some(Emission { partial, done: Done::Units { begin, end, .. } })) = (kill, trial.emitted) {
            let left = Some(end..range.end).filter(|left| !left.is_empty());
            return Ok(Ok(Taken { range: begin..end, partial: Some(partial), left, is_kept: true }));
        }
        let Some(part) = trial.part.filter(|part| part.accounted() >= range.end) else {
            let at = trial.part.map_or(range.start, |part| part.taken);
            return Ok(Err(Stopped::Early { at, end: range.end }));
        };
        Ok(Ok(Taken { range: range.start..part.taken, partial: Some(partial), left: None, is_kept: false }))
    }

    fn partition(&self, sample: &Sample) -> Partition {
        let partition = self.input.partition.clone();
        let content = self.tester.package.partition(partition.key.as_str(), sample.content()).content;
        Partition { content, ..partition }
    }

    /// Merges the partials in the order of their first units, and finishes the answer.
    fn answer(&self, partials: BTreeMap<u64, Bytes>) -> Verdict<FinishOutcome> {
        let time = self.tester.merge_time(&Lower::default());
        let trials = self.tester.trials();
        let query = &self.group.query;
        let partials: Vec<Bytes> = partials.into_values().collect();
        let merged = match partials.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            many => {
                let trial = trials.merge(self.guests, query, many, time);
                match self.merges.take(verdict(trial.result)?) {
                    Ok(merged) => Some(merged),
                    Err(failure) => return Ok(Err(failure)),
                }
            }
        };
        let covered = Covered { planned: 1, covered: 1, complete: true };
        let trial = trials.finish(self.guests, query, merged.as_deref(), covered, time);
        verdict(trial.result)
    }

    /// Breaks the law by the smallest difference found: of the fewest records, then of the fewest
    /// cuts.
    fn breaks(&self, law: &mut LawResult, mut different: Different) {
        let mut left = MAX_SHRINKS;
        let until = Instant::now() + TIME;
        while let Some(simpler) = self.simpler(&different, (&mut left, until)) {
            different = simpler;
        }
        if Instant::now() >= until {
            law.notes.push(format!("a smaller counter-example was sought for {} s only", TIME.as_secs()));
        }
        law.broken = Some(self.shown(&different));
    }

    fn simpler(&self, different: &Different, (left, until): (&mut usize, Instant)) -> Option<Different> {
        for (sample, schedule) in different.schedule.simpler(&different.sample) {
            *left = left.checked_sub(1).filter(|_| Instant::now() < until)?;
            if let Some(simpler) = self.difference(sample, schedule) {
                return Some(simpler);
            }
        }
        None
    }

    fn difference(&self, sample: Sample, schedule: Schedule) -> Option<Different> {
        let whole = self.whole(&sample).ok().flatten()?.answer;
        let outcome = self.run(&sample, &schedule).ok()?.outcome;
        (outcome.as_ref() != Ok(&whole)).then_some(Different { sample, schedule, whole, outcome })
    }

    fn shown(&self, different: &Different) -> CounterExample {
        let Different { sample, schedule, whole, outcome } = different;
        let outcome = outcome.as_ref().map_or_else(Clone::clone, |bytes| shown(bytes));
        CounterExample {
            what: format!(
                "- `{}` in one piece: {}\n+ {}\n  of the query {}",
                self.input.name,
                sample.shown(&(0..sample.units())),
                schedule.shown(sample),
                shown(&self.group.query),
            ),
            diff: diff(&shown(whole), &outcome),
        }
    }
}

/// Units that one call has taken.
struct Taken {
    range: Range<u64>,
    partial: Option<Bytes>,
    /// Units that are run again.
    left: Option<Range<u64>>,
    /// True if the partial is a kept one, of a leaf that was killed.
    is_kept: bool,
}

/// Reason why a call gives no partial of its part.
enum Stopped {
    Failed(String),
    /// The leaf returned at a unit, although its part ends later.
    Early {
        at: u64,
        end: u64,
    },
}

impl Stopped {
    fn shown(self, sample: &Sample) -> String {
        match self {
            Self::Failed(failure) => failure,
            Self::Early { at, end } => format!(
                "no answer: the leaf returned at {}, before the end of its part at {}, without `skip-rest`",
                sample.place(at),
                sample.place(end),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
