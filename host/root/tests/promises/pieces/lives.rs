//! Queries with a journal that are killed and resumed: parts are stored while leaves run, a later
//! life starts where they end, and no unit is counted twice or lost.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use frond_root::ledger::{PartialRange, Position};
use frond_root::plan::StoredPartials;
use frond_root::policy::cutting::MAX_PIECES;
use frond_root::policy::retry::Retry;
use frond_root::{FailureKind, MergeOrder, Plan, Request};
use frond_testkit::{ms, request};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::{Asked, best_effort, check_account, copies, integers, step};
use super::{Step, Workers};

/// Partial in the journal, with the attempt that it is from.
#[derive(Clone, Debug)]
struct Stored {
    life: u32,
    attempt: u32,
    units: Option<PartialRange>,
    partial: Bytes,
}

/// A journal in memory that outlives its queries.
#[derive(Clone, Debug, Default)]
struct Archive {
    stored: Arc<Mutex<BTreeMap<Position, Stored>>>,
    life: u32,
    /// Time of a write.
    takes: Duration,
    /// True if a write that is cut off has had its effect.
    early: bool,
    /// Bytes of a partial that were told to be replaced, and that were.
    replaced: Arc<Mutex<(u64, u64)>>,
}

impl Archive {
    /// The rules of the seam.
    fn store(&self, one: &KeptPartial) {
        let mut stored = self.stored.lock().unwrap();
        let units = |range: Option<PartialRange>| range.map_or(0..u64::MAX, |range| range.begin..range.until);
        let new = units(one.units);
        let overlaps = |(begin, old): (&Position, &Stored)| {
            let old_units = units(old.units);
            let is_own = (begin.1, old.life, old.attempt) == (new.start, self.life, one.attempt);
            !is_own && old_units.start < new.end && new.start < old_units.end
        };
        if stored.range((one.partition, 0)..=(one.partition, u64::MAX)).any(overlaps) {
            return;
        }
        let Self { life, .. } = *self;
        let entry = Stored { life, attempt: one.attempt, units: one.units, partial: one.partial.clone() };
        let old = stored.insert((one.partition, new.start), entry);
        let mut replaced = self.replaced.lock().unwrap();
        replaced.0 += one.replaces;
        replaced.1 += old.map_or(0, |old| old.partial.len() as u64);
    }

    fn plan(&self, counts: &[u64]) -> Plan {
        let mut all = StoredPartials::default();
        for ((partition, _), one) in &*self.stored.lock().unwrap() {
            match one.units {
                Some(range) => all.add_part(*partition, range),
                None => all.add_whole(*partition),
            }
        }
        integers(counts).keeping(all)
    }

    /// The stored units of a partition.
    fn units(&self, partition: u32, count: u64) -> Vec<Range<u64>> {
        let stored = self.stored.lock().unwrap();
        let of = stored.range((partition, 0)..=(partition, u64::MAX));
        of.map(|(_, one)| one.units.map_or(0..count, |range| range.begin..range.until)).collect()
    }
}

impl Journal for Archive {
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture {
        let archive = self.clone();
        Box::pin(async move {
            if !archive.early {
                sleep(archive.takes).await;
            }
            partials.iter().for_each(|one| archive.store(one));
            if archive.early {
                sleep(archive.takes).await;
            }
            Ok(())
        })
    }

    fn recall(&self, after: Option<Position>, bytes: u64) -> RecallFuture {
        let stored = self.stored.lock().unwrap();
        let mut page = Vec::new();
        let mut total = 0;
        for (at, one) in stored.iter().filter(|(at, _)| after.is_none_or(|after| **at > after)) {
            total += one.partial.len() as u64;
            if !page.is_empty() && total > bytes {
                break;
            }
            page.push((*at, one.partial.clone()));
        }
        Box::pin(async move { Ok(page) })
    }
}

/// Runs one life of a query, which is killed after `kill`.
async fn live(
    archive: &Archive,
    workers: Workers,
    request: Request,
    counts: &[u64],
    kill: Option<Duration>,
) -> Option<Asked> {
    let before: Vec<_> = (0_u32..).zip(counts).map(|(index, count)| archive.units(index, *count)).collect();
    let asked = Asked::with(workers, request, archive.plan(counts), Some(Arc::new(archive.clone())));
    let asked = match kill {
        Some(kill) => timeout(kill, asked).await.ok()?,
        None => asked.await,
    };
    // What was stored is not run again.
    for (partition, units) in asked.record.all(|event| match event.kind {
        frond_root::EventKind::AttemptStarted { partition, units, .. } => Some((partition, units)),
        _ => None,
    }) {
        let count = counts[partition as usize];
        let (begin, end) = units.unwrap_or((0, count));
        let stored = &before[partition as usize];
        assert!(stored.iter().all(|range| range.end <= begin || end <= range.start), "{begin}..{end}: {stored:?}");
    }
    Some(asked)
}

