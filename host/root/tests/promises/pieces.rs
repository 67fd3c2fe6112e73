//! Tests of partitions that are taken piece by piece: parts are accepted once, cut in halves, run
//! again, skipped or given up, and the account is exact to the unit.
#![allow(clippy::single_range_in_vec_init, reason = "a list of ranges may have one")]

mod cutting;
mod leasing;
mod ledger;
mod lives;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use frond_root::answer::UnitTally;
use frond_root::{
    Answer, CancellationToken, CopySettings, Coverage, EventKind, Events, FailureKind, Floor, Journal, MergeOrder,
    Plan, Request, Services, Status, flow,
};
use frond_testkit::pieces::{PieceLeaves as Workers, Step, integers, joined, units};
use frond_testkit::{Merges, Record, ms, request};
use proptest::prelude::*;

use crate::parts;

/// Answer with the events of its query.
struct Asked {
    answer: Answer,
    record: Record,
}

impl Asked {
    async fn of(workers: Workers, request: Request, plan: Plan) -> Self {
        Self::with(workers, request, plan, None).await
    }

    async fn with(workers: Workers, request: Request, plan: Plan, journal: Option<Arc<dyn Journal>>) -> Self {
        let record = Record::default();
        let services = Services {
            runner: Arc::new(workers),
            merger: Arc::new(Merges::joined()),
            events: Events::new(vec![Arc::new(record.clone())]),
            journal,
            memory: None,
        };
        let answer = flow::run(request, async { Ok(plan) }, services, CancellationToken::new()).await.unwrap();
        Self { answer, record }
    }

    fn coverage(&self) -> &Coverage {
        let coverage = self.answer.coverage();
        assert!(coverage.partitions.is_closed() && coverage.weight.is_closed(), "{coverage:?}");
        let UnitTally { planned, taken, skipped, lost, .. } = coverage.units;
        assert_eq!(taken + skipped + lost, planned, "{coverage:?}");
        coverage
    }

    /// Units whose partials are in the answer, in the order of the merge.
    fn taken(&self) -> Vec<(u32, Range<u64>)> {
        units(self.answer.body().unwrap())
    }

    /// Units in the answer by partition, with neighbours joined. Panics if a unit is there twice.
    fn joined(&self) -> BTreeMap<u32, Vec<Range<u64>>> {
        joined(self.answer.body().unwrap())
    }

    fn started(&self) -> Vec<(u32, Option<(u64, u64)>)> {
        self.record.all(|event| match event.kind {
            EventKind::AttemptStarted { attempt, units, .. } => Some((attempt, units)),
            _ => None,
        })
    }
}

fn copies(is_on: bool) -> CopySettings {
    if is_on { CopySettings::ON } else { CopySettings::OFF }
}

fn best_effort() -> Request {
    Request { floor: Floor::BestEffort, ..request() }
}

/// One worker whose leaves take a millisecond for each unit, and do `step` after each piece.
fn one(step: impl Fn(u32, &Range<u64>) -> Step + Send + Sync + 'static) -> Workers {
    Workers::new(&[ms(1)], step)
}

