//! The order of claims, with queries that have so many leaves, cuts and copies left.

use std::sync::Mutex;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Query with so many claims, cuts and copies left.
struct Query {
    name: &'static str,
    tenant: Tenant,
    weight: Option<u32>,
    share: Share,
    claims: Mutex<usize>,
    cuts: Mutex<usize>,
    copies: Mutex<usize>,
    running: usize,
}

impl ClaimSource for Query {
    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn background(&self) -> Option<u32> {
        self.weight
    }

    fn share(&self) -> &Share {
        &self.share
    }

    fn running(&self) -> usize {
        self.running
    }
}

/// A query that has so many copies left.
fn copyable(name: &'static str, weight: Option<u32>, copies: usize) -> Arc<Query> {
    let one = Arc::into_inner(query(name, weight, 0, 0)).unwrap();
    Arc::new(Query { copies: copies.into(), ..one })
}

fn query(name: &'static str, weight: Option<u32>, claims: usize, cuts: usize) -> Arc<Query> {
    let tenant = Tenant::of_app(name);
    Arc::new(Query {
        name,
        tenant,
        weight,
        share: Share::default(),
        claims: claims.into(),
        cuts: cuts.into(),
        copies: 0.into(),
        running: 0,
    })
}

/// One slot that claims turn after turn, each of a millisecond.
struct Slot {
    order: ClaimOrder<Query>,
    now: Instant,
}

impl Slot {
    fn of(queries: impl IntoIterator<Item = Arc<Query>>) -> Self {
        let mut order = ClaimOrder::new(1);
        let now = Instant::now();
        queries.into_iter().for_each(|query| order.push(query, now));
        Self { order, now }
    }

    /// Runs a turn. Returns the query, and whether it was cut.
    fn turn(&mut self, may_run_background: bool) -> Option<(&'static str, bool)> {
        let take = |left: &Mutex<usize>| {
            let mut left = left.lock().unwrap();
            *left = left.checked_sub(1)?;
            Some(())
        };
        let (query, is_cut) = self.order.claim(
            self.now,
            may_run_background,
            |query| take(&query.claims).map(|()| (query.clone(), false)),
            |query| take(&query.cuts).map(|()| (query.clone(), true)),
            |query| take(&query.copies).map(|()| (query.clone(), true)),
        )?;
        self.now += MS;
        self.order.ended(&query, MS, MS, self.now);
        Some((query.name, is_cut))
    }

    fn turns(&mut self, count: usize) -> Vec<&'static str> {
        (0..count).map_while(|_| self.turn(true)).map(|(name, _)| name).collect()
    }
}

#[test]
fn foreground_and_its_cuts_go_before_background() {
    let mut slot = Slot::of([query("job", Some(1), 1, 1), query("asked", None, 1, 1)]);
    let turns: Vec<_> = std::iter::from_fn(|| slot.turn(true)).collect();
    assert_eq!(turns, [("asked", false), ("asked", true), ("job", false), ("job", true)]);
}

#[test]
fn a_slot_that_is_reserved_takes_no_background_work() {
    let mut slot = Slot::of([query("job", Some(1), 1, 1), query("asked", None, 1, 1)]);
    let has_open = |slot: &Slot, may| slot.order.has_open(slot.now, may, |query| *query.claims.lock().unwrap() > 0);
    assert!(has_open(&slot, false));
    let turns: Vec<_> = std::iter::from_fn(|| slot.turn(false)).collect();
    assert_eq!(turns, [("asked", false), ("asked", true)]);
    assert!(!has_open(&slot, false) && has_open(&slot, true));
}

#[test]
fn background_work_goes_by_weight() {
    let mut slot = Slot::of([query("one", Some(1), 1000, 0), query("three", Some(3), 1000, 0)]);
    let turns = slot.turns(400);
    assert_eq!(turns.iter().filter(|name| **name == "three").count(), 300);
}

#[test]
fn foreground_is_fair_between_tenants() {
    let crowd = (0..9).map(|_| query("crowd", None, 1000, 0));
    let mut slot = Slot::of(crowd.chain([query("quiet", None, 1000, 0)]));
    let turns = slot.turns(100);
    assert_eq!(turns.iter().filter(|name| **name == "quiet").count(), 50);
}

#[test]
fn cuts_are_fair_too() {
    let mut slot = Slot::of([query("a", None, 0, 100), query("b", None, 0, 100)]);
    let turns = slot.turns(20);
    assert_eq!(turns.iter().filter(|name| **name == "a").count(), 10);
}

#[test]
fn what_began_elsewhere_counts() {
    let begun = query("begun", None, 10, 0);
    let mut slot = Slot::of([begun.clone(), query("other", None, 10, 0)]);
    slot.order.begin(&begun);
    assert_eq!(slot.turns(2), ["other", "other"], "the first one runs already");
    slot.order.ended(&begun, 2 * MS, 2 * MS, slot.now);
    let job = query("job", Some(1), 10, 0);
    slot.order.push(job.clone(), slot.now);
    slot.order.begin(&job);
    slot.order.ended(&job, MS, MS, slot.now);
    let removed = slot.order.remove(|query| query.weight.is_none());
    assert_eq!(removed.len(), 2);
    assert_eq!(slot.order.iter().map(|query| query.name).collect::<Vec<_>>(), ["job"]);
}

#[test]
fn copies_come_after_cuts_and_before_background_work() {
    let all = [copyable("job copied", Some(1), 1), query("job", Some(1), 1, 1), copyable("copied", None, 1)];
    let mut slot = Slot::of(all.into_iter().chain([query("asked", None, 1, 1)]));
    let turns: Vec<_> = std::iter::from_fn(|| slot.turn(true)).map(|(name, _)| name).collect();
    assert_eq!(turns, ["asked", "asked", "copied", "job", "job", "job copied"]);
}

#[test]
fn nothing_is_copied_while_others_have_most_of_the_slots() {
    let begun = query("begun", None, 0, 0);
    let mut slot = Slot::of([begun.clone(), copyable("copied", None, 10)]);
    slot.order.set_slots(10);
    (0..8).for_each(|_| slot.order.begin(&begun));
    assert_eq!(slot.turn(true), None, "eight of ten slots are taken");
    slot.order.ended(&begun, MS, MS, slot.now);
    assert!(slot.turn(true).is_some());
    // A query's own leaves do not count.
    let own = Arc::new(Query { running: 8, ..Arc::into_inner(copyable("own", None, 1)).unwrap() });
    slot.order.push(own.clone(), slot.now);
    slot.order.begin(&own);
    assert_eq!(slot.turns(1), ["own"]);
}
