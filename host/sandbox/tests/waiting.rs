//! Leaves that wait for something outside: they leave their slot to others, within bounds on their
//! number and memory, and their deadlines and cancels reach them while every slot computes.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::sync::Arc;

use frond_root::call::{InstanceMode, Limits};
use frond_root::{Answer, CancellationToken, EventKind, Floor, Request, Tenant, Work, flow};
use frond_sandbox::{Compiler, Leaf, LeafHost, Role, Settings, WaitLimits};
use tokio::task::JoinHandle;

use common::{App, Host, ObservedRunner, PATIENCE, alone, cache, guest, in_time, ms, plan, wait_until};

/// Makes a host whose `slots` slots have room for this many waiting leaves each.
fn host(slots: usize, waiting: WaitLimits) -> Host {
    let settings = Settings {
        slots,
        // With places for leaves beyond the bound.
        waiting: waiting.leaves * slots + 8,
        limits: vec![Limits::default()],
        cache: Some(cache()),
        compiler: Compiler::in_process(),
    };
    Host::waiting(settings, waiting)
}

fn room_for(leaves: usize) -> WaitLimits {
    WaitLimits { leaves, ..WaitLimits::default() }
}

/// Makes an app of the faulty guest whose guests may use as much fuel as they like.
fn faulty(host: &Host) -> App {
    let limits = Limits { fuel: 0, ..Limits::default() };
    host.faulty(limits, limits)
}

/// Query that runs, and its work.
struct Running {
    seen: Arc<ObservedRunner>,
    cancel: CancellationToken,
    answer: JoinHandle<Answer>,
}

impl Running {
    /// Starts a query of these commands.
    fn start(host: &Host, app: &App, commands: impl IntoIterator<Item = String>) -> Self {
        let seen = ObservedRunner::of(app);
        let cancel = CancellationToken::new();
        let plan = plan(commands);
        let root = app.root(&seen);
        let run = flow::run(app.request("{}"), async { Ok(plan) }, root, cancel.clone());
        Self { seen, cancel, answer: host.runtime.spawn(async move { run.await.unwrap() }) }
    }

    /// Cancels the query and waits until none of its leaves runs.
    fn cancel(self, host: &Host) -> Answer {
        self.cancel.cancel();
        let answer = host.runtime.block_on(self.answer).unwrap();
        wait_until("no leaf runs", || self.seen.running() == 0);
        answer
    }
}

fn sleepers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("sleep-{number}"))
}

#[test]
fn many_leaves_wait_in_one_slot_beside_one_that_computes() {
    let _alone = alone();
    let host = host(1, room_for(140));
    let app = faulty(&host);
    let asleep = Running::start(&host, &app, sleepers(100));
    wait_until("all wait", || asleep.seen.running() == 100 && host.slots.waiting() == 100);
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    assert_eq!(app.obey(&host, "sleep-ms:1", PATIENCE).slug(), "ok", "without room it waits in the slot");
    let answer = asleep.cancel(&host);
    assert_eq!(answer.coverage().partitions.cancelled, 100);
    assert_eq!(host.slots.waiting(), 0);
}

#[test]
fn all_leaves_that_wait_end_once_and_their_waits_are_told() {
    let _alone = alone();
    let host = host(2, room_for(64));
    let app = faulty(&host);
    let commands = (0..300).map(|number| format!("sleep-ms:{}-{number}", number % 7 + 1));
    let request = Request { floor: Floor::All, ..app.request("{}") };
    let asked = host.runtime.block_on(app.ask(request, plan(commands)));
    assert_eq!(asked.json()["count"], 300);
    assert_eq!(asked.answer.coverage().attempts.started, 300);
    let told = asked.record.all(|event| match &event.kind {
        EventKind::AttemptEnded { waited, waits, .. } => {
            let spans: u64 = waits.iter().map(|(from, to)| to - from).sum();
            // Times are cut off to whole microseconds.
            assert!(waited.abs_diff(spans) <= waits.len() as u64, "{waited} {waits:?}");
            Some(*waited > 0)
        }
        _ => None,
    });
    assert_eq!(told.len(), 300);
    assert!(told.contains(&true));
}

#[test]
fn beyond_the_bound_leaves_that_wait_do_not_begin_and_leave_the_slots_to_others() {
    let _alone = alone();
    let host = host(1, room_for(4));
    let app = faulty(&host);
    let asleep = Running::start(&host, &app, sleepers(20));
    // One caller has three quarters of the room.
    wait_until("there is no room", || asleep.seen.running() == 3);
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    assert_eq!((asleep.seen.running(), host.slots.waiting()), (3, 3));
    // A query without waiting leaves does not take the last slot.
    assert_eq!(app.obey(&host, "sleep-ms:1", PATIENCE).slug(), "ok");
    let tenant = Tenant { caller: "another".into(), ..Tenant::of_app("test") };
    let seen = ObservedRunner::of(&app);
    let request = Request { tenant, ..app.request("{}") };
    let cancel = CancellationToken::new();
    let of_another = flow::run(request, async { Ok(plan(sleepers(20))) }, app.root(&seen), cancel.clone());
    let of_another = host.runtime.spawn(of_another);
    wait_until("another caller has the rest", || host.slots.waiting() == 4);
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    cancel.cancel();
    assert_eq!(host.runtime.block_on(of_another).unwrap().unwrap().coverage().attempts.started, 1);
    assert_eq!(asleep.cancel(&host).coverage().attempts.started, 3);
}

