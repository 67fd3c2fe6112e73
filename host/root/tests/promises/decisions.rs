//! Unit tests of the gather's decisions: it has neither clock nor task, so each is checked
//! directly.

use std::time::Duration;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::answer::Timings;
use frond_root::event::GatherEnd;
use frond_root::gather::{Action, Demand, Gather, Reached};
use frond_root::policy::budget::Budget;
use frond_root::policy::retry::Retry;
use frond_root::share::{Part, Stretch};
use frond_root::{Done, Emission, FailureKind, Floor, Outcome, QueryId, Status, Usage};
use frond_testkit::{ms, plan};
use tokio::time::Instant;

use crate::parts;

struct Desk {
    gather: Gather,
    start: Instant,
    actions: Vec<Action>,
}

impl Desk {
    fn new(partitions: usize, floor: Floor) -> Self {
        let start = Instant::now();
        let demand = Demand { floor, required: BTreeSet::new() };
        let budget = Budget::new(start, ms(1000), None);
        Self {
            gather: Gather::new(QueryId::new(), Arc::new(plan(partitions)), demand, budget),
            start,
            actions: Vec::new(),
        }
    }

    fn started(&mut self, partition: u32, at: u64) {
        self.gather.started(partition, self.start + ms(at), false);
    }

    fn ended(&mut self, partition: u32, at: u64, outcome: Outcome, emission: Option<Emission>) -> Vec<Action> {
        let now = self.start + ms(at);
        let outcome = Outcome { ran: ms(1), ..outcome };
        self.gather.ended(partition, outcome, Reached { emission, ..Reached::default() }, now, &mut self.actions);
        std::mem::take(&mut self.actions)
    }

    fn look(&mut self, at: u64) -> Vec<Action> {
        self.gather.look(self.start + ms(at), &mut self.actions);
        std::mem::take(&mut self.actions)
    }
}

fn partial() -> Outcome {
    Outcome::succeeded(Bytes::from_static(b"1"), Duration::ZERO, Usage::default())
}

fn failed(kind: FailureKind) -> Outcome {
    Outcome::failed(kind, Duration::ZERO, "scripted")
}

#[test]
fn attempts_that_are_lost_with_their_workers_cost_nothing_until_it_is_often() {
    let rules = Retry { attempts: 1, ..Retry::QUERY };
    let mut desk = Desk::new(1, Floor::All);
    desk.gather = desk.gather.retrying(rules);
    let lost = || Outcome::with_its_worker(Duration::ZERO, "scripted");
    for at in 0..5 {
        desk.started(0, at * 10);
        let actions = desk.ended(0, at * 10 + 5, lost(), None);
        assert!(
            matches!(actions[..], [Action::Retry { partition: 0, rest: None, at: now }] if now == desk.start + ms(at * 10 + 5))
        );
    }
    desk.started(0, 60);
    let actions = desk.ended(0, 65, lost(), None);
    assert!(matches!(actions[..], [Action::Missing { partition: 0, status: Status::Failed, .. }]), "{actions:?}");
}

/// Progress of an attempt at half of a partition of 100 units, with so many losses before.
fn half(begin: u64, lost: u32, kept: Option<u64>) -> Reached {
    let stretch = Stretch { begin, end: begin + 50, lost, ..Stretch::whole(0) };
    let taken = begin + 20;
    let part = Part { units: 100, stretch, taken, kept: kept.unwrap_or(begin), skipped: false, asked: true };
    let emission =
        kept.map(|end| Emission { partial: Bytes::from_static(b"1"), done: Done::Units { begin, end, of: 100 } });
    Reached { part: Some(part), emission }
}

#[test]
fn losses_count_by_units_and_progress_makes_up_for_them() {
    let rules = Retry { attempts: 1, ..Retry::QUERY };
    // Losses before, and units that were kept; losses of the next attempt, if there is one.
    let cases = [(0, None, Some(1)), (4, None, Some(5)), (5, None, None), (4, Some(10), Some(0))];
    for (lost, kept, next) in cases {
        let mut desk = Desk::new(1, Floor::BestEffort);
        desk.gather = desk.gather.retrying(rules);
        let now = desk.start + ms(5);
        for begin in [0, 50] {
            desk.started(0, 0);
            let reached = half(begin, lost, kept.map(|kept| begin + kept));
            let outcome = Outcome::with_its_worker(ms(1), "scripted");
            desk.gather.ended(0, outcome, reached, now, &mut desk.actions);
        }
        let rests: Vec<_> = std::mem::take(&mut desk.actions)
            .into_iter()
            .filter_map(|action| match action {
                Action::Retry { rest: Some(rest), .. } => Some(rest.lost),
                _ => None,
            })
            .collect();
        assert_eq!(rests, next.map_or(vec![], |next| vec![next; 2]), "{lost} before, {kept:?} kept");
    }
}

#[test]
fn an_error_does_not_finish_a_partition_while_another_attempt_of_it_lives() {
    for kind in [FailureKind::Trap, FailureKind::Unavailable] {
        let mut desk = Desk::new(1, Floor::All);
        desk.started(0, 0);
        desk.started(0, 10);
        assert!(desk.ended(0, 20, failed(kind), None).is_empty(), "{kind}");
        assert!(desk.look(20).is_empty());
        let actions = desk.ended(0, 30, partial(), None);
        assert!(matches!(actions[..], [Action::Merge { partition: 0, .. }]), "{actions:?}");
        desk.look(30);
        assert_eq!(desk.gather.ended_why(), Some(GatherEnd::AllSettled));
    }
}

