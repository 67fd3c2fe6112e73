//! Tests of shares whose owner is another process: it leases their units, and may cut what is not
//! leased.

use std::ops::Range;
use std::task::Poll;
use std::time::Duration;

use frond_root::share::{Share, Stretch};
use frond_root::{Grain, PieceSizes, Units};
use proptest::prelude::*;
use tokio::time::Instant;

/// Time that the units of one lease should take.
const LEASE: Duration = Duration::from_millis(10);

/// A share at its owner and at the process that has the leaf.
struct Pair {
    owner: Share,
    other: Share,
    now: Instant,
}

impl Pair {
    fn new(units: Units, sizes: PieceSizes) -> Self {
        let share = || Share::new(units, Stretch::whole(units.count), sizes);
        let pair = Self { owner: share(), other: share(), now: Instant::now() };
        pair.lease();
        pair
    }

    /// Has the owner lease further units.
    fn lease(&self) {
        let leased = self.owner.lease(LEASE, self.other.rate(), self.now).map(|units| units.end);
        let end = self.owner.stretch().end;
        self.other.leased(leased.unwrap_or(end), end);
    }

    fn next(&mut self, took: Duration) -> Option<Range<u64>> {
        self.now += took;
        let piece = match self.other.poll_next(self.now) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                self.other.asks_for_lease();
                self.lease();
                match self.other.poll_next(self.now) {
                    Poll::Ready(piece) => piece,
                    Poll::Pending => panic!("after a lease, there are units or an end"),
                }
            }
        };
        if self.other.asks_for_lease() {
            self.lease();
        }
        piece
    }
}

fn grain() -> impl Strategy<Value = Grain> {
    prop_oneof![Just(Grain::Byte), Just(Grain::Integer), Just(Grain::Whole)]
}

#[test]
fn a_share_is_cut_only_once_its_leaf_has_asked() {
    let units = Units { count: 1000, grain: Grain::Integer };
    let owner = Share::new(units, Stretch::whole(1000), PieceSizes::Timed);
    let now = Instant::now();
    let first = owner.lease(LEASE, None, now).unwrap();
    assert_eq!(first, 0..1);
    assert!(owner.has_units() && !owner.is_begun());
    assert!(owner.pace(now + LEASE).is_none() && owner.cut().is_none(), "its leaf may take all at once");
    owner.lease(LEASE, None, now + LEASE).unwrap();
    assert!(owner.is_begun() && owner.pace(now + LEASE).is_some());
    assert!(owner.cut().is_some());
}

/// Leases of a share of a million units, each of which takes a nanosecond, with this first rate.
fn leases_of_a_millisecond(rate: Option<f64>) -> u32 {
    let units = Units { count: 1_000_000, grain: Grain::Integer };
    let share = || Share::new(units, Stretch::whole(units.count), PieceSizes::Timed);
    let owner = share();
    let other = share();
    let mut now = Instant::now();
    let mut leases = 0;
    let mut lease = |rate, now| {
        leases += 1;
        let leased = owner.lease(LEASE, rate, now).map_or(units.count, |units| units.end);
        other.leased(leased, units.count);
    };
    lease(rate, now);
    loop {
        match other.poll_next(now) {
            Poll::Ready(Some(piece)) => now += Duration::from_nanos(piece.end - piece.start),
            Poll::Ready(None) => return leases,
            Poll::Pending => {}
        }
        if other.asks_for_lease() {
            lease(other.rate(), now);
        }
    }
}

#[test]
fn a_short_leaf_waits_for_few_leases_and_for_none_if_its_speed_is_known() {
    assert!((2..=4).contains(&leases_of_a_millisecond(None)), "{}", leases_of_a_millisecond(None));
    assert_eq!(leases_of_a_millisecond(Some(1e9)), 1);
}

proptest! {
    #[test]
    fn each_unit_is_handed_out_once_whatever_is_cut(
        count in 0_u64..2_000_000,
        grain in grain(),
        sizes in prop_oneof![Just(PieceSizes::Timed), Just(PieceSizes::Fixed)],
        steps in prop::collection::vec((0_u64..5000, any::<bool>()), 1..40),
    ) {
        let mut pair = Pair::new(Units { count, grain }, sizes);
        let mut taken = 0;
        let mut cut = 0;
        for (took, cuts) in steps.iter().cycle() {
            if *cuts && let Some(rest) = pair.owner.cut() {
                prop_assert_eq!(rest.end, count - cut);
                cut += rest.end - rest.begin;
            }
            let Some(piece) = pair.next(Duration::from_micros(*took)) else { break };
            prop_assert_eq!(piece.start, taken);
            prop_assert!(piece.end > piece.start);
            taken = piece.end;
        }
        prop_assert_eq!(taken + cut, count);
        prop_assert!(pair.owner.settle(taken, false, true));
        prop_assert_eq!(pair.owner.end().taken, taken);
    }

    #[test]
    fn pieces_of_fixed_sizes_are_those_of_one_process(count in 0_u64..5_000_000, byte in any::<bool>()) {
        let units = Units { count, grain: if byte { Grain::Byte } else { Grain::Integer } };
        let mut pair = Pair::new(units, PieceSizes::Fixed);
        let alone = Share::new(units, Stretch::whole(count), PieceSizes::Fixed);
        loop {
            let piece = pair.next(Duration::from_millis(1));
            prop_assert_eq!(&piece, &alone.next(pair.now));
            if piece.is_none() {
                break;
            }
        }
    }

    #[test]
    fn an_owner_believes_nothing_that_cannot_be(
        count in 1_u64..1000,
        leases in 0_usize..5,
        kept in 0_u64..2000,
        taken in 0_u64..2000,
    ) {
        let owner = Share::new(Units { count, grain: Grain::Integer }, Stretch::whole(count), PieceSizes::Timed);
        let leased = (0..leases).filter_map(|_| owner.lease(LEASE, None, Instant::now())).last().map_or(0, |units| units.end);
        let keeps = owner.keep_to(kept);
        prop_assert_eq!(keeps.is_some(), kept <= leased);
        let least = keeps.map_or(0, |(units, _)| units.end);
        prop_assert_eq!(owner.settle(taken, false, true), (least..=leased).contains(&taken));
    }
}