fn always(kept: Step) -> impl Fn(u32, &Range<u64>) -> Step + Send + Sync + 'static {
    move |_, _| kept
}

#[tokio::test(start_paused = true)]
async fn a_life_starts_where_the_leaves_of_the_last_one_have_kept() {
    let archive = Archive::default();
    let request = Request { deadline: ms(100_000), ..request() };
    for at in [500, 700, 1100] {
        let workers = Workers::new(&[ms(1)], always(Step::Keep));
        let ended = live(&archive, workers, request.clone(), &[5000], Some(ms(at))).await;
        assert!(ended.is_none());
    }
    let units = archive.units(0, 5000);
    assert_eq!(units.len(), 3, "a life leaves one partial: {units:?}");
    let stored = units.last().unwrap().end;
    // What is kept is looked at each 100 ms.
    assert!(stored > 2300 - 3 * 110, "{units:?}");
    let archive = Archive { life: 1, ..archive };
    let workers = Workers::new(&[ms(1)], always(Step::Go));
    let asked = live(&archive, workers, request, &[5000], None).await.unwrap();
    assert!(asked.coverage().complete);
    assert_eq!(asked.joined()[&0], [0..5000]);
    assert_eq!(asked.started(), [(1, Some((stored, 5000)))]);
    let (told, was) = *archive.replaced.lock().unwrap();
    assert_eq!(told, was, "bytes that partials were told to replace");
}

