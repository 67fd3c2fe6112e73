//! Bounds of recent queries, eviction, and late followers.

use frond_root::event::GatherEnd;
use frond_root::{Coverage, Failure, FailureKind, Preview, Usage};
use frond_testkit::{Script, Stage, Turn, plan};
use proptest::prelude::*;

use super::*;

/// More than any test here uses.
const PLENTY: usize = 1 << 30;

fn begin(recent: &Recent, id: u128, query: impl Into<Bytes>) -> Arc<QueryRecord> {
    let request = Request { id: QueryId::from(id), query: query.into(), ..frond_testkit::request() };
    recent.begin(None, &request, 1, 1, "text/plain", &CancellationToken::new())
}

/// A query that begins and ends.
fn pass(recent: &Recent, id: u128) {
    begin(recent, id, "").answered(&answer(1));
    recent.tidy();
}

/// The answer of a query with this many partitions. If there is more than one, the last fails.
fn answer(partitions: usize) -> Answer {
    let last = Turn::fail(FailureKind::Trap);
    let script = Script::all(Turn::give("one"));
    let script = if partitions > 1 { script.at(partitions as u32 - 1, last) } else { script };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let request = Request { floor: Floor::BestEffort, ..frond_testkit::request() };
    runtime.block_on(Stage::new(script).ask(request, plan(partitions)))
}

fn coverage() -> Box<Coverage> {
    Box::new(answer(1).coverage().clone())
}

fn started(at: u64, partition: u32, slot: u32) -> Event {
    let key = format!("p{partition}").as_str().into();
    Event {
        at,
        kind: EventKind::AttemptStarted {
            partition,
            key,
            attempt: 1,
            slot,
            weight: 2,
            units: None,
            cut_from: None,
            copy_of: None,
            worker: None,
        },
    }
}

fn ended(at: u64, partition: u32, slot: u32, failure: Option<Failure>) -> Event {
    let usage = Usage::default();
    let kind = EventKind::AttemptEnded {
        partition,
        attempt: 1,
        slot,
        failure,
        usage,
        log: Vec::new(),
        earlier: 0,
        waited: 0,
        waits: Vec::new(),
        part: None,
        on_worker: None,
        beaten: false,
    };
    Event { at, kind }
}

fn once(kind: EventKind) -> Event {
    Event { at: 0, kind }
}

fn ids(recent: &Recent) -> Vec<u128> {
    let of = |one: Summary| u128::from_str_radix(&one.id.to_string(), 16).unwrap();
    recent.list(None, None, None, usize::MAX).into_iter().map(of).collect()
}

fn ats(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.at).collect()
}

#[test]
fn the_newest_queries_are_kept_up_to_the_limit() {
    let recent = Recent::new(3, PLENTY);
    (0..5).for_each(|id| pass(&recent, id));
    assert_eq!(ids(&recent), [4, 3, 2]);
    assert_eq!((recent.total(), recent.running()), (5, 0));
    assert!(recent.get(None, QueryId::from(1)).is_none() && recent.get(None, QueryId::from(2)).is_some());
}

#[test]
fn running_queries_are_always_kept() {
    let recent = Recent::new(2, 0);
    let running: Vec<_> = (0..5).map(|id| begin(&recent, id, vec![0; 1000])).collect();
    pass(&recent, 5);
    assert_eq!(ids(&recent), [4, 3, 2, 1, 0]);
    assert_eq!((recent.running(), recent.unfinished(None).len()), (5, 5));
    running[3].answered(&answer(1));
    recent.tidy();
    assert_eq!(ids(&recent), [4, 2, 1, 0], "the one that ended goes, though others are older");
    running.iter().for_each(|one| one.answered(&answer(1)));
    recent.tidy();
    assert_eq!((ids(&recent).len(), recent.running()), (0, 0));
}

