//! Answers leave before their deadlines and no guest runs on after them, whatever guests do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Answer, CancellationToken, Content, Error, Failure, Floor, Partition, Plan, Reason, Request, flow};
use frond_sandbox::{Guests, Role, SplitHost};
use frond_testkit::Record;

use common::{
    App, ENDLESS, Host, ObservedRunner, PATIENCE, QueryResult, alone, guest, in_time, ms, plan, wait_until, wat,
};

const DEADLINE: Duration = ms(200);
/// Number of slots.
const SLOTS: usize = 2;
/// Number of calls that the pools have room for: the slots and eight others.
const PLACES: usize = SLOTS + 8;

fn endless(fuel: u64) -> Limits {
    Limits { fuel, host_calls: u64::MAX, ..Limits::default() }
}

fn request(app: &App, query: &str) -> Request {
    Request { deadline: DEADLINE, ..app.request(query) }
}

fn ask(host: &Host, app: &App, query: &str, keys: &[&str]) -> QueryResult {
    in_time(|| host.runtime.block_on(app.ask(request(app, query), plan(keys.iter().copied()))))
}

#[test]
fn leaves_that_never_end_are_stopped() {
    let _alone = alone();
    for fuel in [ENDLESS, 0] {
        let limits = endless(fuel);
        let host = Host::new(SLOTS, limits);
        let app = host.faulty(limits, limits);
        for command in ["spin", "sleep", "poll-forever", "read-source-forever", "emit-then-spin"] {
            let asked = ask(&host, &app, "{}", &[&format!("{command}-1"), &format!("{command}-2"), "ok-1"]);
            let tally = asked.answer.coverage().partitions;
            assert!(tally.is_closed() && tally.timed_out + tally.degraded > 0, "{command}: {tally:?}");
            assert!(tally.succeeded <= 1 && tally.failed == 0, "{command}: {tally:?}");
        }
    }
}

#[test]
fn a_leaf_that_takes_ever_more_memory_is_stopped() {
    let _alone = alone();
    // The memory limit or the deadline stops it, whichever comes first.
    let limits = Limits { memory: 1 << 30, ..endless(ENDLESS) };
    let host = Host::new(SLOTS, limits);
    let asked = ask(&host, &host.faulty(limits, Limits::default()), "{}", &["grow-memory-1", "grow-memory-2", "ok-1"]);
    let tally = asked.answer.coverage().partitions;
    assert!(tally.is_closed() && tally.succeeded <= 1 && tally.failed + tally.timed_out > 0, "{tally:?}");
}

