//! Warm instances: shared by the calls of one query on one slot, by nothing else, and dropped after
//! every stop. All but memory and tables is that of one call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use frond_root::call::{InstanceMode, Limits};
use frond_root::policy::retry::Retry;
use frond_root::{EventKind, Partition, Plan, Request};
use frond_sandbox::{GuestGrants, Leaf, LeafHost, Plugin, Role, Trial, Trials};

use common::{App, Host, PATIENCE, QueryResult, alone, guest, ms, wat};

/// Leaf that returns the number of its instance's calls, as a letter from `a`. It obeys the first
/// letter of its content: `t` traps, `f` fails, `m` grows its memory by 4 MiB.
fn counter() -> Vec<u8> {
    let core = r#"
        (import "libc" "memory" (memory 1))
        (global $calls (mut i32) (i32.const 96))
        (data (i32.const 20) "\00\04\00\00\01\00\00\00")
        (data (i32.const 32) "\01\00\00\00\01\00\00\00\00\05\00\00\04\00\00\00")
        (data (i32.const 1280) "fail")"#;
    let body = r#"
        (local $command i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store8 (i32.const 1024) (global.get $calls))
        (if (local.get 6) (then (local.set $command (i32.load8_u (local.get 5)))))
        (if (i32.eq (local.get $command) (i32.const 116)) (then unreachable))
        (if (i32.eq (local.get $command) (i32.const 109)) (then (drop (memory.grow (i32.const 64)))))
        (select (i32.const 32) (i32.const 16) (i32.eq (local.get $command) (i32.const 102)))"#;
    wat::leaf(core, body)
}

/// Makes an app whose leaves are warm.
fn warm(host: &Host, wasm: &[u8], limits: Limits) -> App {
    let plugin = host.plugin(wasm, &[Role::Leaf], limits.fuel > 0);
    let app = host.leaf(wasm, limits);
    App { leaves: LeafHost::new(host.slots.clone(), leaf_of(&plugin, limits)), ..app }
}

fn leaf_of(plugin: &Arc<Plugin>, limits: Limits) -> Leaf {
    Leaf {
        plugin: plugin.clone(),
        limits,
        deterministic: true,
        grants: Arc::new(GuestGrants::default()),
        instance: InstanceMode::Query,
    }
}

/// Makes a plan with these contents.
fn contents(contents: &[&'static str]) -> Plan {
    let one = |(at, content): (usize, &&'static str)| Partition::new(format!("p{at}").as_str(), Bytes::from(*content));
    Plan::new(contents.iter().enumerate().map(one).collect()).unwrap()
}

fn ask(host: &Host, app: &App, plan: Plan) -> QueryResult {
    let request = Request { retry: Retry { attempts: 1, ..Retry::QUERY }, ..app.request("{}") };
    host.runtime.block_on(app.ask(request, plan))
}

/// Returns the partials of an answer, in any order.
fn letters(asked: &QueryResult) -> String {
    let mut letters: Vec<u8> = asked.body().iter().copied().filter(|byte| *byte != b'\n').collect();
    letters.sort_unstable();
    String::from_utf8(letters).unwrap()
}

/// Returns the number of earlier calls of each attempt's instance, in order of their ends.
fn earlier(asked: &QueryResult) -> Vec<u32> {
    asked.record.all(|event| match &event.kind {
        EventKind::AttemptEnded { earlier, .. } => Some(*earlier),
        _ => None,
    })
}

#[test]
fn the_partitions_of_a_query_share_an_instance_and_two_queries_do_not() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let app = warm(&host, &counter(), Limits::default());
    for _ in 0..3 {
        let asked = ask(&host, &app, contents(&["", "", "", "", ""]));
        assert_eq!(letters(&asked), "abcde");
        assert_eq!(earlier(&asked), [0, 1, 2, 3, 4]);
        assert_eq!(asked.answer.coverage().attempts.warm, 4);
    }
    let fresh = host.leaf(&counter(), Limits::default());
    assert_eq!(letters(&ask(&host, &fresh, contents(&["", "", ""]))), "aaa");
}

#[test]
fn a_stop_drops_the_instance_and_a_failure_that_the_guest_returns_does_not() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let app = warm(&host, &counter(), Limits::default());
    let asked = ask(&host, &app, contents(&["", "f", "", "t", "", ""]));
    assert_eq!(letters(&asked), "aabc", "the fourth call traps");
    assert_eq!(earlier(&asked), [0, 1, 2, 3, 0, 1]);
    let failures = asked.record.all(|event| match &event.kind {
        EventKind::AttemptEnded { failure, .. } => failure.clone().map(|failure| (failure.kind.slug(), failure.before)),
        _ => None,
    });
    assert_eq!(failures, [("invalid-partition", vec![0]), ("trap", vec![0, 1, 2])]);
}

#[test]
fn an_instance_that_holds_more_than_half_of_its_memory_serves_no_other_call() {
    let _alone = alone();
    let limits = Limits { memory: 10 << 20, ..Limits::default() };
    let host = Host::new(1, limits);
    let app = warm(&host, &counter(), limits);
    // 256 KiB at first, and 4 MiB more at each growth: 8.25 MiB after the second.
    let asked = ask(&host, &app, contents(&["", "m", "", "m", "", "m"]));
    assert_eq!(earlier(&asked), [0, 1, 2, 3, 0, 1]);
}