#[test]
fn memory_is_bounded_and_the_oldest_go_first() {
    let recent = Recent::new(1000, 100_000);
    for id in 0..50 {
        begin(&recent, id, vec![0; 10_000]).answered(&answer(1));
        recent.tidy();
        assert!(recent.memory() <= 100_000, "{}", recent.memory());
    }
    let kept = ids(&recent);
    assert!((5..10).contains(&kept.len()), "{kept:?}");
    assert_eq!(kept, (0..50).rev().take(kept.len()).collect::<Vec<_>>());
}

#[test]
fn failures_accounts_and_answers_count_as_memory() {
    let recent = Recent::new(10, PLENTY);
    let recorded = begin(&recent, 1, "");
    let mut before = recent.memory();
    let mut grew = || std::mem::replace(&mut before, recent.memory()).abs_diff(recent.memory());
    let mut failure = Failure::new(FailureKind::Trap, "x".repeat(5000));
    failure.log = vec!["x".repeat(3000)];
    failure.backtrace = vec!["x".repeat(2000)];
    recorded.event(&ended(0, 0, 0, Some(failure)));
    assert!(grew() >= 10_000);
    recorded.event(&once(EventKind::QueryEnded { outcome: "partial".to_owned(), reason: None, coverage: coverage() }));
    assert!(grew() >= size_of::<Coverage>());
    recorded.answered(&answer(1));
    assert!(grew() >= size_of::<Coverage>());
}

#[test]
fn memory_of_a_read_query_counts_until_released_and_evicts_no_other() {
    let recent = Recent::new(1000, 50_000);
    let read = begin(&recent, 0, vec![0; 40_000]);
    read.answered(&answer(1));
    begin(&recent, 1, vec![0; 40_000]).answered(&answer(1));
    recent.tidy();
    assert_eq!(ids(&recent), [1], "the one that is read is not listed any more");
    assert!(recent.memory() > 80_000, "and is there");
    pass(&recent, 2);
    assert_eq!(ids(&recent), [2, 1]);
    assert_eq!(read.detail().summary.id, QueryId::from(0));
    drop(read);
    assert!(recent.memory() < 50_000);
}

#[test]
fn long_queries_and_answers_are_cut_and_say_so() {
    let recent = Recent::new(10, PLENTY);
    let text = format!("{}é", "x".repeat(MAX_SHOWN - 1));
    let recorded = begin(&recent, 1, text.clone());
    assert!(recent.memory() < MAX_SHOWN + 10_000);
    let shown = serde_json::to_value(recorded.detail()).unwrap();
    let query = &shown["query"];
    assert_eq!((&query["bytes"], &query["cut"]), (&text.len().into(), &true.into()));
    assert_eq!(
        query["text"].as_str().map(str::len),
        Some(MAX_SHOWN - 1),
        "a character that was cut in two is left out"
    );
    let whole = begin(&recent, 2, "x".repeat(MAX_SHOWN)).detail().query;
    assert_eq!(serde_json::to_value(whole).unwrap()["cut"], false);
    let bytes = begin(&recent, 3, vec![0xff; 3]).detail().query;
    assert_eq!(serde_json::to_value(bytes).unwrap(), serde_json::json!({"base64": "////", "bytes": 3, "cut": false}));
}

#[test]
fn events_are_read_from_any_number_on_in_batches() {
    let recent = Recent::new(10, PLENTY);
    let recorded = begin(&recent, 1, "");
    (0..10).for_each(|at| recorded.event(&started(at, 0, 0)));
    let read = |from, most| {
        let (events, missed, more) = recorded.events(from, most);
        assert_eq!(missed, 0);
        (ats(&events), more)
    };
    assert_eq!(read(0, 4), (vec![0, 1, 2, 3], true));
    assert_eq!(read(8, 4), (vec![8, 9], true), "more may come");
    assert_eq!(read(10, 4), (vec![], true));
    for beyond in [11, usize::MAX] {
        assert_eq!(read(beyond, 4), (vec![], true), "who has seen more than there is waits for it");
    }
    recorded.answered(&answer(1));
    assert_eq!(read(0, 10), ((0..10).collect(), false));
    assert_eq!(read(0, 9), ((0..9).collect(), true));
    assert_eq!(read(9, 9), (vec![9], false));
    assert_eq!(read(usize::MAX, 9), (vec![], false));
}

