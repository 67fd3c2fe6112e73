//! Shares of the budget, and when they are granted.

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
    assert!(budget.taken.lock().callers.is_empty(), "nothing is left of a caller who has nothing");
}

#[test]
fn large_bodies_leave_room_for_small_ones() {
    let budget = Budget::new(16 * MIB);
    let held: Vec<_> = (0..20).map_while(|_| is_taken(&budget, MIB, None)).collect();
    assert_eq!(held.len(), 10);
    let answers: Vec<_> = (0..4).map(|_| budget.charge(MIB)).collect();
    let small: Vec<_> = (0..1000).map_while(|_| is_taken(&budget, SMALL, None)).collect();
    assert_eq!(small.len() as u64, 2 * MIB / SMALL);
    assert!(is_taken(&budget, 1, None).is_none());
    drop(answers);
}

#[test]
fn requests_leave_a_part_to_large_answers() {
    let budget = Budget::new(16 * MIB);
    let held: Vec<_> = (0..20).map_while(|_| is_taken(&budget, MIB, None)).collect();
    assert_eq!((held.len(), budget.missing(64 * MIB)), (10, 0), "one answer is always let in");
    let mut answers = vec![budget.charge(5 * MIB)];
    assert_eq!((budget.missing(MIB), budget.missing(2 * MIB)), (0, MIB));
    // Small bodies may use the rest; answers keep their reserve.
    let small: Vec<_> = (0..1000).map_while(|_| is_taken(&budget, SMALL, None)).collect();
    assert_eq!(small.len() as u64, 2 * MIB / SMALL);
    answers.clear();
    answers.push(budget.charge(MIB));
    assert_eq!((budget.missing(3 * MIB), budget.missing(4 * MIB)), (0, MIB));
    drop(held);
    assert_eq!(budget.missing(13 * MIB), 0, "and all that nobody else has");
}

#[test]
fn answers_that_are_there_do_not_shut_out_small_requests() {
    let budget = Budget::new(16 * MIB);
    let answers = [budget.charge(64 * MIB), budget.charge(64 * MIB)];
    assert_eq!(budget.over(), 112 * MIB);
    let large: Vec<_> = (0..20).map_while(|_| is_taken(&budget, MIB, None)).collect();
    assert_eq!(large.len(), 4, "a quarter is for large requests, whatever answers take");
    assert!(is_taken(&budget, SMALL, None).is_some());
    drop(large);
    drop(answers);
    assert_eq!(budget.over(), 0);
    assert!(is_taken(&budget, MIB, None).is_some());
}

#[test]
fn an_answer_that_is_to_be_made_has_its_room_or_none() {
    let budget = Budget::new(16 * MIB);
    let made = budget.reserve(64 * MIB).ok();
    assert_eq!((made.is_some(), budget.used()), (true, 64 * MIB), "one answer is always let in");
    assert_eq!(budget.reserve(MIB).err(), Some(49 * MIB));
    assert!(budget.reserve(SMALL).is_ok());
    assert_eq!(budget.used(), 64 * MIB);
    drop(made);
    assert!(budget.reserve(MIB).is_ok());
}

#[test]
fn a_token_takes_half_at_most_and_one_body_in_any_case() {
    let budget = Budget::new(16 * MIB);
    let held: Vec<_> = (0..20).map_while(|_| is_taken(&budget, MIB, Some("ann"))).collect();
    assert_eq!(held.len(), 8);
    assert!(is_taken(&budget, MIB, Some("bob")).is_some());
    drop(held);
    let large = is_taken(&budget, 10 * MIB, Some("ann"));
    assert!(large.is_some());
    assert!(is_taken(&budget, MIB, Some("ann")).is_none());
}

#[tokio::test]
async fn a_waiting_request_is_served_once_there_is_room() {
    let budget = Budget::new(16 * MIB);
    let held = budget.take(10 * MIB, None).await;
    let waiting = tokio::spawn({
        let budget = budget.clone();
        async move { drop(budget.take(10 * MIB, None).await) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap();
}
