//! Tests of previews: their content while leaves run, and that they do not affect the query.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::event::GatherEnd;
use frond_root::runner::{Covered, MergeFuture};
use frond_root::{
    Answer, CancellationToken, Event, EventKind, Events, Failure, FailureKind, Floor, Listener, MergeOrder, Merger,
    Plan, Preview, Request, Services, Usage, flow,
};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, plan_weighing, request};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::words;

/// A received preview.
#[derive(Clone, Debug, PartialEq)]
struct ReceivedPreview {
    /// Time of its start, as reported.
    since_start: Duration,
    /// Time of its arrival.
    arrived: Duration,
    words: Vec<u32>,
    covered: Covered,
}

/// Observer that collects previews.
struct Watcher {
    every: Duration,
    start: Instant,
    shown: Mutex<Vec<ReceivedPreview>>,
}

impl Watcher {
    fn new(every: Duration) -> Arc<Self> {
        Arc::new(Self { every, start: Instant::now(), shown: Mutex::default() })
    }

    fn shown(&self) -> Vec<ReceivedPreview> {
        self.shown.lock().unwrap().clone()
    }
}

impl Preview for Watcher {
    fn every(&self) -> Duration {
        self.every
    }

    fn take(&self, since_start: Duration, body: Bytes, covered: Covered) {
        let text = std::str::from_utf8(&body).unwrap();
        let words = text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect();
        self.shown.lock().unwrap().push(ReceivedPreview { since_start, arrived: self.start.elapsed(), words, covered });
    }
}

/// Behaviour of a preview's finish, independent of the answer's.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Takes(Duration),
    Fails,
    Hangs,
}

/// A merge whose previews have their own behaviour. A finish before the event of the answer's
/// finish is a preview's.
struct Beside {
    merges: Merges,
    fate: Fate,
    answering: AtomicBool,
    made: AtomicUsize,
    live: Arc<()>,
}

impl Beside {
    fn new(stage: &Stage, fate: Fate) -> Arc<Self> {
        let answering = AtomicBool::new(false);
        let made = AtomicUsize::new(0);
        Arc::new(Self { merges: stage.merges.clone(), fate, answering, made, live: Arc::new(()) })
    }

    /// Runs a query with an observer of previews.
    async fn ask(
        self: &Arc<Self>,
        stage: &Stage,
        every: Duration,
        request: Request,
        plan: Plan,
    ) -> (Answer, Vec<ReceivedPreview>) {
        let watcher = Watcher::new(every);
        let listeners = vec![Arc::new(stage.record.clone()) as Arc<dyn Listener>, self.clone()];
        let events = Events::new(listeners).previewing(watcher.clone());
        let root = Services { events, merger: self.clone(), ..stage.root() };
        let answer = flow::run(request, async { Ok(plan) }, root, CancellationToken::new()).await.unwrap();
        (answer, watcher.shown())
    }