#[tokio::test(start_paused = true)]
async fn a_whole_partition_takes_the_place_of_what_its_leaf_kept() {
    let archive = Archive::default();
    let workers = Workers::new(&[ms(1)], always(Step::Keep));
    let asked = live(&archive, workers, request(), &[500, 0], None).await.unwrap();
    assert!(asked.coverage().complete);
    assert_eq!(asked.taken(), [(0, 0..500)]);
    assert_eq!(archive.units(0, 500), [0..500]);
    let (told, was) = *archive.replaced.lock().unwrap();
    assert_eq!(told, was);
    assert!(told > 0);
    let again = Archive { life: 1, ..archive };
    let asked = live(&again, Workers::new(&[ms(1)], always(Step::Go)), request(), &[500, 0], None).await.unwrap();
    assert_eq!((asked.taken(), asked.started().len()), (vec![(0, 0..500)], 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_call_has_kept_that_is_made_again_is_forgotten() {
    for fails in [false, true] {
        let archive = Archive::default();
        let calls = AtomicUsize::new(0);
        let workers = Workers::new(&[ms(1)], move |_, _| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Step::Again,
            1 if fails => Step::Fail(FailureKind::Unavailable),
            _ => Step::Go,
        });
        let asked = live(&archive, workers, request(), &[500], None).await.unwrap();
        assert!(asked.coverage().complete);
        assert_eq!(asked.taken(), [(0, 0..500)]);
        assert_eq!(archive.units(0, 500), [0..500]);
        assert_eq!(asked.started().len(), if fails { 2 } else { 1 });
        assert_eq!(*archive.replaced.lock().unwrap(), (0, 0), "nothing else was stored");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_skipped_in_an_earlier_life_is_skipped() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let archive = Archive::default();
        let leaf = |_: u32, piece: &Range<u64>| if piece.start == 0 { Step::Skip } else { Step::Go };
        let counts = [10, 20, 100_000];
        let request = Request { order, deadline: ms(1_000_000), ..request() };
        let killed = live(&archive, Workers::new(&[ms(1)], leaf), request.clone(), &counts, Some(ms(50)));
        assert!(killed.await.is_none() || archive.units(1, 20) == [0..20]);
        let archive = Archive { life: 1, ..archive };
        let stored: u64 = (0..2).map(|index| archive.units(index, 0).iter().map(|one| one.end).sum::<u64>()).sum();
        let asked = live(&archive, Workers::new(&[ms(1)], leaf), request, &counts, None).await.unwrap();
        let coverage = asked.coverage();
        assert!(coverage.complete && stored <= 30);
        assert_eq!((coverage.weight.succeeded, coverage.weight.skipped), (3, 100_027));
        assert_eq!(asked.joined().into_values().flatten().collect::<Vec<_>>(), [0..1, 0..1, 0..1]);
    }
}

/// A worker whose leaves keep a unit, and fail at the next, `often` times.
fn crawling(often: usize) -> Workers {
    let turn = AtomicUsize::new(0);
    Workers::new(&[ms(2000)], move |_, _| match turn.fetch_add(1, Ordering::SeqCst) {
        turn if turn >= 2 * often => Step::Go,
        turn if turn % 2 == 0 => Step::Keep,
        _ => Step::Fail(FailureKind::Unavailable),
    })
}

/// Rules like those of jobs, with a window of a few attempts.
const RULES: Retry = Retry { most: ms(1000), within: Some(ms(30_000)), ..Retry::JOB };

fn patient() -> Request {
    Request { retry: RULES, deadline: ms(3_600_000), ..best_effort() }
}

#[tokio::test(start_paused = true)]
async fn progress_begins_the_window_of_retries_anew() {
    let asked = Asked::of(crawling(30), patient(), integers(&[40])).await;
    assert!(asked.coverage().complete, "{:?}", asked.coverage().missing);
    assert_eq!(asked.joined()[&0], [0..40]);
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_advances_by_a_unit_before_each_failure_is_given_up() {
    let asked = Asked::of(crawling(usize::MAX / 2), patient(), integers(&[10_000])).await;
    let coverage = asked.coverage();
    let started = coverage.attempts.started;
    let most = u64::from(MAX_PIECES + RULES.attempts) + 1;
    assert!((u64::from(MAX_PIECES)..=most).contains(&started), "{started}");
    assert_eq!(asked.joined()[&0], [0..started]);
    assert_eq!(coverage.missing[0].ranges, [(started, 10_000)]);
}

/// A life that is killed.
#[derive(Clone, Debug)]
struct Life {
    kill: u64,
    takes: u64,
    early: bool,
}

fn life() -> impl Strategy<Value = Life> {
    (1_u64..600, 0_u64..30, any::<bool>()).prop_map(|(kill, takes, early)| Life { kill, takes, early })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_life_counts_a_unit_twice_or_loses_one(
        counts in prop::collection::vec(0_u64..6000, 1..5),
        slots in prop::collection::vec(20_u64..200, 1..5),
        steps in prop::collection::vec(step(), 1..40),
        lives in prop::collection::vec(life(), 0..6),
        ordered: bool,
        is_copied: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let times: Vec<_> = slots.iter().map(|micros| Duration::from_micros(*micros)).collect();
        let turn = Arc::new(AtomicUsize::new(0));
        let workers = || {
            let turn = turn.clone();
            let steps = steps.clone();
            Workers::new(&times, move |_, _| steps[turn.fetch_add(1, Ordering::SeqCst) % steps.len()])
        };
        let order = if ordered { MergeOrder::Partition } else { MergeOrder::Any };
        let request = Request { order, deadline: ms(5000), copies: copies(is_copied), ..best_effort() };
        let archive = Archive::default();
        for (number, life) in (0_u32..).zip(&lives) {
            let archive = Archive { life: number, takes: ms(life.takes), early: life.early, ..archive.clone() };
            let asked = runtime.block_on(live(&archive, workers(), request.clone(), &counts, Some(ms(life.kill))));
            if let Some(asked) = asked {
                check_account(&asked, &counts, ordered)?;
            }
        }
        let archive = Archive { life: 9, takes: ms(1), ..archive };
        let asked = runtime.block_on(live(&archive, workers(), request, &counts, None)).unwrap();
        check_account(&asked, &counts, ordered)?;
        // What is in the answer is stored, and the other way round.
        if asked.answer.body().is_some() {
            for (partition, taken) in asked.joined() {
                let count = counts[partition as usize];
                let stored: u64 = archive.units(partition, count).iter().map(|one| one.end - one.start).sum();
                prop_assert_eq!(stored, taken.iter().map(|one| one.end - one.start).sum::<u64>());
            }
        }
        let (told, was) = *archive.replaced.lock().unwrap();
        prop_assert_eq!(told, was);
    }
}
