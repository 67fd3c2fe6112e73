//! The budget: who gets how much of it, and when.

use super::*;

const MIB: u64 = 1 << 20;

fn is_taken(budget: &Arc<Budget>, bytes: u64, caller: Option<&str>) -> Option<Charge> {
    budget.try_take(bytes, caller)
}

#[test]
fn what_is_taken_is_given_back() {
    let budget = Budget::new(16 * MIB);
    let mut one = is_taken(&budget, 4 * MIB, Some("ann")).unwrap();
    let other = is_taken(&budget, 10, Some("ann")).unwrap();
    assert_eq!(budget.used(), 4 * MIB + 10);
    one.shrink(5);
    assert_eq!(budget.used(), 15);
    drop((one, other));
    assert_eq!(budget.used(), 0);
    assert!(budget.lock().callers.is_empty(), "nothing is left of a caller who has nothing");
}

#[test]
fn large_bodies_leave_room_for_small_ones() {
    let budget = Budget::new(16 * MIB);
    let held: Vec<_> = (0..20).map_while(|_| is_taken(&budget, MIB, None)).collect();
    assert_eq!(held.len(), 14);
    let small: Vec<_> = (0..1000).map_while(|_| is_taken(&budget, SMALL, None)).collect();
    assert_eq!(small.len() as u64, 2 * MIB / SMALL);
    assert!(is_taken(&budget, 1, None).is_none());
}

#[test]
fn answers_that_are_there_do_not_shut_out_small_requests() {
    let budget = Budget::new(16 * MIB);
    let answers = [budget.charge(64 * MIB), budget.charge(64 * MIB)];
    assert_eq!(budget.over(), 112 * MIB);
    assert!(is_taken(&budget, MIB, None).is_none());
    assert!(is_taken(&budget, SMALL, None).is_some());
    drop(answers);
    assert_eq!(budget.over(), 0);
    assert!(is_taken(&budget, MIB, None).is_some());
}

#[test]
fn a_token_takes_half_at_most_and_one_body_in_any_case() {
    let budget = Budget::new(16 * MIB);
    let held: Vec<_> = (0..20).map_while(|_| is_taken(&budget, MIB, Some("ann"))).collect();
    assert_eq!(held.len(), 8);
    assert!(is_taken(&budget, MIB, Some("bob")).is_some());
    drop(held);
    let large = is_taken(&budget, 12 * MIB, Some("ann"));
    assert!(large.is_some());
    assert!(is_taken(&budget, MIB, Some("ann")).is_none());
}

#[tokio::test]
async fn who_waits_is_served_once_there_is_room() {
    let budget = Budget::new(16 * MIB);
    let held = budget.take(14 * MIB, None).await;
    let waiting = tokio::spawn({
        let budget = budget.clone();
        async move { drop(budget.take(14 * MIB, None).await) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap();
}
