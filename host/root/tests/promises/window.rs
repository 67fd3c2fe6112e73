//! Tests of the window between a query and its runners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use frond_root::scatter::{Scatter, Window};
use frond_root::{
    Answer, Attempt, Done, Emission, EventKind, Limit, MergeOrder, Outcome, Plan, Scope, StopReason, Tenant, Work,
};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan, plan_weighing, request};
use tokio::time::Instant;

fn scatter(plan: Plan, slots: usize, heaviest_first: bool) -> Arc<Scatter> {
    let window = Window {
        slots,
        leaf_deadline: Instant::now() + ms(60_000),
        limit: Limit::time(Scope::Query, ms(60_000)),
        leaf_time: None,
        unread: 1 << 20,
        heaviest_first,
        background: None,
        tenant: Tenant::of_app("test"),
        pieces: None,
        stores: false,
        memo: None,
    };
    Scatter::new(Arc::new(plan), Bytes::new(), window)
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// The scatter as a runner sees it.
fn work(scatter: Arc<Scatter>) -> Arc<dyn Work> {
    scatter
}

#[tokio::test(start_paused = true)]
async fn the_window_is_filled_and_never_passed() {
    for slots in [1, 2, 7, 64] {
        let stage = Stage::new(Script::by(|index, _| Turn::succeed().after(ms(1 + u64::from(index) % 5))));
        let stage = stage.on_slots(slots);
        stage.ask(request(), plan(200)).await;
        assert_eq!(stage.leaves.counts().most, slots);
    }
}

#[tokio::test(start_paused = true)]
async fn what_many_slots_tell_at_once_is_told_in_the_order_in_which_it_happened() {
    // Between two reads by the query's task four or five leaves end, each on another slot than its
    // neighbours.
    let stage = Stage::new(Script::by(|index, _| {
        Turn::succeed().after(Duration::from_micros(200 + u64::from(index * 7 % 90)))
    }));
    let stage = stage.on_slots(5);
    stage.ask(request(), plan(300)).await;
    let times = stage.record.all(|event| match event.kind {
        EventKind::AttemptStarted { .. } | EventKind::AttemptEnded { .. } => Some(event.at),
        _ => None,
    });
    assert_eq!(times.len(), 600);
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_partitions_are_answered() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let count = Merges::by(|partials| {
            let count = |partial: &Bytes| std::str::from_utf8(partial).unwrap().parse::<u64>().unwrap();
            Bytes::from(partials.iter().map(count).sum::<u64>().to_string())
        });
        let stage = Stage::with(Script::all(Turn::give("1")), count);
        let mut request = request();
        request.order = order;
        let stage = stage.on_slots(16);
        let answer = stage.ask(request, plan(100_000)).await;
        assert!(matches!(answer, Answer::Complete { .. }));
        assert_eq!(answer.body().unwrap(), "100000");
    }
}

#[tokio::test(start_paused = true)]
async fn the_heaviest_partitions_start_first_unless_the_order_matters() {
    for (order, first) in [(MergeOrder::Any, [3, 1, 0]), (MergeOrder::Partition, [0, 1, 2])] {
        let stage = Stage::new(Script::all(Turn::succeed().after(ms(5))));
        let mut request = request();
        let stage = stage.on_slots(1);
        request.order = order;
        stage.ask(request, plan_weighing(&[2, 3, 1, 9])).await;
        let begun: Vec<u32> = stage.leaves.counts().begun.iter().map(|one| one.index).collect();
        assert_eq!(begun[..3], first, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_too_little_time_left_nothing_starts() {
    let window = work(scatter(plan(1), 1, false));
    assert!(Attempt::claim(&window, 0, Instant::now() + ms(59_998)).is_none());
    assert!(Attempt::claim(&window, 0, Instant::now() + ms(59_997)).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_closed_gives_nothing_and_tells_at_once() {
    let window = scatter(plan(4), 4, false);
    let calls = Arc::new(AtomicUsize::new(0));
    let count = |calls: &Arc<AtomicUsize>| -> Hook {
        let calls = calls.clone();
        Box::new(move || {
            calls.fetch_add(1, Ordering::SeqCst);
        })
    };
    let held = Attempt::claim(&work(window.clone()), 0, Instant::now()).unwrap();
    window.on_stop(count(&calls));
    // A hook may use the scatter that is being closed, and add another hook.
    let again = Arc::downgrade(&window);
    let inner = Arc::new(count(&calls));
    window.on_stop(Box::new(move || {
        let inner = inner.clone();
        again.upgrade().unwrap().on_stop(Box::new(move || inner()));
    }));
    window.close();
    window.close();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(held.work().stop(held.id()), Some(StopReason::Cancelled));
    assert!(window.claim(0, Instant::now()).is_none());
    window.on_stop(count(&calls));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

/// Many threads act as slots that claim once when they are free and then park. If a claim were
/// refused although there is a place, all of them would park with work left.
#[test]
fn a_free_place_is_never_refused_to_the_last_who_asks() {
    for round in 0..200 {
        let slots = 1 + round % 2;
        let window = work(scatter(plan(400), slots, false));
        let done = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        std::thread::scope(|threads| {
            for slot in 0..4_u32 {
                let window = &window;
                let done = &done;
                let most = &most;
                threads.spawn(move || {
                    while let Some(attempt) = Attempt::claim(window, slot, Instant::now()) {
                        most.fetch_max(window.running(), Ordering::SeqCst);
                        let outcome = Outcome::succeeded(Bytes::new(), Duration::ZERO, frond_root::Usage::default());
                        attempt.end(outcome, Instant::now());
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 400, "round {round}");
        assert!(most.load(Ordering::SeqCst) <= slots, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_back_can_be_claimed_again_and_costs_nothing() {
    let window = scatter(plan(2), 1, false);
    let now = Instant::now();
    let first = window.claim(0, now).unwrap();
    assert!(window.claim(1, now).is_none(), "the window is full");
    let id = first.id;
    window.give_back(first);
    assert_eq!(window.running(), 0);
    let again = window.claim(1, now).unwrap();
    assert_eq!(again.id, id);
    // What another attempt emits is another's.
    window.emit(id, Emission { partial: Bytes::from_static(b"1"), done: Done::Share(0.5) });
    let attempt = Attempt::start(work(window.clone()), again, now);
    attempt.end(Outcome::succeeded(Bytes::new(), Duration::ZERO, frond_root::Usage::default()), now);
    assert!(window.is_claimable());
}