    fn made(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// Waits until no preview runs: a stopped one ends when its task is next polled.
    async fn over(&self) {
        while Arc::strong_count(&self.live) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

impl Listener for Beside {
    fn event(&self, event: &Event) {
        self.answering.fetch_or(matches!(event.kind, EventKind::FinishStarted {}), Relaxed);
    }
}

impl Merger for Beside {
    fn merge(&self, query: Bytes, partials: Vec<Bytes>, until: Instant) -> MergeFuture {
        self.merges.merge(query, partials, until)
    }

    fn finish(&self, query: Bytes, merged: Option<Bytes>, covered: Covered, until: Instant) -> MergeFuture {
        if self.answering.load(Relaxed) {
            return self.merges.finish(query, merged, covered, until);
        }
        self.made.fetch_add(1, Relaxed);
        let fate = self.fate;
        let live = self.live.clone();
        Box::pin(async move {
            let _live = live;
            match fate {
                Fate::Takes(time) => tokio::time::sleep(time).await,
                Fate::Hangs => std::future::pending().await,
                Fate::Fails => return Err(Box::new(Failure::new(FailureKind::Trap, "scripted"))),
            }
            Ok((merged.unwrap_or_default(), Usage::default()))
        })
    }
}

/// Interval that the server uses.
const EVERY: Duration = ms(250);

/// Runs a query with an observer of previews.
async fn watched(stage: &Stage, request: Request, plan: Plan) -> (Answer, Vec<ReceivedPreview>) {
    let watcher = Watcher::new(EVERY);
    let events = Events::new(vec![Arc::new(stage.record.clone()) as Arc<dyn Listener>]).previewing(watcher.clone());
    let root = Services { events, ..stage.root() };
    let answer = flow::run(request, async { Ok(plan) }, root, CancellationToken::new()).await.unwrap();
    (answer, watcher.shown())
}

/// Leaves that end one after the other at this interval.
fn steady(apart: u64) -> Script {
    Script::by(move |index, _| Turn::succeed().after(ms(apart * u64::from(index + 1))))
}

/// A request with a deadline in milliseconds.
fn patient(deadline: u64) -> Request {
    Request { deadline: ms(deadline), ..request() }
}

#[tokio::test(start_paused = true)]
async fn the_answer_so_far_is_shown_four_times_a_second() {
    let stage = Stage::new(steady(50)).on_slots(100);
    let (answer, shown) = watched(&stage, patient(20_000), plan(100)).await;
    assert_eq!(words(&answer), (0..100).collect::<Vec<_>>());
    let times: Vec<_> = shown.iter().map(|one| one.since_start.as_millis()).collect();
    assert!((15..=20).contains(&times.len()), "{times:?}");
    assert!(times[0] >= 250 && times.windows(2).all(|pair| pair[1] - pair[0] >= 250), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 350), "none is left out: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn each_holds_what_had_come_and_says_how_much_that_is() {
    let weights: Vec<u64> = (1..=40).collect();
    let stage = Stage::new(steady(100)).on_slots(40);
    let (_, shown) = watched(&stage, patient(20_000), plan_weighing(&weights)).await;
    assert!(shown.len() >= 10);
    for one in &shown {
        assert_eq!(one.words, (0..one.words.len() as u32).collect::<Vec<_>>());
        let covered: u64 = one.words.iter().map(|word| u64::from(word + 1)).sum();
        assert_eq!(one.covered, Covered { planned: weights.iter().sum(), covered, complete: false });
        // As current as it says: it has every partial that had arrived, the very last one excepted.
        let come = one.since_start.as_millis() / 100;
        assert!((come.saturating_sub(1)..=come).contains(&(one.words.len() as u128)), "{one:?}");
    }
    assert!(shown.windows(2).all(|pair| pair[0].words.len() < pair[1].words.len()), "none says what another has said");
}

#[tokio::test(start_paused = true)]
async fn emissions_of_leaves_that_run_are_no_part_of_it() {
    let half = Turn::never().emitting(ms(10), "1000", 0.5);
    let script = Script::all(Turn::succeed().after(ms(300))).at(1, half);
    let (answer, shown) =
        watched(&Stage::new(script), Request { floor: Floor::BestEffort, ..patient(2000) }, plan(3)).await;
    assert_eq!(words(&answer), [0, 2, 1000]);
    assert_eq!(shown.iter().map(|one| one.words.clone()).collect::<Vec<_>>(), [[0, 2]]);
    assert_eq!(shown[0].covered.covered, 2);
}

#[tokio::test(start_paused = true)]
async fn without_anybody_watching_nothing_is_made() {
    let stage = Stage::new(steady(50)).on_slots(100);
    let answer = stage.ask(patient(20_000), plan(100)).await;
    assert_eq!(stage.merges.finishes().len(), 1);
    assert_eq!(words(&answer).len(), 100);
    let quick = Stage::new(steady(1)).on_slots(100);
    let (_, shown) = watched(&quick, patient(20_000), plan(100)).await;
    assert_eq!((shown.len(), quick.merges.finishes().len()), (0, 1), "nor when it is over soon");
}

#[tokio::test(start_paused = true)]
async fn nothing_new_is_nothing_to_show() {
    let script = Script::all(Turn::succeed().after(ms(10))).at(3, Turn::succeed().after(ms(9000)));
    let stage = Stage::new(script);
    let (_, shown) = watched(&stage, patient(20_000), plan(4)).await;
    assert_eq!(shown.iter().map(|one| one.words.clone()).collect::<Vec<_>>(), [[0, 1, 2]]);
    let failing = Stage::new(Script::all(Turn::fail(FailureKind::Trap).after(ms(10))).at(1, Turn::never()));
    let (_, shown) = watched(&failing, Request { floor: Floor::BestEffort, ..patient(2000) }, plan(4)).await;
    assert_eq!((shown, failing.merges.finishes().len()), (Vec::new(), 0), "nothing has come");
}

#[tokio::test(start_paused = true)]
async fn a_preview_that_takes_long_is_made_less_often() {
    for takes in [100, 400] {
        let stage = Stage::with(steady(50), Merges::sorted().finishing_after(ms(takes))).on_slots(200);
        let (answer, shown) = watched(&stage, patient(30_000), plan(200)).await;
        assert!(matches!(answer, Answer::Complete { .. }));
        assert!(shown.len() >= 3, "{shown:?}");
        for pair in shown.windows(2) {
            let rest = pair[1].since_start - pair[0].arrived;
            assert!(rest >= ms(takes) * 5, "at most a fifth of a thread: {rest:?} after {takes} ms");
        }
        assert!(shown.iter().all(|one| one.arrived - one.since_start >= ms(takes)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_preview_never_holds_up_the_answer() {
    let alone = Stage::new(steady(20)).on_slots(100).ask(patient(20_000), plan(100)).await;
    for fate in [Fate::Takes(ms(0)), Fate::Takes(ms(300)), Fate::Takes(ms(10_000)), Fate::Hangs, Fate::Fails] {
        let stage = Stage::new(steady(20)).on_slots(100);
        let beside = Beside::new(&stage, fate);
        let (answer, _) = beside.ask(&stage, EVERY, patient(20_000), plan(100)).await;
        assert!(beside.made() > 0, "{fate:?}");
        assert_eq!(answer.body(), alone.body(), "{fate:?}");
        assert_eq!(answer.coverage().timings.total, alone.coverage().timings.total, "{fate:?}");
        beside.over().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_preview_that_fails_is_left_out_and_the_next_is_made() {
    let stage = Stage::new(steady(50)).on_slots(100);
    let beside = Beside::new(&stage, Fate::Fails);
    let (answer, shown) = beside.ask(&stage, EVERY, patient(20_000), plan(100)).await;
    assert!(matches!(answer, Answer::Complete { .. }), "{answer:?}");
    assert!(shown.is_empty() && (15..=20).contains(&beside.made()), "{}", beside.made());
    assert!(answer.coverage().failures.is_empty());
    let failed = |event: &Event| matches!(event.kind, EventKind::FoldEnded { failure: Some(_), .. }).then_some(());
    assert!(stage.record.all(failed).is_empty(), "it is nothing that happened to the query");
}

#[tokio::test(start_paused = true)]
async fn a_preview_that_hangs_ends_with_the_gather() {
    let stage = Stage::new(steady(50)).on_slots(100);
    let beside = Beside::new(&stage, Fate::Hangs);
    let (answer, shown) = beside.ask(&stage, EVERY, patient(20_000), plan(100)).await;
    assert!(matches!(answer, Answer::Complete { .. }));
    assert_eq!((shown, beside.made()), (Vec::new(), 1), "one is under way at most");
    beside.over().await;
    // The same at the deadline.
    let stage = Stage::new(steady(50).at(9, Turn::never())).on_slots(100);
    let beside = Beside::new(&stage, Fate::Hangs);
    let request = Request { floor: Floor::BestEffort, ..patient(1000) };
    let (answer, _) = beside.ask(&stage, EVERY, request, plan(10)).await;
    assert_eq!(words(&answer), (0..9).collect::<Vec<_>>());
    assert!(answer.coverage().timings.total <= 1000.0);
    beside.over().await;
}

#[tokio::test(start_paused = true)]
async fn a_query_that_is_dropped_takes_its_preview_along() {
    let stage = Stage::new(steady(50)).on_slots(100);
    let beside = Beside::new(&stage, Fate::Hangs);
    let query = beside.ask(&stage, EVERY, patient(20_000), plan(100));
    assert!(tokio::time::timeout(ms(1000), query).await.is_err());
    assert_eq!(beside.made(), 1);
    beside.over().await;
}

#[tokio::test(start_paused = true)]
async fn partials_too_large_for_one_merge_are_not_shown() {
    let large = "7".repeat(300 << 10);
    let script = Script::by(move |index, _| Turn::give(large.clone()).after(ms(100 * u64::from(index + 1))));
    let roomy = Request { leaf_output: 1 << 20, partials_memory: 1 << 30, ..patient(20_000) };
    let merges = Merges::by(|partials| partials.concat().into());
    let stage = Stage::with(script, merges).on_slots(40);
    let watcher = Watcher::new(EVERY);
    let events = Events::new(Vec::new()).previewing(Arc::new(Lengths(watcher.clone())));
    let root = Services { events, ..stage.root() };
    let answer = flow::run(roomy, async { Ok(plan(40)) }, root, CancellationToken::new()).await.unwrap();
    assert_eq!(answer.body().map(Bytes::len), Some(40 * (300 << 10)));
    let most = watcher.shown().iter().map(|one| one.words[0]).max().unwrap();
    assert!(most as usize <= frond_root::merge::fold::FOLD_BYTES, "{most}");
}

/// Observer that forwards only the length of each preview.
struct Lengths(Arc<Watcher>);

impl Preview for Lengths {
    fn every(&self) -> Duration {
        self.0.every()
    }

    fn take(&self, since_start: Duration, body: Bytes, covered: Covered) {
        self.0.take(since_start, Bytes::from(body.len().to_string()), covered);
    }
}

#[tokio::test(start_paused = true)]
async fn folds_go_on_beside_a_preview() {
    // Sixteen leaves end at once during a slow preview: their partials are folded before it ends.
    let script = Script::by(|index, _| Turn::succeed().after(if index == 0 { ms(100) } else { ms(260) }))
        .at(17, Turn::succeed().after(ms(3000)));
    let stage = Stage::with(script, Merges::sorted().finishing_after(ms(1000))).on_slots(100);
    let (answer, shown) = watched(&stage, patient(20_000), plan(18)).await;
    assert_eq!(words(&answer).len(), 18);
    assert_eq!(shown[0].words, [0]);
    let folded = stage.merges.folds().iter().filter_map(|fold| fold.ended).min().unwrap();
    assert!(folded < Instant::now() - ms(2000), "they waited for the preview");
}

#[tokio::test(start_paused = true)]
async fn in_order_a_preview_is_in_order() {
    let turn = |index: u32| Turn::give((index * 7 % 30).to_string()).after(ms(1 + u64::from(index * 13 % 30) * 100));
    let stage = Stage::with(Script::by(move |index, _| turn(index)), Merges::joined()).on_slots(30);
    let request = Request { order: MergeOrder::Partition, ..patient(20_000) };
    let (answer, shown) = watched(&stage, request, plan(30)).await;
    let whole: Vec<u32> = (0..30).map(|index| index * 7 % 30).collect();
    assert_eq!(words(&answer), whole);
    assert!(shown.len() >= 5);
    for one in &shown {
        let places: Vec<_> =
            one.words.iter().map(|word| whole.iter().position(|other| other == word).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(one.words.len() as u64, one.covered.covered);
    }
}

#[tokio::test(start_paused = true)]
async fn after_long_planning_the_first_waits_for_something_to_show() {
    let stage = Stage::new(steady(50)).on_slots(10);
    let watcher = Watcher::new(EVERY);
    let root = Services { events: Events::default().previewing(watcher.clone()), ..stage.root() };
    let planning = async {
        tokio::time::sleep(ms(2000)).await;
        Ok(plan(10))
    };
    flow::run(patient(20_000), planning, root, CancellationToken::new()).await.unwrap();
    let shown = watcher.shown();
    assert!(!shown.is_empty() && shown[0].since_start >= ms(2050), "{shown:?}");
    assert!(shown.iter().all(|one| !one.words.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_query_early_ends_its_previews() {
    let stage = Stage::with(steady(50).at(30, Turn::fail(FailureKind::InvalidQuery).after(ms(1500))), Merges::sorted())
        .on_slots(100);
    let (answer, shown) = watched(&stage, patient(20_000), plan(100)).await;
    assert!(matches!(answer, Answer::Failed { .. }));
    assert!(shown.iter().all(|one| one.arrived <= ms(1500)));
    let ends = stage.record.all(|event| match event.kind {
        EventKind::GatherEnded { why } => Some(why),
        _ => None,
    });
    assert_eq!(ends, [GatherEnd::InvalidQuery]);
}

/// One query, run with and without an observer of previews.
#[derive(Clone, Debug)]
struct Case {
    turns: Vec<(u64, u8)>,
    slots: usize,
    takes: u64,
    fate: Fate,
    every: u64,
    memory: u64,
    in_order: bool,
}

prop_compose! {
    fn case()(
        turns in prop::collection::vec((0..800_u64, 0..10_u8), 1..60),
        slots in 1..9_usize,
        takes in 0..30_u64,
        fate in prop_oneof![4 => (0..80_u64).prop_map(|time| Fate::Takes(ms(time))), 1 => Just(Fate::Fails), 1 => Just(Fate::Hangs)],
        every in 1..300_u64,
        memory in prop_oneof![Just(1 << 20), 20..80_u64],
        in_order: bool,
    ) -> Case {
        Case { turns, slots, takes, fate, every, memory, in_order }
    }
}

impl Case {
    fn stage(&self) -> Stage {
        let turns = self.turns.clone();
        let script = Script::by(move |index, _| match turns[index as usize] {
            (after, 0) => Turn::fail(FailureKind::Trap).after(ms(after)),
            (after, 1) => Turn::never().emitting(ms(after), "999", 0.5),
            (after, _) => Turn::succeed().after(ms(after)),
        });
        let merges = if self.in_order { Merges::joined() } else { Merges::sorted() };
        Stage::with(script, merges.taking(ms(self.takes))).on_slots(self.slots)
    }

    fn request(&self) -> Request {
        let order = if self.in_order { MergeOrder::Partition } else { MergeOrder::Any };
        let floor = Floor::BestEffort;
        Request { order, leaf_output: 1, partials_memory: self.memory, floor, ..patient(60_000) }
    }

    async fn check(self) -> Result<(), TestCaseError> {
        let partitions = self.turns.len();
        let expected = self.stage().ask(self.request(), plan(partitions)).await;
        let stage = self.stage();
        let beside = Beside::new(&stage, self.fate);
        let (answer, shown) = beside.ask(&stage, ms(self.every), self.request(), plan(partitions)).await;
        prop_assert_eq!(answer.body(), expected.body());
        let account = answer.coverage();
        let other = expected.coverage();
        prop_assert_eq!((account.covered, account.partitions), (other.covered, other.partitions));
        beside.over().await;
        let whole: Vec<u32> = expected.body().map(|_| words(&expected)).unwrap_or_default();
        for one in &shown {
            prop_assert!(one.words.iter().all(|word| whole.contains(word)), "{:?} of {:?}", one, whole);
            prop_assert!(!one.covered.complete && one.covered.planned == partitions as u64);
            prop_assert_eq!(one.words.len() as u64, one.covered.covered);
        }
        for pair in shown.windows(2) {
            prop_assert!(pair[1].since_start - pair[0].arrived >= ms(self.every), "{:?}", pair);
            prop_assert!(pair[0].covered.covered < pair[1].covered.covered);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn whatever_happens_the_answer_is_the_same_and_previews_are_true(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(case.check())?;
    }
}
