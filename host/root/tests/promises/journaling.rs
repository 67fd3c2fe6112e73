//! Tests of the journal: partials are stored before they count, and an interrupted query resumes
//! from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use frond_root::ledger::Position;
use frond_root::{
    Answer, CancellationToken, Error, Failure, FailureKind, Floor, LeafRunner, Memo, MergeOrder, PieceSizes, Reason,
    Request, Services, StoredAttempt, Work, flow,
};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, request};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::{parts, reason, words};

/// A journal in memory.
#[derive(Clone, Default)]
struct Notes {
    kept: Arc<Mutex<BTreeMap<u32, Bytes>>>,
    batches: Arc<Mutex<Vec<usize>>>,
    takes: Duration,
    /// First batch that fails.
    fails: Option<usize>,
    /// The most partials of a recalled page.
    page: usize,
    /// Cursors of all recalls.
    recalls: Arc<Mutex<Vec<Option<Position>>>>,
}

impl Notes {
    fn taking(takes: Duration) -> Self {
        Self { takes, page: 3, ..Self::default() }
    }

    /// A journal with the stage's partials of these indexes, from an earlier run.
    fn with(indexes: &BTreeSet<u32>) -> Self {
        Self::of(indexes, |index| index.to_string())
    }

    fn of(indexes: &BTreeSet<u32>, partial: impl Fn(u32) -> String) -> Self {
        let notes = Self::taking(ms(2));
        *notes.kept.lock().unwrap() = indexes.iter().map(|index| (*index, Bytes::from(partial(*index)))).collect();
        notes
    }

    fn indexes(&self) -> BTreeSet<u32> {
        self.kept.lock().unwrap().keys().copied().collect()
    }
}

impl Journal for Notes {
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture {
        let notes = self.clone();
        Box::pin(async move {
            sleep(notes.takes).await;
            let batch = notes.batches.lock().unwrap().len();
            if notes.fails.is_some_and(|from| batch >= from) {
                return Err(Failure::new(FailureKind::Unavailable, "the disk is full"));
            }
            notes.batches.lock().unwrap().push(partials.len());
            for one in partials {
                let twice = notes.kept.lock().unwrap().insert(one.partition, one.partial);
                assert!(twice.is_none(), "partition {} is kept twice", one.partition);
            }
            Ok(())
        })
    }

    /// Like a store: pages also have the partials of this run.
    fn recall(&self, after: Option<Position>, bytes: u64) -> RecallFuture {
        let kept = self.kept.lock().unwrap();
        let from = after.map_or(0, |(after, _)| after + 1);
        let mut total = 0;
        let fits = |(count, (_, partial)): &(usize, (&u32, &Bytes))| {
            total += partial.len() as u64;
            *count == 0 || total <= bytes
        };
        let page = kept.range(from..).enumerate().take_while(fits).take(self.page);
        let page = page.map(|(_, (index, partial))| ((*index, 0), partial.clone())).collect();
        self.recalls.lock().unwrap().push(after);
        Box::pin(async move { Ok(page) })
    }
}

fn joined() -> Stage {
    Stage::with(
        Script::by(|index, _| Turn::give(index.to_string()).after(ms(1 + u64::from(index) % 7))),
        Merges::joined(),
    )
}

