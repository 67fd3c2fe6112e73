//! Permits of the instance pool: there are never too few for the running calls, and nothing fails
//! without a pool.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::process::Command;
use std::sync::Arc;

use frond_root::call::{InstanceMode, Limits};
use frond_root::{CancellationToken, EventKind, FailureKind, Floor, Request, flow};
use frond_sandbox::{Compiler, Leaf, LeafHost, Metering, Plugin, Role, Settings, Slots};

use common::{App, Host, ObservedRunner, PATIENCE, QueryResult, cache, ms, plan, wait_until};

#[test]
fn merges_of_many_queries_wait_for_places_and_none_fails() {
    let host = Host::new(2, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    let ask = |query: usize| {
        let app = app.clone();
        host.runtime.spawn(async move {
            let request = Request { deadline: PATIENCE, floor: Floor::All, ..app.request("{}") };
            let asked = app.ask(request, plan((0..64).map(|number| format!("ok-{query}-{number}")))).await;
            (asked.answer.outcome(), asked.json()["count"].as_u64())
        })
    };
    let asked: Vec<_> = (0..40).map(ask).collect();
    for asked in asked {
        assert_eq!(host.runtime.block_on(asked).unwrap(), ("complete", Some(64)));
    }
}

#[test]
fn a_merge_that_gets_no_place_in_time_says_so() {
    let limits = Limits { host_calls: u64::MAX, ..Limits::default() };
    let host = Host::new(2, limits);
    let app = host.faulty(limits, limits);
    let ask = |fault: &str, deadline| {
        let app = app.clone();
        let query = format!(r#"{{"finish-fault": "{fault}"}}"#);
        host.runtime.spawn(async move {
            let request = Request { deadline, ..app.request(&query) };
            app.ask(request, plan(["ok-1"])).await
        })
    };
    // Finishes that sleep take all permits.
    let sleepers: Vec<_> = (0..8).map(|_| ask("sleep", ms(800))).collect();
    let late = host.runtime.block_on(ask("ok", ms(400))).unwrap();
    let sleepers: Vec<_> = sleepers.into_iter().map(|asked| host.runtime.block_on(asked).unwrap()).collect();
    assert!(sleepers.iter().all(|asked| asked.answer.outcome() == "failed"));
    // It may have come before the last sleeper; otherwise it waited until its time was up.
    assert!(["failed", "complete"].contains(&late.answer.outcome()), "{:?}", late.answer);
    let after = host.runtime.block_on(ask("ok", PATIENCE)).unwrap();
    assert_eq!(after.answer.outcome(), "complete");
}

/// Places for leaves of one memory in the pool of a host with one slot: four memories for the
/// instance that runs, and four for warm ones.
const PLACES: usize = 8;

/// Makes an app of the faulty guest as leaf on `count` further slot threads, beside those of
/// `host`.
fn on_other_threads(host: &Host, plugin: &Arc<Plugin>, count: usize) -> App {
    let limits = Limits::default();
    let slots = Slots::start(count, host.sandbox.clock(), host.runtime.handle()).unwrap();
    let leaf = Leaf {
        plugin: plugin.clone(),
        limits,
        deterministic: false,
        grants: Arc::default(),
        instance: InstanceMode::Fresh,
    };
    App { leaves: LeafHost::new(slots, leaf), ..host.faulty(limits, limits) }
}

fn failures(asked: &QueryResult) -> Vec<(FailureKind, String)> {
    asked.record.all(|event| match &event.kind {
        EventKind::AttemptEnded { failure, .. } => {
            failure.as_ref().map(|failure| (failure.kind, failure.message.clone()))
        }
        _ => None,
    })
}

#[test]
fn more_leaves_than_places_wait_for_one_and_none_fails() {
    let host = Host::new(1, Limits::default());
    let plugin = host.plugin(&common::guest("faulty"), &[Role::Leaf], true);
    let app = on_other_threads(&host, &plugin, 24);
    let request = Request { deadline: PATIENCE, ..app.request("{}") };
    let many = plan((0..48).map(|number| format!("sleep-ms:5-{number}")));
    let asked = host.runtime.block_on(app.ask(request, many));
    assert_eq!(failures(&asked), []);
    assert_eq!(asked.answer.coverage().partitions.succeeded, 48);
}

#[test]
fn a_leaf_that_gets_no_place_in_its_time_is_overloaded() {
    let host = Host::new(1, Limits::default());
    let plugin = host.plugin(&common::guest("faulty"), &[Role::Leaf], true);
    let app = on_other_threads(&host, &plugin, PLACES + 1);
    let seen = ObservedRunner::of(&app);
    let cancel = CancellationToken::new();
    let request = Request { deadline: PATIENCE, ..app.request("{}") };
    let sleepers = async { Ok(plan((0..PLACES).map(|number| format!("sleep-{number}")))) };
    let asleep = host.runtime.spawn(flow::run(request, sleepers, app.root(&seen), cancel.clone()));
    wait_until("the sleepers have begun", || seen.running() == PLACES);
    // The sleepers have all permits, or get them when the first of these returns one.
    let late = || {
        let request = Request { leaf_time: Some(ms(100)), ..app.request("{}") };
        failures(&host.runtime.block_on(app.ask(request, plan(["sleep-2"]))))
    };
    let found: Vec<_> = (0..10).flat_map(|_| late()).collect();
    let overloaded = (
        FailureKind::Overloaded,
        "still waiting for a free place in the instance pool when its time was up".to_owned(),
    );
    assert!(found.contains(&overloaded), "{found:?}");
    cancel.cancel();
    let cancelled = host.runtime.block_on(asleep).unwrap().unwrap().coverage().partitions.cancelled;
    assert_eq!(cancelled, PLACES as u64);
}

#[test]
fn leaves_that_wait_for_a_place_end_with_their_query() {
    let host = Host::new(1, Limits::default());
    let plugin = host.plugin(&common::guest("faulty"), &[Role::Leaf], true);
    let app = on_other_threads(&host, &plugin, PLACES + 2);
    let seen = ObservedRunner::of(&app);
    let cancel = CancellationToken::new();
    let request = Request { deadline: PATIENCE, ..app.request("{}") };
    let many = async { Ok(plan((0..PLACES + 2).map(|number| format!("sleep-{number}")))) };
    let asked = host.runtime.spawn(flow::run(request, many, app.root(&seen), cancel.clone()));
    wait_until("all but two sleep, and two wait", || seen.running() == PLACES + 2);
    cancel.cancel();
    assert_eq!(host.runtime.block_on(asked).unwrap().unwrap().coverage().partitions.cancelled, PLACES as u64 + 2);
    wait_until("no leaf runs", || seen.running() == 0);
}

#[test]
fn pools_of_threads_that_share_a_sandbox_do_not_meet_in_a_slot_s_own_engine() {
    let host = Host::new(2, Limits::default());
    let plugin = host.plugin(&common::guest("faulty"), &[Role::Leaf], true);
    let apps: Vec<App> = (0..3).map(|_| on_other_threads(&host, &plugin, 2)).collect();
    let many = || plan((0..2000).map(|number| format!("ok-{number}")));
    let ask = |app: &App| {
        let app = app.clone();
        let request = Request { deadline: PATIENCE, floor: Floor::All, ..app.request("{}") };
        host.runtime.spawn(async move { app.ask(request, many()).await })
    };
    // Copies for the slots are made after some hundred short calls; then threads with the same slot
    // number meet.
    for _ in 0..3 {
        let asked: Vec<_> = apps.iter().map(ask).collect();
        for asked in asked {
            let asked = host.runtime.block_on(asked).unwrap();
            assert_eq!((failures(&asked), asked.json()["count"].as_u64()), (vec![], Some(2000)));
        }
    }
}

#[test]
fn a_component_that_no_pool_has_room_for_is_refused_at_once() {
    let small = Limits { memory: 1 << 20, ..Limits::default() };
    let host = Host::with(Settings {
        slots: 1,
        waiting: 0,
        limits: vec![small],
        cache: None,
        compiler: Compiler::in_process(),
    });
    let load = |roles| Plugin::load(&host.sandbox, &common::guest("faulty"), roles, Metering::Fuel);
    let error = load(&[Role::Leaf]).unwrap_err().to_string();
    insta::assert_snapshot!(error);
}

#[test]
fn without_address_space_for_a_pool_leaves_still_run() {
    let test = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -v 3000000; exec "$0" --ignored --exact runs_without_a_pool --nocapture"#])
        .arg(test)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "only in a process with little address space"]
fn runs_without_a_pool() {
    let limits = Limits::default();
    let host = Host::with(Settings {
        slots: 2,
        waiting: 0,
        limits: vec![limits],
        cache: Some(cache()),
        compiler: Compiler::in_process(),
    });
    let app = host.faulty(limits, limits);
    let warnings = host.sandbox.take_warnings();
    assert!(warnings.iter().all(|one| one.starts_with("without an instance pool")), "{warnings:?}");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for (command, slug) in [
        ("ok", "ok"),
        ("allocate-mib:30", "ok"),
        ("grow-memory", "out-of-memory"),
        ("spin", "out-of-fuel"),
        ("panic", "trap"),
        ("recurse-wide", "trap"),
    ] {
        assert_eq!(app.obey(&host, command, PATIENCE).slug(), slug, "{command}");
    }
    let request = Request { floor: Floor::All, ..app.request("{}") };
    let asked = host.runtime.block_on(app.ask(request, plan((0..200).map(|number| format!("ok-{number}")))));
    assert_eq!(asked.json()["count"], 200);
}
