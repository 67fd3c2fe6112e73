//! Lifetime of slot threads and queries, inline leaves, copies for slots, and background work.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use frond_root::call::{InstanceMode, Limits};
use frond_root::{
    CancellationToken, Content, Event, EventKind, Events, Failure, Floor, Listener, Partition, Plan, Request, Services,
    flow,
};
use frond_sandbox::{Leaf, LeafHost, Role};

use common::{App, ENDLESS, Host, ObservedRunner, PATIENCE, alone, guest, ms, plan, wait_until};

/// Counts the process's threads by the prefix of their names.
fn threads(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end at any time.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn threads_end_with_their_last_user() {
    let _alone = alone();
    wait_until("no threads are left", || threads("frond-") == 0);
    let host = Host::new(3, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    wait_until("all threads have begun", || (threads("frond-leaf"), threads("frond-clock")) == (3, 1));
    let Host { sandbox, slots, runtime, .. } = host;
    drop((sandbox, slots));
    // The app still uses the slots.
    assert_eq!((threads("frond-leaf"), threads("frond-clock")), (3, 1));
    drop(app);
    wait_until("no threads are left", || threads("frond-") == 0);
    drop(runtime);
}

#[test]
fn a_query_is_let_go_of_when_it_is_over() {
    let _alone = alone();
    let host = Host::new(2, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    let asked = host.runtime.block_on(app.ask(app.request("{}"), plan(["ok-1", "panic-1"])));
    let scatter = asked.seen.take().unwrap();
    wait_until("nobody else holds the query", || Arc::strong_count(&scatter) == 1);
}

/// Content with a bug.
#[derive(Debug)]
struct Panics;

impl Content for Panics {
    fn size(&self) -> u64 {
        1
    }

    fn read(&self, _: u64, _: usize) -> Result<Bytes, Failure> {
        panic!("as the test wants")
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        panic!("as the test wants")
    }
}

#[test]
fn a_panic_of_the_hosts_own_costs_an_attempt_and_not_a_slot() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let pulling = guest("faulty");
    let handed = guest("intake_list");
    for wasm in [pulling, handed] {
        let app = host.leaf(&wasm, Limits::default());
        for _ in 0..2 {
            let partitions = vec![Partition::new("read-source-1", Panics)];
            let asked = host.runtime.block_on(app.ask(app.request("{}"), Plan::new(partitions).unwrap()));
            assert_eq!(asked.slug(), "lost");
            assert_eq!(asked.answer.coverage().attempts.started, 3);
            // After some short calls, the next query panics inline.
            (0..20).for_each(|_| assert_eq!(app.call(&host, "{}", Partition::new("ok", Bytes::new())).slug(), "ok"));
        }
    }
    let app = host.faulty(Limits::default(), Limits::default());
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
}

/// Counts how often slot threads have been scheduled.
fn switches() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let leaf = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("frond-leaf"));
    let switches = |path: PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split_whitespace().nth(2)?.parse::<u64>().ok()
    };
    tasks.filter_map(|task| Some(task.ok()?.path()).filter(|path| leaf(path))).filter_map(switches).sum()
}

#[test]
fn a_leaf_that_was_brief_runs_where_it_is_asked_for_and_is_held_to_all_it_is_held_to_elsewhere() {
    let _alone = alone();
    let host = Host::new(2, Limits::default());
    let app = host.faulty(Limits { fuel: ENDLESS, ..Limits::default() }, Limits::default());
    let obey = |command, time| app.obey(&host, command, time);
    let brief = || (0..20).for_each(|_| assert_eq!(obey("ok", PATIENCE).slug(), "ok"));
    wait_until("the leaf threads sleep on", || {
        let before = switches();
        brief();
        switches() == before
    });
    let left = obey("remaining", PATIENCE).report()["remaining-ms"].as_u64().unwrap();
    assert!(left > 1000, "a guest is told its deadline: {left} ms");
    for (command, time, slug) in [
        ("sleep-ms:20", PATIENCE, "ok"),
        ("spin", ms(100), "out-of-time"),
        ("sleep", ms(100), "out-of-time"),
        ("panic", PATIENCE, "trap"),
        ("emit-then-spin", ms(100), "out-of-time"),
        // More than an inline call may have, but within the limit; from then on no call runs
        // inline.
        ("allocate-mib:40", PATIENCE, "ok"),
        ("grow-memory", PATIENCE, "out-of-memory"),
    ] {
        brief();
        let start = Instant::now();
        let asked = obey(command, time);
        assert_eq!(asked.slug(), slug, "{command}");
        assert!(slug != "out-of-time" || start.elapsed() >= time, "{command} was given up early");
    }
    brief();
    let many = (0..8).map(|query| {
        let app = app.clone();
        let request = Request { floor: Floor::All, ..app.request("{}") };
        host.runtime.spawn(async move { app.ask(request, plan([format!("sleep-ms:5-{query}")])).await.json() })
    });
    let many: Vec<_> = many.collect();
    for asked in many {
        assert_eq!(host.runtime.block_on(asked).unwrap()["count"], 1);
    }
}