async fn run(
    stage: &Stage,
    request: Request,
    count: usize,
    notes: &Notes,
    kept: &BTreeSet<u32>,
) -> Result<Answer, Error> {
    let root = Services { journal: Some(Arc::new(notes.clone())), ..stage.root() };
    let plan = plan(count).keeping(kept.clone());
    flow::run(request, async { Ok(plan) }, root, CancellationToken::new()).await
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_answer_was_kept_first_and_once() {
    let stage = Stage::new(Script::all(Turn::succeed().after(ms(1))));
    let notes = Notes::taking(ms(5));
    let answer = run(&stage, request(), 100, &notes, &BTreeSet::new()).await.unwrap();
    assert!(matches!(answer, Answer::Complete { .. }));
    assert_eq!((words(&answer).len(), notes.indexes().len()), (100, 100));
    // Partials that arrive during a write form the next batch.
    assert!(notes.batches.lock().unwrap().len() < 60, "{:?}", notes.batches);
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_however_many_partials_arrive_during_a_write() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let notes = Notes::taking(ms(5));
    let answer = run(&stage, Request { deadline: ms(600_000), ..request() }, 9_000, &notes, &BTreeSet::new()).await;
    assert!(matches!(answer, Ok(Answer::Complete { .. })));
    assert_eq!(notes.indexes().len(), 9_000);
    assert_eq!(notes.batches.lock().unwrap().iter().max(), Some(&500));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_waits_for_the_partials_of_earlier_runs() {
    let kept: BTreeSet<u32> = (0..8).collect();
    let notes = Notes::with(&kept);
    let stage = Stage::with(Script::all(Turn::never()), Merges::joined());
    let root = Services { journal: Some(Arc::new(notes.clone())), ..stage.root() };
    let cancel = CancellationToken::new();
    cancel.cancel();
    for floor in [Floor::BestEffort, Floor::AtLeast(0.9), Floor::All] {
        let request = Request { floor, ..request() };
        let plan = plan(10).keeping(kept.clone());
        let answer = flow::run(request, async { Ok(plan) }, root.clone(), cancel.clone()).await.unwrap();
        let partitions = answer.coverage().partitions;
        assert_eq!((partitions.succeeded, partitions.cancelled + partitions.not_started), (8, 2), "{answer:?}");
        assert_eq!(answer.body().is_some(), floor == Floor::BestEffort);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_in_time_does_not_count() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let notes = Notes::taking(ms(3_600_000));
    let answer = run(&stage, request(), 4, &notes, &BTreeSet::new()).await.unwrap();
    assert!(matches!(reason(&answer), Reason::Deadline | Reason::BelowFloor));
    assert_eq!(parts(answer.coverage())[0], 0);
    assert!(notes.indexes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_ends_the_query_and_its_leaves() {
    let stage = Stage::new(Script::by(|index, _| Turn::succeed().after(ms(u64::from(index)))));
    let notes = Notes { fails: Some(2), ..Notes::taking(ms(1)) };
    let ended = run(&stage, request(), 1000, &notes, &BTreeSet::new()).await;
    let Err(Error::Journal(failure)) = ended else { panic!("{ended:?}") };
    assert_eq!(failure.message, "the disk is full");
    assert!(stage.leaves.all_closed() && stage.leaves.counts().begun.len() < 200);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_not_kept_runs_again() {
    let kept = BTreeSet::from([0, 2, 3, 9, 41]);
    let stage = joined();
    let notes = Notes::with(&kept);
    let answer = run(&stage, request(), 42, &notes, &kept).await.unwrap();
    assert!(matches!(answer, Answer::Complete { .. }));
    let begun: BTreeSet<u32> = stage.leaves.counts().begun.iter().map(|one| one.index).collect();
    assert_eq!(begun.len(), 37);
    assert!(begun.is_disjoint(&kept));
    assert_eq!(answer.coverage().attempts.started, 37);
}

#[tokio::test(start_paused = true)]
async fn a_query_of_which_all_is_kept_runs_nothing() {
    let kept: BTreeSet<u32> = (0..10).collect();
    let stage = joined();
    let notes = Notes::with(&kept);
    let answer = run(&stage, request(), 10, &notes, &kept).await.unwrap();
    assert!(matches!(answer, Answer::Complete { .. }));
    assert!(stage.leaves.counts().begun.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_lost_what_it_kept_is_found_out() {
    let stage = joined();
    let notes = Notes::with(&BTreeSet::from([1]));
    let ended = run(&stage, request(), 10, &notes, &BTreeSet::from([1, 2])).await;
    let Err(Error::Journal(failure)) = ended else { panic!("{ended:?}") };
    assert_eq!(failure.kind, FailureKind::Lost);
}

fn answered(order: MergeOrder, count: usize, kept: &BTreeSet<u32>) -> Bytes {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let merges = if order == MergeOrder::Any { Merges::sorted() } else { Merges::joined() };
        let script = Script::by(|index, _| Turn::give(index.to_string()).after(ms(1 + u64::from(index) % 7)));
        let notes = Notes::with(kept);
        let request = Request { order, ..request() };
        let answer = run(&Stage::with(script, merges), request, count, &notes, kept).await.unwrap();
        assert_eq!(notes.indexes().len(), count);
        answer.body().unwrap().clone()
    })
}

/// A query whose partials exceed their memory: recalls pause while folds free memory.
#[derive(Clone, Debug)]
struct Heavy {
    order: MergeOrder,
    count: usize,
    kept: BTreeSet<u32>,
    /// Bytes of a partial.
    size: usize,
    /// Memory for partials in bytes.
    memory: u64,
    /// The most partials of a recalled page.
    page: usize,
    fold: Duration,
    /// True if a merge result is as large as its inputs together; else it is as large as one of
    /// them.
    grows: bool,
}

impl Heavy {
    fn partial(&self, index: u32) -> String {
        format!("{index:0>width$}", width = self.size)
    }

    fn merges(&self) -> Merges {
        let merges = match (self.grows, self.order) {
            (true, MergeOrder::Any) => Merges::sorted(),
            (true, MergeOrder::Partition) => Merges::joined(),
            // The largest input.
            (false, _) => Merges::by(|partials| partials.iter().max().cloned().unwrap_or_default()),
        };
        merges.taking(self.fold)
    }

    /// The answer, and the cursors of all recalls.
    fn answered(&self) -> (Bytes, Vec<Option<Position>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let this = self.clone();
            let leaf = move |index, _| Turn::give(this.partial(index)).after(ms(1 + u64::from(index) % 7));
            let stage = Stage::with(Script::by(leaf), self.merges());
            let notes = Notes { page: self.page, ..Notes::of(&self.kept, |index| self.partial(index)) };
            let request = Request {
                order: self.order,
                deadline: ms(600_000),
                leaf_output: self.size as u64,
                partials_memory: self.memory.max(6 * self.size as u64),
                ..request()
            };
            let answer = run(&stage, request, self.count, &notes, &self.kept).await.unwrap();
            assert!(matches!(answer, Answer::Complete { .. }), "{:?}", answer.coverage().partitions);
            assert_eq!(notes.indexes().len(), self.count);
            let begun = stage.leaves.counts().begun.len();
            assert_eq!(begun, self.count - self.kept.len(), "what was kept ran again");
            let recalls = notes.recalls.lock().unwrap().clone();
            (answer.body().unwrap().clone(), recalls)
        })
    }
}

#[test]
fn what_is_recalled_late_is_not_taken_for_what_this_run_has_kept() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let heavy = Heavy {
            order,
            count: 400,
            kept: (0..400).filter(|index| index % 8 != 0).collect(),
            size: 1 << 10,
            memory: 16 << 10,
            page: 100,
            fold: ms(20),
            grows: false,
        };
        let (answer, recalls) = heavy.answered();
        assert_eq!(answer, heavy.partial(399).as_bytes());
        // The kept partials have 350 KiB, and a page has at most an eighth of the memory.
        assert!(recalls.len() >= 175, "{recalls:?}");
        assert!(recalls.is_sorted() && recalls.iter().collect::<BTreeSet<_>>().len() == recalls.len(), "{recalls:?}");
    }
}

fn heavy() -> impl Strategy<Value = Heavy> {
    let shape = (1_usize..150, proptest::collection::btree_set(0_u32..150, 0..150), 8_usize..2000, 1_u64..40_000);
    let pace = (1_usize..60, 0_u64..40, any::<bool>(), any::<bool>());
    (shape, pace).prop_map(|((count, kept, size, memory), (page, fold, ordered, grows))| Heavy {
        order: if ordered { MergeOrder::Partition } else { MergeOrder::Any },
        count,
        kept: kept.into_iter().filter(|index| (*index as usize) < count).collect(),
        size,
        memory,
        page,
        fold: ms(fold),
        grows,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_interruption_changes_no_answer(
        ordered: bool,
        count in 1_usize..120,
        kept in proptest::collection::btree_set(0_u32..120, 0..120),
    ) {
        let kept: BTreeSet<u32> = kept.into_iter().filter(|index| (*index as usize) < count).collect();
        let order = if ordered { MergeOrder::Partition } else { MergeOrder::Any };
        prop_assert_eq!(answered(order, count, &kept), answered(order, count, &BTreeSet::new()));
    }

    #[test]
    fn an_interruption_changes_no_answer_however_little_memory_there_is(heavy in heavy()) {
        let whole = Heavy { kept: BTreeSet::new(), ..heavy.clone() };
        prop_assert_eq!(heavy.answered().0, whole.answered().0);
    }
}

/// Runner that hears which attempts are stored.
#[derive(Clone)]
struct Hearing {
    leaves: Arc<frond_testkit::Leaves>,
    heard: Arc<Mutex<Vec<StoredAttempt>>>,
}

impl LeafRunner for Hearing {
    fn attach(&self, work: Arc<dyn Work>) {
        let heard = self.heard.clone();
        work.on_stored(Arc::new(move |attempts| heard.lock().unwrap().extend_from_slice(attempts)));
        self.leaves.attach(work);
    }

    fn nudge(&self) {
        self.leaves.nudge();
    }

    fn slots(&self) -> usize {
        self.leaves.slots()
    }

    fn pieces(&self) -> Option<PieceSizes> {
        self.leaves.pieces()
    }
}

#[tokio::test(start_paused = true)]
async fn a_runner_hears_of_each_attempt_that_is_stored_if_there_is_a_memo() {
    let memo = Some(Memo { key: Bytes::from_static(b"key"), epoch: 1 });
    for (memo, stores, count) in [(memo.clone(), true, 10), (memo, false, 0), (None, true, 0)] {
        // The first attempts at two partitions fail, and need not be stored.
        let fails = |index, attempt| index < 2 && attempt == 1;
        let stage = Stage::new(Script::by(move |index, attempt| {
            if fails(index, attempt) { Turn::fail(FailureKind::Unavailable) } else { Turn::succeed().after(ms(1)) }
        }));
        let notes = Notes::taking(ms(5));
        let heard = Arc::<Mutex<Vec<StoredAttempt>>>::default();
        let runner = Arc::new(Hearing { leaves: stage.leaves.clone(), heard: heard.clone() });
        let journal: Option<Arc<dyn Journal>> = if stores { Some(Arc::new(notes.clone())) } else { None };
        let root = Services { runner, journal, ..stage.root() };
        let request = Request { memo, ..request() };
        flow::run(request, async { Ok(plan(10)) }, root, CancellationToken::new()).await.unwrap();
        let mut heard = heard.lock().unwrap().clone();
        heard.sort_by_key(|one| one.id);
        assert!(heard.iter().all(|one| one.until.is_none()), "all have ended");
        let succeeded = heard.iter().filter(|one| !fails(one.id.partition, one.id.number)).count();
        assert_eq!((succeeded, heard.len()), (count, if count > 0 { count + 2 } else { 0 }));
    }
}