#[test]
fn merges_and_finishes_that_never_end_are_stopped() {
    let _alone = alone();
    let keys: Vec<String> = (0..40).map(|number| format!("ok-{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for fuel in [ENDLESS, 0] {
        let limits = endless(fuel);
        let host = Host::new(SLOTS, limits);
        let app = host.faulty(limits, limits);
        for query in ["merge-fault", "finish-fault"] {
            for command in ["spin", "sleep"] {
                let asked = ask(&host, &app, &format!(r#"{{"{query}": "{command}"}}"#), &keys);
                match &asked.answer {
                    Answer::Failed { reason: Reason::Merge(failure), coverage } => {
                        assert_eq!(failure.kind.slug(), "out-of-time", "{query} {command}");
                        assert_eq!(coverage.partitions.succeeded, 40);
                    }
                    other => panic!("{query} {command}: {other:?}"),
                }
            }
        }
        assert_nothing_runs(host);
    }
}

/// Short calls run inline: a call that is not short after all must end in the same way.
#[test]
fn merges_that_were_brief_before_are_stopped_and_told_all_the_same() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(SLOTS, limits);
    let app = host.faulty(limits, limits);
    let slug = |query: &str| match ask(&host, &app, query, &["ok-1", "ok-2"]).answer {
        Answer::Failed { reason: Reason::Merge(failure), .. } => failure.kind.slug(),
        Answer::Failed { reason, .. } => panic!("{query}: {reason:?}"),
        Answer::Complete { .. } | Answer::Partial { .. } => "ok",
    };
    for (command, wanted) in
        [("spin", "out-of-time"), ("sleep", "out-of-time"), ("trap", "trap"), ("ok", "ok"), ("allocate", "ok")]
    {
        for _ in 0..20 {
            assert_eq!(slug("{}"), "ok");
        }
        assert_eq!(slug(&format!(r#"{{"finish-fault": "{command}"}}"#)), wanted);
    }
    assert_nothing_runs(host);
}

#[test]
fn a_merge_that_was_brief_before_has_all_of_its_memory_when_it_needs_that() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(SLOTS, limits);
    let app = host.faulty(limits, limits);
    let count = |query: &str| {
        host.runtime.block_on(app.ask(app.request(query), plan(["ok-1", "ok-2"]))).json()["count"].clone()
    };
    for query in ["{}", r#"{"merge-fault": "allocate"}"#, r#"{"finish-fault": "allocate"}"#] {
        for _ in 0..20 {
            assert_eq!(count("{}"), 2);
        }
        assert_eq!(count(query), 2, "{query}");
    }
}

#[test]
fn splits_that_never_end_are_stopped() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(SLOTS, limits);
    let app = host.faulty(limits, limits);
    let plugin = host.plugin(&guest("faulty"), &[Role::Split], true);
    let splits = SplitHost(Guests::new(host.sandbox.clock(), plugin, limits));
    for command in ["spin", "sleep"] {
        let query = format!(r#"{{"split-fault": "{command}"}}"#);
        let asked = in_time(|| {
            let planning = async {
                let until = Instant::now() + DEADLINE;
                let failure = splits.split(Bytes::from(query.clone()), 4, until).await.unwrap_err();
                Err::<Plan, _>(Error::Split(failure))
            };
            let record = Record::default();
            let seen = ObservedRunner::of(&app);
            let asked = flow::run(request(&app, &query), planning, app.root(&seen), CancellationToken::new());
            let answer = host.runtime.block_on(asked).unwrap();
            QueryResult { answer, record, seen }
        });
        let answer = asked.answer;
        assert!(matches!(answer, Answer::Failed { reason: Reason::Deadline, .. }), "{command}: {answer:?}");
    }
    assert_nothing_runs(host);
}

/// Checks that no merge or split runs, as the shutdown of the runtime would wait for it.
fn assert_nothing_runs(host: Host) {
    let begun = Instant::now();
    host.runtime.shutdown_timeout(PATIENCE);
    assert!(begun.elapsed() < PATIENCE);
}

/// Starts a query, and drops it as soon as `leaves` of its leaves run.
fn give_up(host: &Host, app: &App, query: &str, keys: &[&str], leaves: usize) {
    let seen = ObservedRunner::of(app);
    let request = Request { deadline: PATIENCE * 10, ..app.request(query) };
    let plan = plan(keys.iter().copied());
    let root = app.root(&seen);
    let asked = host.runtime.spawn(flow::run(request, async { Ok(plan) }, root, CancellationToken::new()));
    wait_until("all leaves run", || seen.running() == leaves);
    asked.abort();
    wait_until("no leaf runs", || seen.running() == 0);
}

#[test]
fn a_query_that_is_dropped_stops_its_leaves_and_frees_their_places() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(SLOTS, limits);
    let app = host.faulty(limits, limits);
    for command in ["sleep", "spin", "poll-forever"] {
        for _ in 0..PLACES {
            give_up(&host, &app, &format!(r#"{{"fault": "{command}"}}"#), &["a", "b"], 2);
        }
    }
    let asked = ask(&host, &app, "{}", &["ok-1", "ok-2"]);
    assert_eq!(asked.answer.outcome(), "complete");
}

#[test]
fn a_query_that_is_dropped_stops_its_merges_and_frees_their_places() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(SLOTS, limits);
    let app = host.faulty(limits, limits);
    let keys: Vec<String> = (0..40).map(|number| format!("ok-{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).chain(["sleep-1"]).collect();
    for command in ["sleep", "spin"] {
        for _ in 0..PLACES {
            // One leaf is left and merges have begun: they cannot end before they are stopped.
            give_up(&host, &app, &format!(r#"{{"merge-fault": "{command}"}}"#), &keys, 1);
        }
    }
    let asked = ask(&host, &app, "{}", &["ok-1", "ok-2"]);
    assert_eq!(asked.answer.outcome(), "complete");
    assert_nothing_runs(host);
}

#[test]
fn a_query_that_is_cancelled_stops_its_guests_and_answers_with_what_is_there() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(SLOTS, limits);
    let app = host.faulty(limits, Limits::default());
    for command in ["sleep-1", "spin-1"] {
        let cancel = CancellationToken::new();
        let seen = ObservedRunner::of(&app);
        let request = Request { deadline: PATIENCE * 10, floor: Floor::BestEffort, ..app.request("{}") };
        let plan = plan(["ok-1", "ok-2", command]);
        let root = app.root(&seen);
        let asked = host.runtime.spawn(flow::run(request, async { Ok(plan) }, root, cancel.clone()));
        wait_until("the last leaf runs", || {
            seen.take().is_some_and(|scatter| {
                // Both others have ended once only the last one runs.
                wait_until("one leaf is left", || scatter.running() == 1);
                true
            })
        });
        cancel.cancel();
        let answer = host.runtime.block_on(asked).unwrap().unwrap();
        let coverage = answer.coverage();
        assert!(coverage.partitions.is_closed());
        assert_eq!(coverage.partitions.succeeded + coverage.partitions.cancelled + coverage.partitions.not_started, 3);
        assert!(coverage.partitions.cancelled >= 1, "{command}: {coverage:?}");
    }
}

/// Content whose query ends while the content is read.
#[derive(Debug)]
struct TooLate {
    cancel: CancellationToken,
    over: Arc<AtomicBool>,
}

impl Content for TooLate {
    fn size(&self) -> u64 {
        1
    }

    fn read(&self, _: u64, _: usize) -> Result<Bytes, Failure> {
        self.whole()
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.cancel.cancel();
        wait_until("the query is over", || self.over.load(Ordering::SeqCst));
        Ok(Bytes::new())
    }
}

#[test]
fn a_leaf_whose_query_ends_just_before_it_begins_does_not_run_on() {
    let _alone = alone();
    let limits = endless(ENDLESS);
    let host = Host::new(1, limits);
    let app = host.leaf(&wat::leaf("", "(loop (br 0)) unreachable"), limits);
    let cancel = CancellationToken::new();
    let over = Arc::new(AtomicBool::new(false));
    let seen = ObservedRunner::of(&app);
    let content = TooLate { cancel: cancel.clone(), over: over.clone() };
    let plan = Plan::new(vec![Partition::new("a", content)]).unwrap();
    let request = Request { deadline: PATIENCE * 10, ..app.request("") };
    let asked = flow::run(request, async { Ok(plan) }, app.root(&seen), cancel);
    let answer = host.runtime.block_on(host.runtime.spawn(asked)).unwrap().unwrap();
    assert_eq!(answer.outcome(), "failed");
    assert_eq!(seen.running(), 1);
    over.store(true, Ordering::SeqCst);
    wait_until("no leaf runs", || seen.running() == 0);
}
