//! Bounds of the pool: calls that hang take only their bulkhead's permits.

use std::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::park::Driver;

/// Runs a future on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let later = std::time::Instant::now() + std::time::Duration::from_secs(3600);
    Driver::new(Clock::start().unwrap().watch()).run(future, later)
}

fn until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

fn folder(threads: &Threads, name: &str) -> Arc<Bulkhead> {
    threads.lane(&Resource::Folder(name.into()))
}

/// Starts a call that hangs until the sender is dropped, and gives it up.
fn hang(lane: &Arc<Bulkhead>) -> mpsc::Sender<()> {
    let (end, ended) = mpsc::channel::<()>();
    let (begun, begin) = mpsc::channel();
    let lane = lane.clone();
    let mut call = Box::pin(async move {
        lane.call(move || {
            begun.send(()).unwrap();
            ended.recv().unwrap_err();
        })
        .await
    });
    assert!(now(call.as_mut()).is_none());
    begin.recv().unwrap();
    end
}

#[test]
fn a_call_gives_its_result() {
    let threads = Threads::new(2);
    let lane = folder(&threads, "a");
    assert_eq!((0..100).map(|n| wait(lane.call(move || n)).unwrap()).sum::<i32>(), 4950);
    assert!(threads.usage().threads <= 2, "{:?}", threads.usage());
}

#[test]
fn a_call_that_panics_costs_no_thread() {
    let threads = Threads::new(1);
    let lane = folder(&threads, "a");
    let result = wait(lane.call(|| std::panic::resume_unwind(Box::new(()))));
    assert_eq!(result, Err::<(), _>(CallError::Lost));
    assert_eq!(wait(lane.call(|| 7)), Ok(7));
}

#[test]
fn stuck_calls_close_their_lane_and_no_other_until_they_return() {
    let threads = Threads::new(MAX_STUCK + 1);
    let dead = folder(&threads, "dead");
    let live = folder(&threads, "live");
    let hung: Vec<_> = (0..MAX_STUCK).map(|_| hang(&dead)).collect();
    assert_eq!(threads.usage().stuck, MAX_STUCK);
    assert_eq!(wait(dead.call(|| 1)), Err(CallError::Stuck));
    assert_eq!(wait(live.call(|| 2)), Ok(2));
    // Another user of the same folder shares its bulkhead.
    assert_eq!(wait(folder(&threads, "dead").call(|| 1)), Err(CallError::Stuck));
    drop(hung);
    until(|| threads.usage().stuck == 0);
    assert_eq!(wait(dead.call(|| 3)), Ok(3));
}

#[test]
fn a_call_that_has_not_begun_when_it_is_given_up_is_not_made() {
    let threads = Threads::new(1);
    let lane = folder(&threads, "a");
    let busy = hang(&lane);
    let (send, made) = mpsc::channel();
    let mut call = Box::pin(lane.call(move || send.send(())));
    assert!(now(call.as_mut()).is_none());
    drop(call);
    drop(busy);
    assert!(made.recv().is_err());
    until(|| threads.usage().stuck == 0);
}

#[test]
fn a_lane_has_places_for_some_calls_and_the_others_wait() {
    let threads = Threads::new(MAX_AT_ONCE + 8);
    let lane = threads.lane(&Resource::Names);
    let hung: Vec<_> = (0..MAX_AT_ONCE).map(|_| hang(&lane)).collect();
    let mut next = Box::pin(lane.call(|| 1));
    assert!(now(next.as_mut()).is_none());
    assert_eq!(threads.usage().running, MAX_AT_ONCE);
    drop(hung);
    assert_eq!(wait(next), Ok(1));
}
