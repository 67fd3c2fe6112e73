//! Permits that are fair between callers and apps.

use std::sync::Arc;

use frond_root::Tenant;
use futures_util::FutureExt;

use super::{MAX_PLANS, MAX_PLANS_OF_APP, Planning, Queue};

fn tenant(caller: &str, app: &str) -> Tenant {
    Tenant { caller: Arc::from(caller), app: Arc::from(app) }
}

/// A queue in which each of these callers waits so often, each time for another app.
fn queue(waiting: &[(&str, usize)]) -> Queue<()> {
    let mut queue = Queue::default();
    for (caller, times) in waiting {
        (0..*times).for_each(|app| queue.wait(tenant(caller, &format!("{caller}-{app}")), ()));
    }
    queue
}

/// Callers that get permits until nobody may have one.
fn granted(queue: &mut Queue<()>) -> String {
    std::iter::from_fn(|| queue.next()).map(|(tenant, ())| tenant.caller.to_string()).collect()
}

fn give_back(queue: &mut Queue<()>, caller: &str) {
    let held = queue.held.iter().find(|one| *one.caller == *caller).unwrap().clone();
    queue.give_back(&held);
}

#[test]
fn one_caller_of_many_apps_leaves_a_permit_to_others() {
    let mut queue = queue(&[("m", 20)]);
    assert_eq!(granted(&mut queue), "m".repeat(MAX_PLANS - 1));
    queue.wait(tenant("n", "app"), ());
    assert_eq!(granted(&mut queue), "n");
    queue.wait(tenant("o", "app"), ());
    assert_eq!(granted(&mut queue), "");
    give_back(&mut queue, "m");
    assert_eq!(granted(&mut queue), "o");
}

#[test]
fn a_free_permit_goes_to_the_caller_with_the_fewest_and_then_to_the_first() {
    let mut queue = queue(&[("m", 20), ("n", 3), ("o", 3)]);
    assert_eq!(granted(&mut queue), "mnomnom");
    give_back(&mut queue, "n");
    assert_eq!(granted(&mut queue), "n");
    give_back(&mut queue, "n");
    give_back(&mut queue, "m");
    assert_eq!(granted(&mut queue), "mo");
}

#[test]
fn one_app_leaves_permits_to_others() {
    let mut queue = Queue::default();
    ["a", "b", "c", "d", "e"].iter().for_each(|caller| queue.wait(tenant(caller, "slow"), ()));
    assert_eq!(granted(&mut queue), "abcd");
    queue.wait(tenant("f", "other"), ());
    assert_eq!(granted(&mut queue), "f");
    give_back(&mut queue, "c");
    assert_eq!(granted(&mut queue), "e");
}

#[test]
fn permits_come_back_also_from_those_who_have_gone() {
    let planning = Planning::default();
    let greedy = tenant("m", "slow");
    let mut held: Vec<_> =
        (0..MAX_PLANS_OF_APP).map(|_| planning.permit(&greedy).now_or_never().unwrap().unwrap()).collect();
    // Polled once, and gone.
    assert!(planning.permit(&greedy).now_or_never().is_none());
    held.pop();
    assert!(planning.permit(&greedy).now_or_never().is_some_and(|permit| permit.is_ok()));
    drop(held);
    assert_eq!(planning.lock().held.len(), 0);
}
