//! Ends of a call: each has its slug and diagnostics for its author.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Partition, Usage};

use common::{App, ENDLESS, Host, PATIENCE, QueryResult, guest, ms, wat};

/// Time limit that no command reaches by itself, even on a busy machine.
const AMPLE: Duration = PATIENCE;

fn limits() -> Limits {
    Limits { output: 1 << 20, ..Limits::default() }
}

fn faulty(host: &Host, limits: Limits) -> App {
    host.leaf(&guest("faulty"), limits)
}

/// Formats a failure without the details that another compiler or another run would change.
fn summary(asked: &QueryResult) -> String {
    let failure = asked.failure();
    let mut text = format!("{}: {}\n", failure.kind, numberless(&failure.message));
    let ours: Vec<_> = failure.backtrace.iter().filter(|name| name.contains("faulty::")).collect();
    let ours = ours.iter().enumerate().filter(|(at, name)| ours.get(at + 1) != Some(name));
    for (_, name) in ours {
        writeln!(text, "  in {name}").unwrap();
    }
    for line in &failure.log {
        writeln!(text, "  | {}", numberless(line)).unwrap();
    }
    text
}

/// Replaces every number of several digits by `#`.
fn numberless(text: &str) -> String {
    let mut plain = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = piece.chars().take_while(char::is_ascii_digit).count();
        if digits > 1 {
            write!(plain, "#{}", &piece[digits..]).unwrap();
        } else {
            plain.push_str(piece);
        }
    }
    plain
}

/// Commands that end a call under ordinary limits, with their slugs.
const COMMANDS: [(&str, &str); 19] = [
    ("panic", "trap"),
    ("abort", "trap"),
    ("exit", "trap"),
    ("trap", "trap"),
    ("recurse", "trap"),
    ("recurse-wide", "trap"),
    ("emit-bad-done", "trap"),
    ("emit-then-trap", "trap"),
    ("poll-forever", "host-call-denied"),
    ("read-source-forever", "host-call-denied"),
    ("grow-memory", "out-of-memory"),
    ("grow-memory-quietly", "out-of-memory"),
    ("allocate-mib:100", "out-of-memory"),
    ("huge-output", "output-too-large"),
    ("output-bytes:1048577", "output-too-large"),
    ("huge-emit", "output-too-large"),
    ("invalid-query", "invalid-query"),
    ("invalid-partition", "invalid-partition"),
    ("unavailable", "unavailable"),
];

#[test]
fn every_way_to_end_has_its_slug_and_tells_its_author_why() {
    let host = Host::new(1, limits());
    let app = faulty(&host, limits());
    let mut all = String::new();
    for (command, slug) in COMMANDS {
        let asked = app.obey(&host, command, AMPLE);
        assert_eq!(asked.slug(), slug, "{command}");
        write!(all, "{command} → {}", summary(&asked)).unwrap();
    }
    insta::assert_snapshot!("told", all);
}

#[test]
fn a_loop_ends_by_fuel_or_by_time() {
    let few = Limits { fuel: 5_000_000, ..limits() };
    let host = Host::new(1, few);
    let check = |fuel: u64, time: Duration, command: &str, slug: &str| {
        let asked = faulty(&host, Limits { fuel, ..few }).obey(&host, command, time);
        assert_eq!(asked.slug(), slug, "{command} with {fuel} fuel");
        asked.usage()
    };
    assert_eq!(check(few.fuel, AMPLE, "spin", "out-of-fuel").fuel, few.fuel);
    assert_eq!(check(few.fuel, AMPLE, "burn:1000000", "out-of-fuel").fuel, few.fuel);
    assert_eq!(check(few.fuel, AMPLE, "emit-flood", "out-of-fuel").fuel, few.fuel);
    check(few.fuel, AMPLE, "flood-stderr", "out-of-fuel");
    check(ENDLESS, ms(20), "spin", "out-of-time");
    check(ENDLESS, ms(20), "emit-then-spin", "out-of-time");
    check(ENDLESS, ms(20), "sleep", "out-of-time");
    assert_eq!(check(0, ms(20), "spin", "out-of-time").fuel, 0);
    assert_eq!(check(0, ms(20), "sleep", "out-of-time").fuel, 0);
}

#[test]
fn host_calls_without_end_are_stopped_by_time_when_their_budget_is_not_used_up() {
    let limits = Limits { fuel: ENDLESS, host_calls: u64::MAX, ..limits() };
    let host = Host::new(1, limits);
    for command in ["poll-forever", "read-source-forever"] {
        assert_eq!(faulty(&host, limits).obey(&host, command, ms(20)).slug(), "out-of-time", "{command}");
    }
}