#[test]
fn leaves_that_find_no_room_leave_one_slot_to_those_that_compute() {
    let _alone = alone();
    let host = host(2, room_for(2));
    let app = faulty(&host);
    // The first takes all of its caller's room, and the others would fill both slots.
    let asleep: Vec<_> = (0..5).map(|_| Running::start(&host, &app, sleepers(20))).collect();
    let running = || asleep.iter().map(|query| query.seen.running()).sum::<usize>();
    wait_until("each query has begun", || asleep.iter().all(|query| query.seen.running() > 0));
    for _ in 0..10 {
        assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
        assert_eq!(app.obey(&host, "sleep-ms:1", PATIENCE).slug(), "ok");
    }
    // Three have room, one waits in a slot, and each query has one more at most.
    assert!(running() <= 3 + 1 + 5, "{}", running());
    asleep.into_iter().for_each(|query| drop(query.cancel(&host)));
    assert_eq!(host.slots.waiting(), 0);
}

#[test]
fn none_waits_without_a_bound_on_their_number() {
    let _alone = alone();
    let host = host(1, room_for(0));
    let app = faulty(&host);
    let asleep = Running::start(&host, &app, sleepers(5));
    wait_until("one sleeps", || asleep.seen.running() == 1);
    assert_eq!(host.slots.waiting(), 0);
    assert_eq!(asleep.cancel(&host).coverage().attempts.started, 1);
}

#[test]
fn the_memory_of_waiting_leaves_is_bounded() {
    let _alone = alone();
    let host = host(1, WaitLimits { leaves: 500, memory: 64 << 20 });
    let app = faulty(&host);
    let request = Request { deadline: ms(3000), ..app.request("{}") };
    let commands = (0..100).map(|number| format!("hold-mib:8-{number}"));
    let asked = host.runtime.block_on(app.ask(request, plan(commands)));
    // Its first leaf, eight more within 64 MiB, and one that then stays in its slot.
    let started = asked.answer.coverage().attempts.started;
    assert!((1..=10).contains(&started), "{started}");
    wait_until("no leaf runs", || asked.seen.running() == 0);
}

#[test]
fn deadlines_and_cancels_reach_waiting_leaves_while_the_slot_computes() {
    let _alone = alone();
    let host = host(1, room_for(80));
    let app = faulty(&host);
    let asleep = Running::start(&host, &app, sleepers(40));
    wait_until("all wait", || host.slots.waiting() == 40);
    let short = Request { deadline: ms(400), ..app.request("{}") };
    let late = {
        let app = app.clone();
        host.runtime.spawn(async move { app.ask(short, plan(["sleep-1", "sleep-2"])).await })
    };
    wait_until("these wait, too", || host.slots.waiting() == 42 || late.is_finished());
    let spinning = Running::start(&host, &app, ["spin".to_owned()]);
    wait_until("the slot computes", || spinning.seen.running() == 1);
    let late = host.runtime.block_on(late).unwrap();
    wait_until("they have ended", || late.seen.running() == 0);
    let slugs = late.record.all(|event| match &event.kind {
        EventKind::AttemptEnded { failure, .. } => failure.as_ref().map(|failure| failure.kind.slug()),
        _ => None,
    });
    assert!(slugs.iter().all(|slug| *slug == "out-of-time"), "{slugs:?}");
    assert_eq!(asleep.cancel(&host).coverage().partitions.cancelled, 40);
    assert_eq!(spinning.seen.running(), 1, "the slot computed all the time");
    spinning.cancel(&host);
}

#[test]
fn a_query_of_waiting_leaves_answers_in_time() {
    let _alone = alone();
    let host = host(1, room_for(80));
    let app = faulty(&host);
    let asked = in_time(|| {
        let request = Request { deadline: ms(500), ..app.request("{}") };
        let commands = ["ok-1", "sleep-2", "sleep-3", "ok-4"];
        host.runtime.block_on(app.ask(request, plan(commands)))
    });
    let partitions = asked.answer.coverage().partitions;
    assert_eq!((partitions.succeeded, partitions.timed_out), (2, 2));
}

#[test]
fn warm_instances_wait_as_fresh_ones_do() {
    let _alone = alone();
    let host = host(2, room_for(40));
    let limits = Limits { fuel: 0, ..Limits::default() };
    let plugin = host.plugin(&guest("faulty"), &[Role::Leaf], false);
    let leaf = Leaf { plugin, limits, deterministic: false, grants: Arc::default(), instance: InstanceMode::Query };
    let app = App { leaves: LeafHost::new(host.slots.clone(), leaf), ..faulty(&host) };
    for _ in 0..3 {
        let commands = (0..200).map(|number| format!("{}-{number}", ["sleep-ms:2", "ok", "panic"][number % 3]));
        let asked = host.runtime.block_on(app.ask(app.request("{}"), plan(commands)));
        assert_eq!(asked.json()["count"], 134);
    }
}

#[test]
fn a_pool_that_ends_drops_its_waiting_leaves() {
    let _alone = alone();
    let host = host(1, room_for(14));
    let app = faulty(&host);
    let asleep = Running::start(&host, &app, sleepers(10));
    wait_until("all wait", || host.slots.waiting() == 10);
    let Host { sandbox, slots, runtime, .. } = host;
    let seen = asleep.seen.clone();
    drop((sandbox, slots, app));
    // The query still holds its runner; its work alone is looked at from here on.
    let work: Arc<dyn Work> = seen.take().unwrap();
    drop((asleep, seen));
    drop(runtime);
    wait_until("nobody else holds the query", || Arc::strong_count(&work) == 1);
    assert_eq!(work.running(), 0);
}
