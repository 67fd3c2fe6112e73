//! Snapshots of summaries.

use proptest::prelude::*;

use super::*;
use crate::show::fixtures::arbitrary::*;
use crate::show::fixtures::*;
use crate::show::totals::Totals;
use frond_root::answer::{WorkerAccount, WorkerShare};
use frond_root::{Event, EventKind, Failure, FailureKind, Listener, Usage};

fn of_end(event: &Event, extras: Extras<'_>, style: TermStyle) -> String {
    let EventKind::QueryEnded { outcome, reason, coverage } = &event.kind else {
        panic!("not an end: {event:?}");
    };
    let verdict = Verdict { outcome, reason: reason.as_ref(), coverage };
    summary(verdict, extras, style)
}

fn check(stream: &Stream) -> String {
    let end = stream.events.last().expect("an event");
    of_end(end, Extras::default(), TermStyle::plain(100))
}

#[test]
fn a_whole_answer_takes_two_lines() {
    insta::assert_snapshot!(check(&complete()), @r"
    complete 5 of 5 partitions, in 97.0 ms of 2.00 s   (floor 60 %)
    time     plan 1.0 ms · gather 93.0 ms · merge 3.0 ms · reserve 200 ms
    ");
}

#[test]
fn a_stalled_leaf_is_named_with_its_reason() {
    insta::assert_snapshot!(check(&stalled()), @r"
    partial  4 of 5 partitions, 83.1 % by weight, in 1.81 s of 2.00 s   (floor 60 %)
    missing  Scotland   timed out   out-of-time: still running after 1.79 s, cut off at the gather's end
    time     plan 1.0 ms · gather 1.80 s · merge 3.0 ms · reserve 200 ms
    look     run it again with --record FILE, then `frond explain FILE`
    ");
}

#[test]
fn a_failed_query_shows_the_first_trap_in_detail() {
    insta::assert_snapshot!(check(&below_floor()), @r"
    failed   too little arrived to answer
             1 of 5 partitions, 40 % by weight, in 31.0 ms of 2.00 s   (floor 60 %)
    required but missing: Scotland
    missing  London       failed      trap: wasm trap: unreachable instruction executed
             South East   failed      trap: wasm trap: unreachable instruction executed
             Scotland     failed      trap: wasm trap: unreachable instruction executed
             Wales        cancelled
    first    trap of London
               0: rail_leaf::parse::level_0
               1: rail_leaf::parse::level_1
               2: rail_leaf::parse::level_2
               3: rail_leaf::parse::level_3
               4: rail_leaf::parse::level_4
                  and 2 more frames
             log: reading 3 columns
             log: panicked at src/lib.rs:42: \u{1b}[31mno column 4
    time     plan 1.0 ms · gather 27.0 ms · merge 3.0 ms · reserve 200 ms
    look     run it again with --record FILE, then `frond explain FILE`
    ");
}

#[test]
fn a_failed_merge_is_not_a_missing_partition() {
    insta::assert_snapshot!(check(&merge_failed()), @r"
    failed   the merge failed: trap: wasm trap: unreachable instruction executed
             2 of 2 partitions, in 44.0 ms of 2.00 s   (floor 60 %)
    first    trap of the merge
               0: rail_leaf::parse::level_0
               1: rail_leaf::parse::level_1
               2: rail_leaf::parse::level_2
               3: rail_leaf::parse::level_3
               4: rail_leaf::parse::level_4
                  and 2 more frames
             log: reading 3 columns
             log: panicked at src/lib.rs:42: \u{1b}[31mno column 4
    time     plan 1.0 ms · gather 40.0 ms · merge 3.0 ms · reserve 200 ms
    look     run it again with --record FILE, then `frond explain FILE`
    ");
}

#[test]
fn workers_are_told_with_their_part_and_what_their_loss_cost() {
    let share = |at: u64| WorkerShare { name: format!("w{at}"), attempts: 20 - at };
    let mut account = coverage(5, 97.0, Vec::new());
    let few = WorkerAccount { joined: 2, attempts: 39, named: vec![share(0), share(1)], ..WorkerAccount::default() };
    account.workers = Some(Box::new(few));
    let stream = |account: &Coverage| Stream::default().over(97, "complete", None, account.clone());
    insta::assert_snapshot!(check(&stream(&account)), @r"
    complete 5 of 5 partitions, in 97.0 ms of 2.00 s   (floor 60 %)
    workers  2 joined · 39 attempts: w0 20, w1 19
    time     plan 1.0 ms · gather 93.0 ms · merge 3.0 ms · reserve 200 ms
    ");
    let many = WorkerAccount {
        joined: 12,
        lost: 1,
        attempts: 1178,
        attempts_lost: 3,
        units_redone: 1200,
        named: (0..8).map(share).collect(),
        omitted: 4,
    };
    account.workers = Some(Box::new(many));
    insta::assert_snapshot!(check(&stream(&account)), @r"
    complete 5 of 5 partitions, in 97.0 ms of 2.00 s   (floor 60 %)
    workers  12 joined, 1 lost · 1,178 attempts: w0 20, w1 19, w2 18, w3 17, w4 16, w5 15, w6 14, w7 13,
             and 4 more · 3 attempts lost with them · 1,200 units run again
    time     plan 1.0 ms · gather 93.0 ms · merge 3.0 ms · reserve 200 ms
    ");
    account.workers = Some(Box::new(WorkerAccount { joined: 1, ..WorkerAccount::default() }));
    assert!(check(&stream(&account)).contains("\nworkers  1 joined · 0 attempts\n"), "{}", check(&stream(&account)));
}

#[test]
fn nothing_to_do_is_complete() {
    insta::assert_snapshot!(check(&empty()), @r"
    complete the plan has no partitions, in 5.0 ms of 2.00 s   (floor 60 %)
    time     plan 1.0 ms · gather 1.0 ms · merge 3.0 ms · reserve 200 ms
    ");
}

#[test]
fn a_plan_that_was_too_late_is_not_an_empty_plan() {
    let mut account = coverage(0, 1800.0, Vec::new());
    account.complete = false;
    account.fraction = 0.0;
    let stream = Stream::default().over(1800, "failed", Some(Reason::Deadline), account);
    insta::assert_snapshot!(check(&stream), @r"
    failed   nothing arrived before the deadline
             nothing was planned, in 1.80 s of 2.00 s   (floor 60 %)
    time     plan 1.0 ms · gather 1.79 s · merge 3.0 ms · reserve 200 ms
    look     run it again with --record FILE, then `frond explain FILE`
    ");
}

#[test]
fn a_failed_split_shows_what_its_author_needs() {
    let mut account = coverage(0, 20.0, Vec::new());
    account.complete = false;
    account.fraction = 0.0;
    let stream = Stream::default().over(20, "failed", Some(Reason::Split(trap())), account);
    assert!(check(&stream).contains("first    trap of the split\n           0: rail_leaf"));
}

#[test]
fn a_refused_query_does_not_list_what_it_never_asked() {
    let reason = Reason::InvalidQuery(Failure::new(FailureKind::InvalidQuery, "expected value at line 1 column 1"));
    let stream = below_floor();
    let Some(EventKind::QueryEnded { coverage, .. }) = stream.events.last().map(|event| &event.kind) else {
        panic!("no end");
    };
    let verdict = Verdict { outcome: "failed", reason: Some(&reason), coverage };
    let text = summary(verdict, Extras::default(), TermStyle::plain(100));
    assert!(text.contains("invalid-query: expected value at line 1 column 1"), "{text}");
    assert!(!text.contains("missing") && !text.contains("look "), "{text}");
}

#[test]
fn many_missing_partitions_are_counted() {
    insta::assert_snapshot!(check(&many(10_000)), @r"
    partial  9,980 of 10,000 partitions, 99.8 % by weight, in 37.65 s of 2.00 s   (floor 60 %)
    missing  data/2026/part-00250.csv   failed   trap: wasm trap: unreachable instruction executed
             data/2026/part-00750.csv   failed   trap: wasm trap: unreachable instruction executed
             data/2026/part-01250.csv   failed   trap: wasm trap: unreachable instruction executed
             data/2026/part-01750.csv   failed   trap: wasm trap: unreachable instruction executed
             data/2026/part-02250.csv   failed   trap: wasm trap: unreachable instruction executed
             and 15 more (see --format json)
    failures 20 trap   (attempts, including retried ones)
    first    trap of data/2026/part-00250.csv
               0: rail_leaf::parse::level_0
               1: rail_leaf::parse::level_1
               2: rail_leaf::parse::level_2
               3: rail_leaf::parse::level_3
               4: rail_leaf::parse::level_4
                  and 2 more frames
             log: reading 3 columns
             log: panicked at src/lib.rs:42: \u{1b}[31mno column 4
    time     plan 1.0 ms · gather 37.65 s · merge 3.0 ms · reserve 200 ms
    look     run it again with --record FILE, then `frond explain FILE`
    ");
}

#[test]
fn degraded_and_retried_partitions_say_so() {
    let mut lost = missing(1, Status::Degraded, Some(Failure::new(FailureKind::OutOfTime, "time was up")));
    lost.attempts = 3;
    let mut account = coverage(5, 1810.0, vec![lost]);
    account.partitions.skipped = 1;
    account.partitions.succeeded -= 1;
    let stream = Stream::default().over(1810, "partial", None, account);
    insta::assert_snapshot!(check(&stream), @r"
    partial  4 of 5 partitions (1 with nothing to do), 1 more in part, 80 % by weight, in 1.81 s of 2.00
             s   (floor 60 %)
    missing  South East   degraded to 40 %   out-of-time: time was up (after 3 attempts)
    time     plan 1.0 ms · gather 1.80 s · merge 3.0 ms · reserve 200 ms
    look     run it again with --record FILE, then `frond explain FILE`
    ");
}

#[test]
fn stats_tell_what_leaves_used() {
    let stream = complete();
    let totals = Totals::default();
    stream.events.iter().for_each(|event| totals.event(event));
    let extras = Extras { stats: Some(totals.sums()), ..Extras::default() };
    let text = of_end(stream.events.last().expect("an end"), extras, TermStyle::plain(100));
    insta::assert_snapshot!(text, @r"
    complete 5 of 5 partitions, in 97.0 ms of 2.00 s   (floor 60 %)
    time     plan 1.0 ms · gather 93.0 ms · merge 3.0 ms · reserve 200 ms
    attempts 5 started
    leaves   used 412 ms · wasted 0 µs · fuel 6.5 M · memory up to 9.0 MiB · output 10.0 KiB
    rate     53 partitions/s · 53.8 k weight/s, over the gather
    merged   2 merges of 12.0 KiB
    slowest  Yorkshire   71.0 ms, 2.7× median
    ");
    assert_eq!(totals.sums().leaves.fuel, 5 * 1_300_000);
    assert_eq!(totals.sums().leaves.memory, 9 << 20);
}

#[test]
fn a_recorded_query_says_how_to_look_into_it() {
    let stream = stalled();
    let extras = Extras { recorded: Some(Path::new("run\u{1b}.ndjson")), ..Extras::default() };
    let text = of_end(stream.events.last().expect("an end"), extras, TermStyle::plain(100));
    assert!(text.ends_with("look     frond explain run\\u{1b}.ndjson\n"), "{text}");
}

#[test]
fn keys_and_messages_cannot_drive_the_terminal() {
    let mut lost = missing(1, Status::Failed, Some(Failure::new(FailureKind::Trap, "\u{1b}]0;title\u{7}\n\nx")));
    lost.key = "evil\u{1b}[2J\u{202e}key".into();
    let stream = Stream::default().over(10, "partial", None, coverage(5, 10.0, vec![lost]));
    let text = check(&stream);
    assert_is_safe(&text, 100);
    assert!(text.contains("evil\\u{1b}[2J\\u{202e}key"), "{text}");
}

#[test]
fn without_unicode_the_words_are_the_same() {
    let style = TermStyle { unicode: false, ..TermStyle::plain(100) };
    let stream = stalled();
    let text = of_end(stream.events.last().expect("an end"), Extras::default(), style);
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("gather 1.80 s . merge"), "{text}");
}

proptest! {
    #[test]
    fn any_account_is_told_within_the_width(
        account in any_coverage(),
        width in 20_usize..140,
        unicode: bool,
        colour: bool,
    ) {
        let stream = Stream::default().over(10, "partial", None, account);
        let extras = Extras { stats: Some(Sums { leaves: Usage { fuel: u64::MAX, ..Usage::default() }, folds: 1, folded: u64::MAX }), ..Extras::default() };
        let style = TermStyle { unicode, colour, ..TermStyle::plain(width) };
        let text = of_end(&stream.events[0], extras, style);
        assert_is_safe(&text, style.width);
    }
}