#[test]
fn over_the_memory_limit_repeatable_events_are_only_counted() {
    let recent = Recent::new(10, 10_000);
    let recorded = begin(&recent, 1, "");
    let mut sent = 0;
    while recorded.events(0, 0).1 < 100 {
        recorded.event(&started(sent, 0, 0));
        recorded.event(&ended(sent, 0, 0, None));
        sent += 2;
    }
    let (events, missed_before, _) = recorded.events(0, usize::MAX);
    let kept = events.len();
    assert!(kept > 10 && recent.memory() < 3 * 10_000, "{kept} {}", recent.memory());
    recorded.event(&once(EventKind::GatherEnded { why: GatherEnd::AllSettled }));
    recorded.event(&once(EventKind::FinishStarted {}));
    let (events, missed, _) = recorded.events(kept, usize::MAX);
    assert_eq!((events.len(), missed), (2, missed_before));
    // Events that were not kept are included in the counts.
    assert_eq!((recorded.summary().events, recorded.summary().partitions.settled), (sent + 2, sent / 2));
}

#[test]
fn the_events_of_one_query_are_bounded_in_number() {
    let recent = Recent::new(10, PLENTY);
    let recorded = begin(&recent, 1, "");
    let event = once(EventKind::FoldEnded { fold: 0, bytes: 0, failure: None });
    (0..MAX_EVENTS + 7).for_each(|_| recorded.event(&event));
    recorded.event(&once(EventKind::FinishStarted {}));
    let (last, missed, _) = recorded.events(MAX_EVENTS, usize::MAX);
    assert_eq!(missed, 7);
    assert_eq!(last, [once(EventKind::FinishStarted {})]);
}

#[test]
fn a_list_is_of_one_app_or_one_outcome_the_newest_first() {
    let recent = Recent::new(10, PLENTY);
    for (id, app) in [(1, "a"), (2, "b"), (3, "a"), (4, "a"), (5, "b")] {
        let request = Request { id: QueryId::from(id), app: app.to_owned(), ..frond_testkit::request() };
        let recorded = recent.begin(None, &request, 1, 1, "", &CancellationToken::new());
        match id {
            1 => recorded.answered(&answer(1)),
            2 | 3 => recorded.answered(&answer(2)),
            4 => recorded.refused(),
            _ => {}
        }
    }
    let list = |app, outcome, limit| {
        let of = |one: Summary| u128::from_str_radix(&one.id.to_string(), 16).unwrap();
        recent.list(None, app, outcome, limit).into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 99), [5, 4, 3, 2, 1]);
    assert_eq!(list(None, None, 2), [5, 4]);
    assert_eq!(list(None, None, 0), []);
    assert_eq!(list(Some("a"), None, 99), [4, 3, 1]);
    assert_eq!(list(Some("a"), None, 1), [4]);
    assert_eq!(list(None, Some("partial"), 99), [3, 2]);
    assert_eq!(list(None, Some("partial"), 1), [3], "the limit is of those that are wanted");
    assert_eq!(list(None, Some("complete"), 99), [1]);
    assert_eq!(list(None, Some("failed"), 99), [4]);
    assert_eq!(list(None, Some("running"), 99), [5]);
    assert_eq!(list(Some("c"), None, 99), []);
}

#[test]
fn what_began_or_ended_is_told_once_and_what_is_too_much_is_counted() {
    let recent = Recent::new(100, PLENTY);
    let seen = recent.seen(None);
    let first = begin(&recent, 1, "");
    let _second = begin(&recent, 2, "");
    let (news, missed, seen) = recent.since(None, seen, 10);
    assert_eq!((news.iter().map(|one| one.id).collect::<Vec<_>>(), missed), (vec![1.into(), 2.into()], 0));
    assert_eq!(recent.since(None, seen, 10).0.len(), 0);
    first.answered(&answer(1));
    first.answered(&answer(1));
    let (news, missed, seen) = recent.since(None, seen, 10);
    assert_eq!((news.len(), news[0].state, missed), (1, "ended", 0), "it ends but once");
    (10..30).for_each(|id| pass(&recent, id));
    let (news, missed, seen) = recent.since(None, seen, 4);
    assert_eq!(
        (news.iter().map(|one| one.id).collect::<Vec<_>>(), missed),
        ((26..30).map(QueryId::from).collect(), 16)
    );
    assert_eq!(recent.since(None, seen, 4).1, 0);
}