#[tokio::test(start_paused = true)]
async fn a_whole_partition_is_one_attempt_and_one_partial() {
    let asked = Asked::of(one(|_, _| Step::Go), request(), integers(&[10, 0, 3])).await;
    assert_eq!(asked.joined()[&0], [0..10]);
    assert_eq!(asked.joined()[&2], [0..3]);
    assert!(asked.coverage().complete);
    assert_eq!(asked.started(), [(1, None), (1, None), (1, None)]);
    assert!(asked.coverage().units.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_counts_however_the_leaf_fails() {
    for kind in [FailureKind::Trap, FailureKind::InvalidPartition, FailureKind::OutOfMemory] {
        let leaf = move |_: u32, piece: &Range<u64>| match piece.start {
            4 => Step::Keep,
            8.. => Step::Fail(kind),
            _ => Step::Go,
        };
        let asked = Asked::of(one(leaf), best_effort(), integers(&[20])).await;
        let kept = asked.joined()[&0][0].clone();
        assert_eq!(kept.start, 0);
        let coverage = asked.coverage();
        assert_eq!((coverage.covered, coverage.weight.degraded), (kept.end, 20), "{kind}");
        let missing = &coverage.missing[0];
        assert_eq!((missing.status, missing.slug), (Status::Degraded, Some(kind)));
        assert_eq!(missing.ranges, [(kept.end, 20)]);
        assert_eq!(coverage.attempts.started, 1, "a retry would fail again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_is_cut_off_goes_on_where_it_kept() {
    let leaf = |attempt: u32, piece: &Range<u64>| match (attempt, piece.start) {
        (1, 4) => Step::Keep,
        (1, 8..) => Step::Fail(FailureKind::OutOfFuel),
        _ => Step::Go,
    };
    let asked = Asked::of(one(leaf), request(), integers(&[40])).await;
    assert!(asked.coverage().complete);
    assert_eq!(asked.joined()[&0], [0..40]);
    let [(1, None), (2, Some((begin, 40)))] = asked.started()[..] else { panic!("{:?}", asked.started()) };
    assert_eq!(asked.taken(), [(0, 0..begin), (0, begin..40)]);
    let units = asked.coverage().units;
    assert_eq!((units.planned, units.taken, units.saved, units.discarded), (40, 40, begin, 0));
    // What the first attempt was handed out after that is handed out again.
    let dropped = asked.record.all(|event| match event.kind {
        EventKind::AttemptEnded { part: Some(part), .. } if part.dropped > 0 => Some(part.dropped),
        _ => None,
    });
    assert_eq!(dropped, [units.redone]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_kept_nothing_is_redone_whole() {
    let leaf = |attempt: u32, piece: &Range<u64>| match (attempt, piece.start) {
        (1, 8..) => Step::Fail(FailureKind::Unavailable),
        _ => Step::Go,
    };
    let workers = one(leaf);
    let handed_out = workers.handed_out();
    let asked = Asked::of(workers, request(), integers(&[40])).await;
    let units = asked.coverage().units;
    assert_eq!((units.planned, units.redone + 40, units.saved), (0, handed_out.load(Ordering::SeqCst), 0));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_fails_again_and_again_is_tried_as_often_as_without_pieces() {
    let asked = Asked::of(one(|_, piece| fail_at(piece, 6)), best_effort(), integers(&[20])).await;
    let coverage = asked.coverage();
    // Three advance, and three fail in a row where they began.
    assert_eq!((coverage.attempts.started, coverage.attempts.retries), (6, 5));
    assert_eq!(coverage.missing[0].ranges, [(6, 20)]);
}

fn fail_at(piece: &Range<u64>, at: u64) -> Step {
    if piece.end > at { Step::Fail(FailureKind::Unavailable) } else { Step::Keep }
}

#[tokio::test(start_paused = true)]
async fn an_early_return_counts_and_its_rest_runs_again_once() {
    let once = |attempt: u32, _: &Range<u64>| if attempt == 1 { Step::Return } else { Step::Go };
    let asked = Asked::of(one(once), request(), integers(&[10])).await;
    assert!(asked.coverage().complete);
    assert_eq!(asked.taken()[0], (0, 0..1));
    assert_eq!(asked.joined()[&0], [0..10]);
    let asked = Asked::of(one(|_, _| Step::Return), best_effort(), integers(&[10])).await;
    assert_eq!(asked.joined()[&0], [0..2]);
    let missing = &asked.coverage().missing[0];
    let slug = Some(FailureKind::Incompatible);
    assert_eq!((missing.status, missing.slug, &missing.ranges[..]), (Status::Degraded, slug, &[(2, 10)][..]));
    assert_eq!(asked.coverage().failures, BTreeMap::from([(FailureKind::Incompatible, 1)]));
    let why = &missing.failure.as_ref().unwrap().message;
    assert_eq!(&**why, "returned twice before the end of its part: it took 1 of 9 units");
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_not_needed_is_skipped_and_nothing_is_missing() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let leaf = |_: u32, piece: &Range<u64>| if piece.start == 0 { Step::Skip } else { Step::Go };
        let request = Request { order, ..request() };
        let asked = Asked::of(one(leaf), request, integers(&[10, 20])).await;
        let coverage = asked.coverage();
        assert!(coverage.complete && coverage.fraction == 1.0);
        assert_eq!((coverage.weight.succeeded, coverage.weight.skipped), (2, 28));
        assert_eq!((coverage.units.taken, coverage.units.skipped, coverage.units.redone), (2, 28, 0));
        assert_eq!(asked.joined(), BTreeMap::from([(0, vec![0..1]), (1, vec![0..1])]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_counts_at_the_deadline_whether_or_not_the_leaf_stops() {
    for deaf in [false, true] {
        for order in [MergeOrder::Any, MergeOrder::Partition] {
            let workers = Workers::new(&[ms(1), ms(40)], |_, _| Step::Keep).deaf(deaf);
            let request = Request { order, ..best_effort() };
            let asked = Asked::of(workers, request, integers(&[800, 790])).await;
            let coverage = asked.coverage();
            let covered: u64 = asked.taken().iter().map(|(_, range)| range.end - range.start).sum();
            assert_eq!(coverage.covered, covered);
            assert!(covered > 800 && !coverage.complete, "{covered}");
            let missing: u64 = coverage.missing.iter().flat_map(|one| &one.ranges).map(|(a, b)| b - a).sum();
            assert_eq!(missing + covered, 1590);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_takes_half_of_the_longest_rest() {
    // The second slot has nothing to do from the start.
    let workers = Workers::new(&[ms(1); 2], |_, _| Step::Go);
    let asked = Asked::of(workers, request(), integers(&[400])).await;
    let coverage = asked.coverage();
    assert!(coverage.complete && coverage.attempts.cuts > 0);
    assert_eq!(asked.joined()[&0], [0..400]);
    // In paused time: 200 ms would be perfect.
    assert!(coverage.timings.gather < 210.0, "{:?}", coverage.timings);
    let cut_from = asked.record.all(|event| match event.kind {
        EventKind::AttemptStarted { attempt: 2, cut_from, .. } => Some(cut_from),
        _ => None,
    });
    assert_eq!(cut_from, [Some(1)]);
}

/// Random action of a leaf after its piece.
fn step() -> impl Strategy<Value = Step> {
    let kinds = [
        FailureKind::Unavailable,
        FailureKind::Trap,
        FailureKind::OutOfFuel,
        FailureKind::OutOfTime,
        FailureKind::Lost,
        FailureKind::Overloaded,
    ];
    prop_oneof![
        12 => Just(Step::Go),
        6 => Just(Step::Keep),
        1 => Just(Step::Return),
        2 => prop::sample::select(kinds.to_vec()).prop_map(Step::Fail),
        1 => Just(Step::Vanish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_unit_is_counted_twice_or_lost(
        counts in prop::collection::vec(0_u64..3000, 1..5),
        slots in prop::collection::vec(1_u64..60, 1..5),
        steps in prop::collection::vec(step(), 1..40),
        deadline in 50_u64..2000,
        ordered: bool,
        is_copied: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let times: Vec<_> = slots.iter().map(|micros| Duration::from_micros(*micros)).collect();
        let turn = std::sync::atomic::AtomicUsize::new(0);
        let workers = Workers::new(&times, move |_, _| {
            steps[turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % steps.len()]
        });
        let order = if ordered { MergeOrder::Partition } else { MergeOrder::Any };
        let request = Request { order, deadline: ms(deadline), copies: copies(is_copied), ..best_effort() };
        let handed_out = workers.handed_out();
        let asked = runtime.block_on(Asked::of(workers, request, integers(&counts)));
        check_account(&asked, &counts, ordered)?;
        // What two rivals have at a time is not in the account of the units.
        if asked.coverage().attempts.hedges == 0 {
            check_work(&asked, &counts, handed_out.load(Ordering::SeqCst))?;
        }
    }
}

/// Checks that what was handed out is in the answer, redone, discarded, or missing.
fn check_work(asked: &Asked, counts: &[u64], handed_out: u64) -> Result<(), TestCaseError> {
    let coverage = asked.coverage();
    if asked.answer.body().is_none() {
        return Ok(());
    }
    let covered = asked.joined().values().flatten().map(|range| range.end - range.start).sum::<u64>();
    let known = covered + coverage.units.redone + coverage.units.discarded;
    let lost = counts.iter().sum::<u64>() - covered;
    prop_assert!((known..=known + lost).contains(&handed_out), "{} {:?}", handed_out, coverage);
    prop_assert!(!coverage.complete || handed_out == known, "{} {:?}", handed_out, coverage);
    Ok(())
}

/// Checks that the answer and the missing ranges are all units of the partitions, each once.
fn check_account(asked: &Asked, counts: &[u64], ordered: bool) -> Result<(), TestCaseError> {
    let coverage = asked.coverage();
    if asked.answer.body().is_none() {
        prop_assert_eq!(coverage.covered, 0);
        return Ok(());
    }
    let joined = asked.joined();
    let taken = asked.taken();
    prop_assert!(!ordered || taken.is_sorted_by_key(|(partition, range)| (*partition, range.start)), "{:?}", taken);
    let missing: BTreeMap<u32, _> = coverage.missing.iter().map(|one| (one.index, one)).collect();
    let mut covered = 0;
    for (index, count) in (0_u32..).zip(counts) {
        let mut all = joined.get(&index).cloned().unwrap_or_default();
        let there: u64 = all.iter().map(|range| range.end - range.start).sum();
        covered += there;
        match missing.get(&index) {
            None => prop_assert_eq!(there, *count),
            Some(one) if one.ranges.is_empty() => prop_assert_eq!(there, 0),
            Some(one) => {
                prop_assert_eq!(one.status, Status::Degraded);
                all.extend(one.ranges.iter().map(|(begin, end)| *begin..*end));
                all.sort_by_key(|range| range.start);
                let mut at = 0;
                for range in all {
                    prop_assert_eq!(range.start, at);
                    at = range.end;
                }
                prop_assert_eq!(at, *count);
            }
        }
    }
    // A partition without units weighs 1.
    let empty = (0_u32..).zip(counts).filter(|(index, count)| **count == 0 && !missing.contains_key(index)).count();
    prop_assert_eq!(coverage.covered, covered + empty as u64);
    prop_assert_eq!(parts(coverage).iter().sum::<u64>(), counts.len() as u64);
    Ok(())
}