#[test]
fn a_slot_s_own_copy_of_a_component_is_held_to_the_same_limits() {
    let _alone = alone();
    let limits = Limits { fuel: ENDLESS, ..Limits::default() };
    let host = Host::new(2, limits);
    let plugin = host.plugin(&guest("faulty"), &[Role::Leaf], true);
    let leaf = Leaf {
        plugin: plugin.clone(),
        limits,
        deterministic: false,
        grants: Arc::default(),
        instance: InstanceMode::Fresh,
    };
    let app = App { leaves: LeafHost::new(host.slots.clone(), leaf), ..host.faulty(limits, limits) };
    let many = || plan((0..2000).map(|number| format!("ok-{number}")));
    for _ in 0..50 {
        let asked = host.runtime.block_on(app.ask(Request { floor: Floor::All, ..app.request("{}") }, many()));
        assert_eq!(asked.json()["count"], 2000);
        if plugin.copies() == 2 {
            break;
        }
    }
    assert_eq!(plugin.copies(), 2, "thousands of brief leaves");
    for (command, slug) in
        [("ok", "ok"), ("grow-memory", "out-of-memory"), ("panic", "trap"), ("recurse-wide", "trap"), ("ok", "ok")]
    {
        assert_eq!(app.obey(&host, command, PATIENCE).slug(), slug, "{command}");
    }
    assert_eq!(app.obey(&host, "spin", ms(50)).slug(), "out-of-time");
    let spinning = Request { deadline: ms(300), ..app.request("{}") };
    let asked = host.runtime.block_on(app.ask(spinning, plan(["spin-1", "spin-2"])));
    assert_eq!(asked.answer.outcome(), "failed");
}

/// Record of ended attempts, in order, by the weight of their query.
#[derive(Clone, Default)]
struct AttemptOrder(Arc<Mutex<Vec<u32>>>);

impl AttemptOrder {
    /// Makes a listener for one query's attempts.
    fn of(&self, weight: u32) -> Arc<dyn Listener> {
        Arc::new(AttemptListener { weight, order: self.clone() })
    }

    fn count(&self, weight: u32) -> usize {
        self.0.lock().unwrap().iter().filter(|one| **one == weight).count()
    }
}

struct AttemptListener {
    weight: u32,
    order: AttemptOrder,
}

impl Listener for AttemptListener {
    fn event(&self, event: &Event) {
        if matches!(event.kind, EventKind::AttemptEnded { .. }) {
            self.order.0.lock().unwrap().push(self.weight);
        }
    }
}

#[test]
fn background_work_shares_a_slot_by_weight_and_waits_for_queries() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    let order = AttemptOrder::default();
    let behind = |weight, partitions: u32| {
        let app = app.clone();
        let cancel = CancellationToken::new();
        let root = Services { events: Events::new(vec![order.of(weight)]), ..app.root(&ObservedRunner::of(&app)) };
        let request = Request { background: Some(weight), deadline: PATIENCE, ..app.request("{}") };
        let plan = async move { Ok(plan((0..partitions).map(|number| format!("sleep-ms:1-{number}")))) };
        (host.runtime.spawn(flow::run(request, plan, root, cancel.clone())), cancel)
    };
    // More leaves than the test waits for.
    let (light, cancel) = behind(1, 200_000);
    wait_until("the light one runs", || order.count(1) > 10);
    let (heavy, _) = behind(3, 300);
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    assert_eq!(host.runtime.block_on(heavy).unwrap().unwrap().outcome(), "complete");
    cancel.cancel();
    let order = order.0.lock().unwrap().clone();
    let first = order.iter().position(|one| *one == 3).unwrap();
    let last = order.iter().rposition(|one| *one == 3).unwrap();
    let between = order[first..last].iter().filter(|one| **one == 1).count();
    // Turns go by leaf time, which varies on a busy machine: `root/src/dispatch/shares.rs` tests the exact
    // numbers.
    assert!((1..300).contains(&between), "{between} turns beside 300");
    assert_eq!(host.runtime.block_on(light).unwrap().unwrap().outcome(), "partial");
}