#[test]
fn ends_of_queries_that_are_forgotten_are_counted_as_missed() {
    let recent = Recent::new(2, PLENTY);
    let seen = recent.seen(None);
    (0..10).for_each(|id| pass(&recent, id));
    let (news, missed, _) = recent.since(None, seen, 40);
    assert_eq!((news.len(), missed), (2, 8));
}

#[test]
fn progress_is_counted_from_events() {
    let recent = Recent::new(10, PLENTY);
    let recorded = begin(&recent, 1, "");
    assert_eq!(recorded.progress(), (Counts::default(), 0.0));
    recorded.event(&once(EventKind::Planned { partitions: 4, weight: 8, leaf_deadline: 0, gather_deadline: 0 }));
    recorded.event(&started(1_000, 0, 0));
    recorded.event(&started(1_000, 1, 7));
    assert_eq!(recorded.progress().0, Counts { planned: 4, settled: 0, running: 2, missing: 0 });
    recorded.event(&ended(3_000, 0, 0, None));
    recorded.event(&ended(9_500, 1, 7, Some(Failure::new(FailureKind::Trap, ""))));
    let missing =
        EventKind::PartitionMissing { partition: 1, key: "p1".into(), status: frond_root::Status::Failed, slug: None };
    recorded.event(&once(missing));
    assert_eq!(recorded.progress(), (Counts { planned: 4, settled: 2, running: 0, missing: 1 }, 0.25));
    let slowest = recorded.slowest().unwrap();
    assert_eq!((slowest.key.as_str(), slowest.ms), ("p1", 8.5));
    // An end without a start, and times that run backwards, do no harm.
    recorded.event(&ended(0, 3, 9, None));
    recorded.event(&started(20_000, 2, 0));
    recorded.event(&ended(10_000, 2, 0, None));
    assert_eq!(recorded.slowest().unwrap().ms, 8.5);
}

#[test]
fn an_ended_query_says_how() {
    let recent = Recent::new(10, PLENTY);
    let answered = begin(&recent, 1, "");
    answered.answered(&answer(4));
    let detail = serde_json::to_value(answered.detail()).unwrap();
    assert_eq!(
        (&detail["state"], &detail["outcome"], &detail["fraction"]),
        (&"ended".into(), &"partial".into(), &0.75.into())
    );
    assert_eq!((&detail["answer"]["text"], &detail["coverage"]["complete"]), (&"one one one".into(), &false.into()));
    let refused = begin(&recent, 2, "");
    refused.refused();
    refused.answered(&answer(1));
    let detail = serde_json::to_value(refused.detail()).unwrap();
    assert_eq!(
        (&detail["outcome"], &detail["reason"], &detail["answer"]),
        (&"failed".into(), &"refused".into(), &().into())
    );
    assert_eq!(recent.running(), 0);
}

