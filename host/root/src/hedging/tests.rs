//! Rivals, and the attempts that are due.

use super::*;
use crate::policy::hedge::CopySettings;

const MS: Duration = Duration::from_millis(1);
const SLOTS: usize = 100;

fn id(partition: u32, number: u32) -> AttemptId {
    AttemptId { partition, number }
}

/// A hundred attempts that began at a time, of which all but the last ten have ended after 10 ms.
fn begun(start: Instant) -> Hedging {
    let mut hedging = Hedging::new(&CopySettings::ON, 100);
    (0..100).for_each(|partition| hedging.started(id(partition, 1), start));
    for partition in 0..90 {
        assert_eq!(hedging.ended(id(partition, 1), true, start + 10 * MS), Standing::Sole);
    }
    hedging
}

fn due(hedging: &Hedging, now: Instant) -> Vec<AttemptId> {
    hedging.look(SLOTS, 10, true, now).due
}

#[test]
fn the_oldest_are_due_as_far_as_the_budget_goes() {
    let start = Instant::now();
    let mut hedging = begun(start);
    let look = hedging.look(SLOTS, 10, true, start + 15 * MS);
    assert!(look.due.is_empty() && look.next.is_some_and(|next| next > start + 19 * MS && next < start + 21 * MS));
    assert_eq!(due(&hedging, start + 30 * MS).len(), 5, "5 % of a hundred");
    assert!(hedging.copied(id(95, 2), 1, start + 30 * MS));
    let left = due(&hedging, start + 31 * MS);
    assert!(left.len() == 4 && left.iter().all(|of| of.partition != 95), "{left:?}");
    assert_eq!(hedging.look(10, 10, true, start + 31 * MS), CopyLook::default(), "ten slots have one copy");
    assert!(hedging.look(SLOTS, 10, false, start + 31 * MS).due.is_empty(), "something is left to start");
}

#[test]
fn a_third_attempt_is_the_last_one() {
    let start = Instant::now();
    let mut hedging = begun(start);
    (90..99).for_each(|partition| _ = hedging.ended(id(partition, 1), true, start + 10 * MS));
    for copy in [2, 3] {
        let now = start + 30 * MS * (copy - 1);
        assert_eq!(due(&hedging, now), [id(99, 1)]);
        assert!(hedging.copied(id(99, copy), 1, now));
        assert_eq!(due(&hedging, now + 10 * MS), [], "the latest is young");
    }
    assert_eq!(due(&hedging, start + 1000 * MS), []);
    let losers = vec![id(99, 1), id(99, 3)];
    assert_eq!(hedging.ended(id(99, 2), true, start + 100 * MS), Standing::Won { losers, is_copy: true });
    assert!(hedging.is_stopping(id(99, 1)) && hedging.is_stopping(id(99, 3)));
    assert_eq!(hedging.ended(id(99, 3), true, start + 100 * MS), Standing::Beaten);
    assert_eq!(hedging.ended(id(99, 1), false, start + 101 * MS), Standing::Beaten);
    assert_eq!(hedging.stopping().count(), 0);
}

#[test]
fn the_last_failure_counts() {
    let start = Instant::now();
    let mut hedging = begun(start);
    let now = start + 30 * MS;
    assert!(hedging.copied(id(99, 2), 1, now));
    assert_eq!(hedging.ended(id(99, 1), false, now), Standing::Outlived);
    // What is left may be copied in its turn.
    assert!(hedging.copied(id(99, 3), 2, now));
    assert_eq!(hedging.ended(id(99, 3), false, now), Standing::Outlived);
    assert_eq!(hedging.ended(id(99, 2), false, now), Standing::Sole);
}

#[test]
fn a_copy_of_an_attempt_that_has_ended_must_stop() {
    let start = Instant::now();
    let mut hedging = begun(start);
    assert!(!hedging.copied(id(3, 2), 1, start + 30 * MS));
    assert!(hedging.is_stopping(id(3, 2)));
    assert_eq!(hedging.ended(id(3, 2), true, start + 31 * MS), Standing::Beaten);
}

#[test]
fn without_copies_nothing_is_recorded() {
    let start = Instant::now();
    let mut hedging = Hedging::new(&CopySettings::OFF, 100);
    (0..100).for_each(|partition| hedging.started(id(partition, 1), start));
    assert_eq!(hedging.ended(id(0, 1), true, start), Standing::Sole);
    assert_eq!(hedging.look(SLOTS, 99, true, start + 1000 * MS), CopyLook::default());
}