#[test]
fn unmetered_guests_end_the_same_ways() {
    let limits = Limits { fuel: 0, ..limits() };
    let host = Host::new(1, limits);
    let app = faulty(&host, limits);
    for (command, slug) in COMMANDS.into_iter().chain([("ok", "ok"), ("burn:1", "ok")]) {
        let asked = app.obey(&host, command, AMPLE);
        assert_eq!((asked.slug(), asked.usage().fuel), (slug, 0), "{command}");
    }
}

#[test]
fn a_flooded_log_keeps_its_last_lines_and_nothing_that_drives_a_terminal() {
    // The flood needs more fuel than this, so it is cut off before its end.
    let limits = Limits { fuel: 50_000_000, ..limits() };
    let host = Host::new(1, limits);
    for command in ["flood-stdout", "flood-stderr"] {
        let asked = faulty(&host, limits).obey(&host, command, AMPLE);
        let failure = asked.failure();
        let written = asked.usage().log;
        assert_eq!(asked.slug(), "out-of-fuel", "{command}");
        assert!(written > 1 << 20, "{written}");
        assert_eq!(failure.log[0], format!("… the last of {written} bytes:"));
        assert!((2..=21).contains(&failure.log.len()), "{}", failure.log.len());
        let bytes: usize = failure.log.iter().map(String::len).sum();
        assert!(bytes < 32 << 10, "{bytes}");
        for line in &failure.log {
            let raw = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!line.contains(raw), "{line:?}");
        }
    }
}

#[test]
fn a_log_without_room_still_counts() {
    let limits = Limits { log: 0, ..limits() };
    let host = Host::new(1, limits);
    let asked = faulty(&host, limits).obey(&host, "panic", AMPLE);
    let written = asked.usage().log;
    assert!(written > 0);
    assert_eq!(asked.failure().log, [format!("… the last of {written} bytes:")]);
}

#[test]
fn usage_is_plausible_and_the_same_each_time() {
    let host = Host::new(2, limits());
    let app = faulty(&host, limits());
    let usage = |command: &str| app.obey(&host, command, AMPLE).usage();
    let ok = usage("ok");
    let burn = usage("burn:1");
    let more = usage("burn:10");
    assert!((1_000..1_000_000).contains(&ok.fuel), "{ok:?}");
    assert!(burn.fuel > 1_000_000 && more.fuel > 9 * burn.fuel && more.fuel < 11 * burn.fuel, "{burn:?} {more:?}");
    let partial = r#"{"count":1,"keys":["a"]}"#.len() as u64;
    assert_eq!(ok, Usage { fuel: ok.fuel, memory: 16 << 20, output: partial, log: 0 });
    let large = usage("allocate-mib:20");
    assert!((20 << 20..40 << 20).contains(&large.memory), "{large:?}");
    assert_eq!(usage("output-bytes:1000").output, 1000);
    assert!(usage("flood-stderr").log > 100 << 20);
    for command in ["ok", "panic", "burn:1", "flood-stderr", "unavailable", "recurse"] {
        assert_eq!(usage(command), usage(command), "{command}");
    }
}

#[test]
fn a_partition_beyond_the_limit_is_not_handed_over() {
    let limits = Limits { partition: 1000, ..limits() };
    let host = Host::new(1, limits);
    let app = host.leaf(&wat::leaf("", wat::OK), limits);
    let slug = |size: usize| app.call(&host, "", Partition::new("a", Bytes::from(vec![1; size]))).slug();
    assert_eq!((slug(1000), slug(1001)), ("ok", "invalid-partition"));
    let asked = app.call(&host, "", Partition::new("a", Bytes::from(vec![1; 1001])));
    insta::assert_snapshot!(
        asked.failure().message,
        @"has 1001 bytes, too many for a leaf that does not import `source`: limits.leaf.partition is 1,000 bytes; raise it with `[limits.leaf] partition = …`"
    );
}

#[test]
fn what_remains_of_the_time_is_told() {
    let host = Host::new(1, limits());
    let app = faulty(&host, limits());
    let left = app.obey(&host, "remaining", Duration::from_secs(5)).json()["reports"]["a"]["remaining-ms"].as_u64();
    assert!((1..=5000).contains(&left.unwrap()), "{left:?}");
}