#[test]
fn an_instance_serves_a_bounded_number_of_calls() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let app = warm(&host, &counter(), Limits::default());
    let asked = ask(&host, &app, contents(&[""; 4100]));
    let fresh = earlier(&asked).iter().filter(|earlier| **earlier == 0).count();
    assert_eq!((fresh, earlier(&asked).into_iter().max()), (2, Some(4095)));
}

#[test]
fn each_slot_has_its_instance_and_many_queries_at_once_never_run_out_of_places() {
    let _alone = alone();
    let host = Host::new(2, Limits::default());
    let app = warm(&host, &counter(), Limits::default());
    let asked = (0..24).map(|_| {
        let app = app.clone();
        host.runtime.spawn(async move { app.ask(app.request("{}"), contents(&[""; 40])).await })
    });
    for asked in asked.collect::<Vec<_>>() {
        let asked = host.runtime.block_on(asked).unwrap();
        assert_eq!(asked.answer.outcome(), "complete");
        assert_eq!(asked.answer.coverage().partitions.succeeded, 40);
    }
    let both = ask(&host, &app, contents(&[""; 400]));
    let fresh = earlier(&both).iter().filter(|earlier| **earlier == 0).count();
    assert!((1..=2).contains(&fresh), "one for each slot that took part: {fresh}");
}

/// Calls the faulty leaf with these commands one after another.
fn sequence(host: &Host, instance: InstanceMode, limits: Limits, commands: &[&str]) -> Vec<Trial> {
    let plugin = host.plugin(&guest("faulty"), &[Role::Leaf], true);
    let leaf = Leaf { instance, ..leaf_of(&plugin, limits) };
    let one = |(at, command): (u32, &&str)| (at, Partition::new(*command, Bytes::new()));
    let partitions: Vec<_> = (0..).zip(commands).map(one).collect();
    let _host_calls_wait_on = host.runtime.enter();
    Trials::new(host.sandbox.clock()).leaf_sequence(&leaf, &Bytes::from("{}"), &partitions, PATIENCE).unwrap()
}

#[test]
fn fuel_host_calls_log_clocks_and_randomness_are_those_of_one_call() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let commands = ["say:first", "env", "clock", "ok", "panic", "say:last", "clock", "env"];
    let limits = Limits { fuel: 20_000_000, host_calls: 60, ..Limits::default() };
    let warm = sequence(&host, InstanceMode::Query, limits, &commands);
    let fresh = sequence(&host, InstanceMode::Fresh, limits, &commands);
    let of = |trials: &[Trial]| {
        trials.iter().map(|trial| trial.result.clone().map_err(|failure| failure.kind)).collect::<Vec<_>>()
    };
    assert_eq!(of(&warm), of(&fresh));
    let logs = |trials: &[Trial]| trials.iter().map(|trial| trial.log.clone()).collect::<Vec<_>>();
    assert_eq!(logs(&warm), logs(&fresh));
    let earlier: Vec<u32> = warm.iter().map(|trial| trial.earlier).collect();
    assert_eq!(earlier, [0, 1, 2, 3, 4, 0, 1, 2]);
    assert!(fresh.iter().all(|trial| trial.earlier == 0));
    let used = |trial: &Trial| trial.usage.fuel;
    assert!(warm.iter().all(|trial| used(trial) > 0 && used(trial) < limits.fuel));
    assert!(used(&warm[3]) <= used(&fresh[3]), "the first call also runs the guest's start");
}

#[test]
fn a_warm_call_has_the_fuel_and_the_time_of_a_fresh_one() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let used = sequence(&host, InstanceMode::Query, Limits::default(), &["burn:2"])[0].usage.fuel;
    // Each takes two thirds of the limit.
    let limits = Limits { fuel: used + used / 2, ..Limits::default() };
    let burning = sequence(&host, InstanceMode::Query, limits, &["burn:2", "burn:2", "burn:2"]);
    let slugs: Vec<bool> = burning.iter().map(|trial| trial.result.is_ok()).collect();
    let earlier: Vec<u32> = burning.iter().map(|trial| trial.earlier).collect();
    assert_eq!((slugs, earlier), (vec![true; 3], vec![0, 1, 2]), "{burning:?}");
    let app = warm(&host, &guest("faulty"), Limits { fuel: 0, ..Limits::default() });
    let request = Request { leaf_time: Some(ms(50)), ..app.request("{}") };
    let keys = ["ok-1", "spin-2", "sleep-3", "ok-4"];
    let asked = host.runtime.block_on(app.ask(request, common::plan(keys)));
    assert_eq!(asked.answer.coverage().partitions.succeeded, 2);
    let first = |id: u32| {
        move |event: &frond_root::Event| match &event.kind {
            EventKind::AttemptEnded { partition, earlier, failure, .. } if *partition == id => {
                Some((*earlier, failure.as_ref().map_or("ok", |failure| failure.kind.slug())))
            }
            _ => None,
        }
    };
    let ends: Vec<_> = (0..4).map(|id| asked.record.all(first(id))[0]).collect();
    assert_eq!(ends, [(0, "ok"), (1, "out-of-time"), (0, "out-of-time"), (0, "ok")]);
}
