//! Copies of whole partitions: the answer is the same, and the account has what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use frond_root::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use frond_root::ledger::Position;
use frond_root::policy::hedge::MAX_LIVE;
use frond_root::policy::retry::Retry;
use frond_root::{Answer, CancellationToken, CopySettings, EventKind, FailureKind, Floor, Request, Services, flow};
use frond_testkit::{Script, Stage, Turn, ms, plan, request};
use proptest::prelude::*;
use tokio::time::sleep;

/// Journal that takes each partition once.
#[derive(Clone, Default)]
struct Once(Arc<Mutex<BTreeSet<u32>>>);

impl Journal for Once {
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture {
        let kept = self.0.clone();
        Box::pin(async move {
            // Rivals may end during the write.
            sleep(ms(3)).await;
            for one in partials {
                assert!(kept.lock().unwrap().insert(one.partition), "partition {} is kept twice", one.partition);
            }
            Ok(())
        })
    }

    fn recall(&self, _after: Option<Position>, _bytes: u64) -> RecallFuture {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn with_copies() -> Request {
    Request { copies: CopySettings::ON, ..request() }
}

/// Runs a query with a journal.
async fn ask_with_journal(stage: &Stage, request: Request, partitions: usize, journal: &Once) -> Answer {
    let services = Services { journal: Some(Arc::new(journal.clone())), ..stage.root() };
    flow::run(request, async { Ok(plan(partitions)) }, services, CancellationToken::new()).await.unwrap()
}

/// Ten leaves of 10 ms, of which the first has this turn at its first attempt, and this one at a
/// copy.
fn one_slow(first: Turn, copy: Turn) -> Stage {
    let all = Script::all(Turn::succeed().after(ms(10)));
    Stage::new(all.at_attempt(0, 1, first).at_attempt(0, 2, copy)).on_slots(10)
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_done_first_stops_the_other_attempt() {
    let stage = one_slow(Turn::never(), Turn::succeed().after(ms(10)));
    let answer = stage.ask(with_copies(), plan(10)).await;
    let coverage = answer.coverage();
    assert!(coverage.complete && coverage.timings.gather < 35.0, "{coverage:?}");
    assert_eq!((coverage.attempts.started, coverage.attempts.hedges, coverage.attempts.hedge_wins), (11, 1, 1));
    // The other one ran from the start until the copy's end.
    assert_eq!((coverage.attempts.discarded, coverage.attempts.retries), (0, 0));
    assert!((30..=32).contains(&coverage.attempts.wasted_ms), "{coverage:?}");
    let copies = stage.record.all(|event| match event.kind {
        EventKind::AttemptStarted { partition, attempt, copy_of: Some(of), .. } => Some((partition, attempt, of)),
        _ => None,
    });
    assert_eq!(copies, [(0, 2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_copied_attempt_may_still_be_done_first() {
    let stage = one_slow(Turn::succeed().after(ms(25)), Turn::succeed().after(ms(500)));
    let answer = stage.ask(with_copies(), plan(10)).await;
    let attempts = answer.coverage().attempts;
    assert!(answer.coverage().complete && answer.coverage().timings.gather < 30.0);
    assert_eq!((attempts.hedges, attempts.hedge_wins, attempts.started), (1, 0, 11));
    sleep(ms(1)).await;
    assert_eq!(stage.leaves.running(), 0, "the copy has stopped");
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_end_a_partition_while_a_copy_runs() {
    for kind in [FailureKind::Trap, FailureKind::Unavailable] {
        let stage = one_slow(Turn::fail(kind).after(ms(25)), Turn::succeed().after(ms(30)));
        let answer = stage.ask(with_copies(), plan(10)).await;
        let attempts = answer.coverage().attempts;
        assert!(answer.coverage().complete);
        assert_eq!((attempts.hedge_wins, attempts.retries, attempts.started), (1, 0, 11));
    }
    // The last failure is that of the partition, and a copy is no retry.
    let failing = || Turn::fail(FailureKind::Unavailable);
    let stage = one_slow(failing().after(ms(25)), failing().after(ms(10)));
    let answer = stage.ask(with_copies(), plan(10)).await;
    let attempts = answer.coverage().attempts;
    assert!(answer.coverage().complete);
    assert_eq!((attempts.hedges, attempts.hedge_wins, attempts.retries, attempts.started), (1, 0, 1, 12));
}

#[tokio::test(start_paused = true)]
async fn the_best_emission_of_all_attempts_counts_at_the_deadline() {
    for lateness in [0, 1] {
        let first = Turn::never().emitting(ms(5), "7", 0.7).stopping_within(ms(lateness));
        let stage = one_slow(first, Turn::never().emitting(ms(5), "3", 0.3));
        let request = Request { floor: Floor::BestEffort, ..with_copies() };
        let answer = stage.ask(request, plan(10)).await;
        assert_eq!((answer.coverage().attempts.hedges, answer.coverage().partitions.degraded), (1, 1));
        assert!((answer.coverage().fraction - 0.97).abs() < 1e-9, "{:?}", answer.coverage());
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_has_one_winner() {
    // Both end within one write.
    for copy in [1, 5, 6] {
        let copy = Turn::succeed().after(ms(copy)).deaf();
        let stage = one_slow(Turn::succeed().after(ms(25)).deaf(), copy);
        let journal = Once::default();
        let answer = ask_with_journal(&stage, with_copies(), 10, &journal).await;
        assert!(answer.coverage().complete);
        assert_eq!(journal.0.lock().unwrap().len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_copied_without_a_reason() {
    // As long as all others, far from twice as long.
    let stage = one_slow(Turn::succeed().after(ms(19)), Turn::succeed());
    assert_eq!(stage.ask(with_copies(), plan(10)).await.coverage().attempts.hedges, 0);
    // Too few have ended.
    let stage = Stage::new(Script::all(Turn::succeed()).at(0, Turn::succeed().after(ms(300)))).on_slots(10);
    assert_eq!(stage.ask(with_copies(), plan(5)).await.coverage().attempts.hedges, 0);
    // Copies are off.
    let stage = one_slow(Turn::succeed().after(ms(300)), Turn::succeed());
    assert_eq!(stage.ask(request(), plan(10)).await.coverage().attempts.hedges, 0);
}

/// Turn of a first attempt, and of each further one.
#[derive(Clone, Debug)]
struct Pair {
    first: (u64, u8),
    later: u64,
}

impl Pair {
    /// A first attempt may fail or be lost. Each further one succeeds.
    fn turn(&self, attempt: u32) -> Turn {
        match (attempt, self.first) {
            (1, (after, 0)) => Turn::fail(FailureKind::Unavailable).after(ms(after)),
            (1, (after, 1)) => Turn::lost().after(ms(after)),
            (1, (after, 2)) => Turn::succeed().after(ms(after)).deaf(),
            (1, (after, _)) => Turn::succeed().after(ms(after)),
            _ => Turn::succeed().after(ms(self.later)),
        }
    }
}

fn pair() -> impl Strategy<Value = Pair> {
    let after = || prop_oneof![6 => 0_u64..10, 2 => 10_u64..60, 1 => 60_u64..600];
    ((after(), 0_u8..12), after()).prop_map(|(first, later)| Pair { first, later })
}

fn ask(pairs: &[Pair], slots: usize, copies: CopySettings, journal: bool) -> (Answer, Stage) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let turns = pairs.to_vec();
    let stage = Stage::new(Script::by(move |index, attempt| turns[index as usize].turn(attempt))).on_slots(slots);
    // Its retries need no budget.
    let request = Request { deadline: ms(100_000), copies, retry: Retry::JOB, ..request() };
    let journal = journal.then(Once::default);
    let answer = runtime.block_on(async {
        match &journal {
            Some(journal) => ask_with_journal(&stage, request, pairs.len(), journal).await,
            None => stage.ask(request, plan(pairs.len())).await,
        }
    });
    let kept = journal.map_or(pairs.len(), |journal| journal.0.lock().unwrap().len());
    assert_eq!(kept, pairs.len());
    (answer, stage)
}

/// The most attempts at one partition at a time.
fn most_live(stage: &Stage) -> usize {
    let mut live: BTreeMap<u32, usize> = BTreeMap::new();
    let mut most = 0;
    for event in stage.record.events() {
        match event.kind {
            EventKind::AttemptStarted { partition, .. } => {
                let live = live.entry(partition).or_default();
                *live += 1;
                most = most.max(*live);
            }
            EventKind::AttemptEnded { partition, .. } => *live.entry(partition).or_default() -= 1,
            _ => {}
        }
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn copies_change_no_answer_and_stay_within_their_budget(
        pairs in prop::collection::vec(pair(), 1..60),
        slots in 1_usize..80,
        journal: bool,
    ) {
        let (without, _) = ask(&pairs, slots, CopySettings::OFF, journal);
        let (with, stage) = ask(&pairs, slots, CopySettings::ON, journal);
        prop_assert!(without.coverage().complete && with.coverage().complete);
        prop_assert_eq!(without.body(), with.body());
        let attempts = with.coverage().attempts;
        let others = attempts.started - attempts.hedges;
        prop_assert!(attempts.hedges <= others.div_ceil(20), "{:?}", attempts);
        prop_assert!(attempts.hedge_wins <= attempts.hedges);
        prop_assert!(most_live(&stage) <= MAX_LIVE);
        prop_assert!(stage.leaves.counts().most <= slots);
    }
}
