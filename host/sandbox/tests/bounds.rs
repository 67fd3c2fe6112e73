//! Ten thousand misbehaving leaves in one query: each ends with its slug, the coverage adds up, and
//! memory stays bounded.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{EventKind, Partition, Plan, Request};

use common::{Host, PATIENCE, alone, ms, status_kb};

const PARTITIONS: usize = 10_000;

/// Small limits, so that each kind of excess ends soon.
const LIMITS: Limits = Limits {
    fuel: 2_000_000,
    memory: 20 << 20,
    table_elements: 20_000,
    output: 64 << 10,
    log: 4 << 10,
    partition: 1 << 20,
    host_calls: 10_000,
};

/// Commands that end at once, with the slugs of their ends.
const QUICK: [(&str, &str); 23] = [
    ("ok", "ok"),
    ("burn:0", "ok"),
    ("env", "ok"),
    ("clock", "ok"),
    ("remaining", "ok"),
    ("read-source", "ok"),
    ("trap", "trap"),
    ("panic", "trap"),
    ("abort", "trap"),
    ("exit", "trap"),
    ("recurse", "trap"),
    ("emit-bad-done", "trap"),
    ("emit-then-trap", "trap"),
    ("spin", "out-of-fuel"),
    ("burn:1000000", "out-of-fuel"),
    ("emit-then-spin", "out-of-fuel"),
    ("poll-forever", "host-call-denied"),
    ("grow-memory-quietly", "out-of-memory"),
    ("allocate-mib:50", "out-of-memory"),
    ("huge-output", "out-of-fuel"),
    ("output-bytes:70000", "output-too-large"),
    ("invalid-partition", "invalid-partition"),
    ("unavailable", "unavailable"),
];

/// Of this many partitions, one sleeps until its time is up.
const SLEEPER: usize = 100;

fn command(number: usize) -> (&'static str, &'static str) {
    match number % SLEEPER {
        0 => ("sleep", "out-of-time"),
        _ => QUICK[number % QUICK.len()],
    }
}

#[test]
fn ten_thousand_misbehaving_leaves_end_with_a_closed_sum() {
    let _alone = alone();
    let host = Host::new(8, LIMITS);
    let app = host.faulty(LIMITS, Limits::default());
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    let before = status_kb("VmRSS");

    let key = |number: usize| format!("{}-{number}", command(number).0);
    let plan = Plan::new((0..PARTITIONS).map(|number| Partition::new(key(number).as_str(), Bytes::new())).collect());
    // Long enough that even a busy machine times out only the sleepers.
    let request = Request { deadline: PATIENCE * 2, leaf_time: Some(ms(500)), ..app.request("{}") };
    let asked = host.runtime.block_on(app.ask(request, plan.unwrap()));

    let mut expected = BTreeMap::new();
    for number in 0..PARTITIONS {
        *expected.entry(command(number).1).or_insert(0) += 1;
    }
    let good = expected.remove("ok").unwrap();
    let coverage = asked.answer.coverage();
    assert!(coverage.partitions.is_closed() && coverage.weight.is_closed(), "{coverage:?}");
    assert_eq!((coverage.partitions.planned, coverage.partitions.succeeded), (PARTITIONS as u64, good));
    let missing = asked.record.all(|event| match &event.kind {
        EventKind::PartitionMissing { partition, slug, .. } => Some((*partition as usize, slug.unwrap().slug())),
        _ => None,
    });
    for (number, slug) in &missing {
        assert_eq!(*slug, command(*number).1, "{}", key(*number));
    }
    let mut failures: BTreeMap<_, _> = coverage.failures.iter().map(|(kind, count)| (kind.slug(), *count)).collect();
    failures.entry("unavailable").and_modify(|count| *count -= coverage.attempts.retries);
    assert_eq!((failures, missing.len() as u64), (expected, PARTITIONS as u64 - good));
    for missing in &coverage.missing {
        assert_eq!(missing.slug.unwrap().slug(), command(missing.index as usize).1);
    }

    let after = status_kb("VmRSS");
    let most = status_kb("VmHWM");
    assert!(most < before + (300 << 10), "from {before} kB to {most} kB at most, {after} kB now");
}

#[test]
fn floods_and_hoards_take_no_more_than_their_limits() {
    let _alone = alone();
    let limits = Limits::default();
    let host = Host::new(2, limits);
    let app = host.faulty(limits, limits);
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    let before = status_kb("VmRSS");
    let commands = ["flood-stdout", "flood-stderr", "huge-output", "huge-emit", "emit-flood", "grow-memory"];
    for command in commands.into_iter().cycle().take(30) {
        app.obey(&host, command, PATIENCE);
    }
    let most = status_kb("VmHWM");
    // The peak may be the other test's, within the same bound.
    assert!(most < before + (300 << 10), "from {before} kB to {most} kB");
}