#[test]
fn of_previews_the_newest_is_kept_and_taken_once() {
    let recent = Recent::new(10, PLENTY);
    let recorded = begin(&recent, 1, "");
    let covered = |covered| frond_root::runner::Covered { planned: 4, covered, complete: false };
    recorded.take(Duration::from_secs(1), Bytes::from_static(b"old"), covered(1));
    recorded.take(Duration::from_secs(2), Bytes::from_static(b"new"), covered(3));
    let so_far = recorded.take_preview().unwrap();
    assert_eq!((so_far.body.as_ref(), so_far.fraction, so_far.at), (&b"new"[..], 0.75, Duration::from_secs(2)));
    assert!(recorded.take_preview().is_none());
    recorded.take(
        Duration::ZERO,
        Bytes::new(),
        frond_root::runner::Covered { planned: 0, covered: 0, complete: false },
    );
    assert_eq!(recorded.take_preview().unwrap().fraction, 0.0);
    recorded.take(Duration::ZERO, Bytes::from(vec![7; (1 << 20) + 1]), covered(1));
    assert!(recorded.take_preview().is_none(), "it is too large");
    recorded.take(Duration::ZERO, Bytes::from(vec![7; 1 << 20]), covered(1));
    assert!(recorded.take_preview().is_some());
}

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_by_events_previews_and_the_end() {
    let recent = Recent::new(10, PLENTY);
    let recorded = begin(&recent, 1, "");
    let covered = frond_root::runner::Covered { planned: 1, covered: 1, complete: false };
    let news: [&dyn Fn(); 4] = [
        &|| recorded.event(&started(0, 0, 0)),
        &|| recorded.take(Duration::ZERO, Bytes::new(), covered),
        &|| recorded.refused(),
        &|| recorded.refused(),
    ];
    for one in news {
        let first = recorded.changed();
        let second = recorded.changed();
        one();
        let waiting = async { tokio::join!(first, second) };
        tokio::time::timeout(Duration::from_secs(1), waiting).await.expect("all who wait are told");
    }
    let nothing = tokio::time::timeout(Duration::from_secs(1), recorded.changed()).await;
    assert!(nothing.is_err(), "what came before is not told again");
}

/// A random operation on queries.
#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Event(usize, u16),
    End(usize, bool),
    Hold(usize),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4000_usize).prop_map(Step::Begin),
        6 => (any::<usize>(), any::<u16>()).prop_map(|(which, bytes)| Step::Event(which, bytes % 2000)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, refused)| Step::End(which, refused)),
        1 => any::<usize>().prop_map(Step::Hold),
        1 => any::<usize>().prop_map(Step::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_happens_memory_is_accounted_for(
        steps in prop::collection::vec(step(), 0..80),
        most in 1..6_usize,
        memory in 0..20_000_usize,
    ) {
        let recent = Recent::new(most, memory);
        let done = answer(2);
        let mut running = Vec::new();
        let mut held = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let pick = |which: usize, of: &Vec<Arc<QueryRecord>>| (!of.is_empty()).then(|| which % of.len());
            match step {
                Step::Begin(bytes) => running.push(begin(&recent, number as u128, vec![0; bytes])),
                Step::Event(which, bytes) => if let Some(at) = pick(which, &running) {
                    let failure = Failure::new(FailureKind::Trap, "x".repeat(bytes.into()));
                    running[at].event(&ended(0, 0, 0, Some(failure)));
                },
                Step::End(which, refused) => if let Some(at) = pick(which, &running) {
                    let one = running.remove(at);
                    if refused { one.refused() } else { one.answered(&done) }
                    recent.tidy();
                },
                Step::Hold(which) => if let Some(at) = pick(which, &running) { held.push(running[at].clone()) },
                Step::Release(which) => if let Some(at) = pick(which, &held) { drop(held.remove(at)) },
            }
            prop_assert_eq!(recent.running(), running.len());
            prop_assert_eq!(recent.unfinished(None).len(), running.len());
            let listed = ids(&recent).len();
            let ended = listed - running.len();
            prop_assert!(ended == 0 || listed <= most && recent.used.listed() <= memory + step_slack(&running));
        }
        running.drain(..).for_each(|one| one.answered(&done));
        recent.tidy();
        prop_assert!(recent.used.listed() <= memory && ids(&recent).len() <= most);
        held.clear();
        prop_assert_eq!(recent.used.forgotten.load(Ordering::Relaxed), 0);
        let used = recent.used.clone();
        drop(recent);
        prop_assert_eq!(used.all(), 0);
    }
}

/// Memory that running queries may have used since the last cleanup.
fn step_slack(running: &[Arc<QueryRecord>]) -> usize {
    running.iter().map(|one| one.bytes.load(Ordering::Relaxed)).sum()
}
