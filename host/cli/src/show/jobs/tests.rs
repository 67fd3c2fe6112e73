//! Snapshots of the views of jobs.

use frond_root::Status;
use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::jobs::job::tests::job;
use crate::show::fixtures::{coverage, missing, trap};

/// Ten seconds after these jobs were submitted.
const NOW: u64 = 1_790_000_010_000;

fn some() -> Vec<Job> {
    let none = json!({ "planned": 0, "done": 0 });
    vec![
        job(json!({ "state": "queued", "partitions": none, "fraction": 0.0, "eta": null, "eta_missing": "it is new" })),
        job(json!({})),
        job(json!({ "cancelling": true, "app": "prices-of-everything-that-can-be-bought" })),
        job(json!({ "state": "merging", "fraction": 0.9999, "partitions": { "planned": 12_000, "done": 11_999 } })),
        job(json!({ "state": "succeeded", "fraction": 1.0, "eta": null, "finished_unix_ms": NOW - 7000,
            "partitions": { "planned": 40, "done": 40 } })),
        job(json!({ "state": "failed", "eta": null, "finished_unix_ms": NOW - 200_000_000, "app": "evil\u{1b}[2J" })),
        job(json!({ "state": "expired", "eta": null, "finished_unix_ms": NOW - 3_700_000 })),
    ]
}

