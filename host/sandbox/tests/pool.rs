//! Places in the instance pool: never too few for what runs, and nothing fails where there is no pool at all.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::process::Command;

use frond_root::{EventKind, FailureKind, Floor, Request};
use frond_sandbox::{Limits, Settings, Slots};

use common::{Host, PATIENCE, cache, ms, plan};

#[test]
fn merges_of_many_queries_wait_for_places_and_none_fails() {
    let host = Host::new(2, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    let ask = |query: usize| {
        let app = app.clone();
        host.runtime.spawn(async move {
            let request = Request { deadline: PATIENCE, floor: Floor::All, slots: 4, ..app.request("{}") };
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
        let (app, query) = (app.clone(), format!(r#"{{"finish-fault": "{fault}"}}"#));
        host.runtime.spawn(async move {
            let request = Request { deadline, ..app.request(&query) };
            app.ask(request, plan(["ok-1"])).await
        })
    };
    // All places are taken by finishes that sleep.
    let sleepers: Vec<_> = (0..8).map(|_| ask("sleep", ms(800))).collect();
    let late = host.runtime.block_on(ask("ok", ms(400))).unwrap();
    let sleepers: Vec<_> = sleepers.into_iter().map(|asked| host.runtime.block_on(asked).unwrap()).collect();
    assert!(sleepers.iter().all(|asked| asked.answer.outcome() == "failed"));
    // It may have come before the last sleeper, else it waited until its time was up.
    assert!(["failed", "complete"].contains(&late.answer.outcome()), "{:?}", late.answer);
    let after = host.runtime.block_on(ask("ok", PATIENCE)).unwrap();
    assert_eq!(after.answer.outcome(), "complete");
}

#[test]
fn more_leaves_than_places_are_overloaded_and_tried_again() {
    let host = Host::new(1, Limits::default());
    let mut app = host.faulty(Limits::default(), Limits::default());
    let many = Slots::start(24, host.sandbox.clock(), host.runtime.handle()).unwrap();
    let plugin = host.plugin(&common::guest("faulty"), &[frond_sandbox::Role::Leaf], true);
    app.leaves = frond_sandbox::LeafHost::new(
        many,
        frond_sandbox::Leaf {
            plugin,
            limits: Limits::default(),
            deterministic: false,
            grants: std::sync::Arc::default(),
        },
    );
    let request = Request { slots: 24, ..app.request("{}") };
    let asked = host.runtime.block_on(app.ask(request, plan((0..24).map(|number| format!("sleep-ms:300-{number}")))));
    let failures = asked.record.all(|event| match &event.kind {
        EventKind::AttemptEnded { failure, .. } => failure.as_ref().map(|failure| failure.kind),
        _ => None,
    });
    assert!(!failures.is_empty());
    assert!(failures.iter().all(|kind| *kind == FailureKind::Overloaded), "{failures:?}");
    assert!(asked.answer.coverage().partitions.succeeded >= 9);
}

#[test]
fn a_component_that_no_pool_has_room_for_is_refused_at_once() {
    let small = Limits { memory: 1 << 20, ..Limits::default() };
    let host = Host::with(Settings { slots: 1, limits: vec![small], cache: None });
    let load = |roles| frond_sandbox::Plugin::load(&host.sandbox, &common::guest("faulty"), roles, true);
    let error = load(&[frond_sandbox::Role::Leaf]).unwrap_err().to_string();
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
    let host = Host::with(Settings { slots: 2, limits: vec![limits], cache: Some(cache()) });
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