#[test]
fn the_first_success_wins_and_the_second_is_discarded() {
    let mut desk = Desk::new(2, Floor::All);
    desk.started(0, 0);
    desk.started(0, 0);
    desk.started(1, 0);
    assert_eq!(desk.ended(0, 20, partial(), None).len(), 1);
    assert!(desk.ended(0, 21, partial(), None).is_empty());
    let coverage = desk.gather.coverage(Timings::default());
    assert_eq!(coverage.attempts.discarded, 1);
    assert_eq!((coverage.timings.leaf_used, coverage.timings.leaf_wasted), (1.0, 1.0));
}

#[test]
fn attempts_in_warm_instances_are_counted_whatever_becomes_of_them() {
    let mut desk = Desk::new(1, Floor::All);
    for earlier in [0, 1, 7] {
        desk.started(0, 0);
        desk.gather.served(0, earlier, Duration::ZERO);
        desk.ended(0, 20, partial(), None);
    }
    assert_eq!(desk.gather.coverage(Timings::default()).attempts.warm, 2);
}

#[test]
fn a_partition_that_waited_long_is_a_straggler_and_its_waits_are_no_slot_time() {
    let mut desk = Desk::new(4, Floor::All);
    for partition in 0..4 {
        desk.started(partition, 0);
        let waited = Duration::from_millis(if partition == 3 { 700 } else { 100 });
        desk.gather.served(partition, 0, waited);
        desk.ended(partition, 20, partial(), None);
    }
    let coverage = desk.gather.coverage(Timings::default());
    assert_eq!((coverage.timings.leaf_used, coverage.timings.leaf_waited), (4.0, 1000.0));
    let [straggler] = &coverage.stragglers[..] else { panic!("{:?}", coverage.stragglers) };
    assert_eq!((straggler.ms, straggler.times_median), (701.0, 6.94));
}

#[test]
fn the_gather_ends_by_steps() {
    let mut desk = Desk::new(3, Floor::AtLeast(0.3));
    desk.started(0, 0);
    desk.started(1, 0);
    desk.ended(0, 100, partial(), None);
    desk.gather.arrived(desk.start + ms(100));
    let actions = desk.look(100);
    assert!(matches!(actions[..], [Action::FloorReached { .. }]), "{actions:?}");
    // Two of three may be missing and two are: the wait is half of the remaining 795 ms.
    assert_eq!(desk.gather.timer(), Some(desk.start + ms(100) + ms(795) / 2));
    assert!(desk.look(497).is_empty());
    let actions = desk.look(498);
    assert!(matches!(actions[..], [Action::Close { .. }]), "{actions:?}");
    assert_eq!(desk.gather.ended_why(), None);
    let actions = desk.look(508);
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Missing { .. })).count(), 2);
    assert_eq!(desk.gather.ended_why(), Some(GatherEnd::WaitOver));
    assert_eq!(desk.gather.timer(), None);
    assert_eq!(parts(&desk.gather.coverage(Timings::default())), [1, 0, 0, 1, 0, 1]);
}

#[test]
fn with_nothing_running_there_is_nothing_to_wait_for_beyond_the_leaves_deadline() {
    let mut desk = Desk::new(2, Floor::BestEffort);
    desk.started(0, 0);
    desk.ended(0, 100, partial(), None);
    assert_eq!(desk.gather.timer(), Some(desk.start + ms(885)));
    desk.look(885);
    assert_eq!(desk.gather.ended_why(), Some(GatherEnd::Deadline));
}

#[test]
fn what_comes_after_the_end_changes_nothing() {
    let mut desk = Desk::new(2, Floor::BestEffort);
    desk.started(0, 0);
    desk.started(1, 0);
    desk.ended(0, 100, partial(), None);
    desk.look(895);
    desk.look(895);
    assert_eq!(desk.gather.ended_why(), Some(GatherEnd::Deadline));
    let before = parts(&desk.gather.coverage(Timings::default()));
    assert!(desk.ended(1, 896, partial(), None).is_empty());
    assert!(desk.look(2000).is_empty());
    let after = desk.gather.coverage(Timings::default());
    assert_eq!(before, parts(&after));
    assert_eq!(after.attempts.discarded, 1);
}

#[test]
fn an_emission_is_taken_from_a_leaf_that_runs_and_from_no_other() {
    let emission = || Emission { partial: Bytes::from_static(b"7"), done: Done::Share(0.5) };
    let mut desk = Desk::new(3, Floor::BestEffort);
    desk.started(0, 0);
    desk.started(1, 0);
    desk.ended(0, 10, partial(), None);
    for partition in 0..3 {
        desk.gather.cut_off(partition, emission(), &mut desk.actions);
    }
    let [
        Action::Merge { partition: 1, .. },
        Action::Missing { partition: 1, status: Status::Degraded, slug: Some(FailureKind::OutOfTime) },
    ] = desk.actions[..]
    else {
        panic!("{:?}", desk.actions);
    };
}

#[test]
fn a_retry_is_announced_with_its_time() {
    let mut desk = Desk::new(1, Floor::All);
    desk.started(0, 0);
    let actions = desk.ended(0, 100, failed(FailureKind::Unavailable), None);
    let [Action::Retry { partition: 0, rest: None, at }] = actions[..] else {
        panic!("{actions:?}");
    };
    let pause = at - desk.start - ms(100);
    assert!((ms(5)..=ms(10)).contains(&pause), "{pause:?}");
    // The partition is still open: nothing is missing yet.
    assert!(desk.look(100).is_empty());
}