#[test]
fn jobs_are_a_table() {
    assert_snapshot!(table(&some(), NOW, TermStyle::plain(140)), @r"
    id                                app                       state                         done   share  when
    0199f2c41d0a7b3c8e5f60718293a4b5  rail                      queued                           -       -  submitted 10 s ago
    0199f2c41d0a7b3c8e5f60718293a4b5  rail                      running                      12/40    30 %  about 12 s left
    0199f2c41d0a7b3c8e5f60718293a4b5  prices-of-e…an-be-bought  running, cancelling          12/40    30 %  about 12 s left
    0199f2c41d0a7b3c8e5f60718293a4b5  rail                      merging              11,999/12,000  99.9 %  about 12 s left
    0199f2c41d0a7b3c8e5f60718293a4b5  rail                      succeeded                    40/40   100 %  ended 7 s ago
    0199f2c41d0a7b3c8e5f60718293a4b5  evil\u{1b}[2J             failed                       12/40    30 %  ended 2 d 07 h ago
    0199f2c41d0a7b3c8e5f60718293a4b5  rail                      expired                      12/40    30 %  ended 1 h 01 min ago
    ");
}

#[test]
fn no_jobs_are_no_table() {
    assert_eq!(table(&[], NOW, TermStyle::plain(80)), "");
}

#[test]
fn a_narrow_table_is_cut_and_not_wrapped() {
    for width in [20, 40, 60] {
        for line in table(&some(), NOW, TermStyle::plain(width)).lines() {
            assert!(text::columns(line) <= width, "{line}");
        }
    }
}

#[test]
fn a_running_job_in_full() {
    assert_snapshot!(whole(&job(json!({ "caller": "dashboard", "epoch": 2 })), NOW, TermStyle::plain(100)), @"
    job        0199f2c41d0a7b3c8e5f60718293a4b5
    app        rail
    state      running
    submitted  2026-09-21 14:13:20 UTC (10 s ago)
    started    2026-09-21 14:13:21 UTC (9 s ago)
    progress   12 of 40 partitions, 30 %
    left       about 12 s; nine times in ten within 30 s, at the pace so far
    claimed    2 times (after an interruption or a redrive)
    asked by   dashboard
    version    one
    ");
}

#[test]
fn a_job_without_an_estimate_says_why() {
    let job = job(json!({ "eta": null, "eta_missing": "too little of it is done" }));
    assert!(whole(&job, NOW, TermStyle::plain(100)).contains("left       not known: too little of it is done\n"));
}

#[test]
fn a_partial_answer_in_full_names_what_is_missing() {
    let stalled = missing(2, Status::TimedOut, None);
    let coverage = coverage(5, 1800.0, vec![stalled, missing(3, Status::Failed, Some(trap()))]);
    let ended = json!({
        "state": "partial", "eta": null, "finished_unix_ms": NOW - 2000, "expires_unix_ms": NOW + 7 * 86_400_000,
        "coverage": coverage, "fraction": 0.6,
    });
    assert_snapshot!(whole(&job(ended), NOW, TermStyle::plain(100)), @r"
    job        0199f2c41d0a7b3c8e5f60718293a4b5
    app        rail
    state      partial
    submitted  2026-09-21 14:13:20 UTC (10 s ago)
    started    2026-09-21 14:13:21 UTC (9 s ago)
    ended      2026-09-21 14:13:28 UTC (2 s ago)
    kept until 2026-09-28 14:13:30 UTC (in 7 d 00 h)
    version    one

    partial  3 of 5 partitions, 60 % by weight, in 1.80 s of 2.00 s   (floor 60 %)
    missing  Scotland   timed out
             Wales      failed      trap: wasm trap: unreachable instruction executed
    first    trap of Wales
               0: rail_leaf::parse::level_0
               1: rail_leaf::parse::level_1
               2: rail_leaf::parse::level_2
               3: rail_leaf::parse::level_3
               4: rail_leaf::parse::level_4
                  and 2 more frames
             log: reading 3 columns
             log: panicked at src/lib.rs:42: \u{1b}[31mno column 4
    time     plan 1.0 ms · gather 1.79 s · merge 3.0 ms · reserve 200 ms
    ");
}

#[test]
fn an_end_without_an_account_says_why() {
    let ended = |state: &str, reason| ending(&job(json!({ "state": state, "reason": reason })), TermStyle::plain(100));
    assert_snapshot!(ended("failed", json!({ "reason": "refused", "detail": "two partitions are called `a`" })), @"failed: two partitions are called `a`");
    let two_lines = json!({ "reason": "refused", "detail": "the floor must be at most 1\n(write 0.9\u{1b}[2J)" });
    assert_snapshot!(ended("failed", two_lines), @r"
    failed: the floor must be at most 1
    (write 0.9\u{1b}[2J)
    ");
    assert_snapshot!(ended("failed", json!(null)), @"failed: 12 of 40 partitions, 30 %");
    assert_snapshot!(ended("cancelled", json!({ "reason": "cancelled" })), @"cancelled");
    assert_snapshot!(ended("expired", json!(null)), @"expired: its answer is gone, because its retention is over or it was deleted");
    assert_snapshot!(ended("succeeded", json!(null)), @"complete: 12 of 40 partitions, 30 %");
}

#[test]
fn estimates_say_what_they_stand_on() {
    let eta = |basis: &str| Eta { p50_ms: 12_400, p90_ms: 95_000, basis: basis.to_owned() };
    assert_eq!(left(&eta("history")), "about 12 s left");
    assert_eq!(left(&Eta { p50_ms: 999, ..eta("progress") }), "less than 1 s left");
    assert_eq!(
        likely(&eta("history")),
        "about 12 s; nine times in ten within 1 min 35 s, from earlier jobs of the app"
    );
    assert_eq!(likely(&eta("progress")), "about 12 s; nine times in ten within 1 min 35 s, at the pace so far");
    assert_eq!(likely(&eta("new")), "about 12 s; nine times in ten within 1 min 35 s");
}

#[test]
fn times_are_as_exact_as_one_can_read() {
    let all = [(0, "<1 s"), (999, "<1 s"), (1000, "1 s"), (59_999, "59 s"), (60_000, "1 min 00 s")];
    for (ms, text) in all {
        assert_eq!(rough(ms), text);
    }
    assert_eq!(rough(3_600_000), "1 h 00 min");
    assert_eq!(rough(7 * 86_400_000 - 1), "6 d 23 h");
    assert_eq!(rough(u64::MAX), "213503982334 d 14 h");
}

#[test]
fn a_clock_that_is_behind_makes_nothing_negative() {
    let early = whole(&job(json!({})), 0, TermStyle::plain(100));
    assert!(early.contains("submitted  2026-09-21 14:13:20 UTC (in "), "{early}");
    assert!(table(&some(), 0, TermStyle::plain(120)).contains("ended <1 s ago"));
}
