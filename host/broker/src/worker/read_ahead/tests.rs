//! Tests of read-ahead, in a model of a link: an answer arrives a round trip after its question.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

/// Leaf that reads a content over a link with a round trip of one, and takes no time itself.
#[derive(Default)]
struct Link {
    reads: ReadAhead<u64>,
    /// Time, in round trips.
    now: Cell<u64>,
    /// Pulled ranges.
    pulls: RefCell<Vec<Range<u64>>>,
    size: u64,
    limit: u64,
    /// Blocks that may be read ahead.
    places: Cell<u64>,
}

impl Link {
    fn new(size: u64) -> Self {
        Self { size, limit: size, places: Cell::new(u64::MAX), ..Self::default() }
    }

    /// Reads as the content does.
    fn read(&mut self, offset: u64, len: u64) {
        let end = (offset + len).min(self.size);
        self.reads.begin(&(offset..end));
        let mut at = offset;
        while at < end {
            let pull = |range: Range<u64>| {
                self.pulls.borrow_mut().push(range);
                self.now.get() + 1
            };
            let ask_ahead = |range: Range<u64>| {
                let left = self.places.get().checked_sub(1)?;
                self.places.set(left);
                Some(pull(range))
            };
            let next = self.reads.next(at, end, self.limit, pull, ask_ahead);
            at = match next {
                Next::Tail(bytes) => end.min(at + bytes.len() as u64),
                Next::Block(range, arrives) => {
                    assert!(range.contains(&at), "{range:?} has not {at}");
                    self.now.set(self.now.get().max(arrives));
                    end.min(range.end)
                }
            };
        }
        let bytes = vec![0; usize::try_from(end - offset).unwrap()];
        self.reads.end(end, &bytes);
    }

    fn pulled(&self) -> u64 {
        self.pulls.borrow().iter().map(|range| range.end - range.start).sum()
    }
}

#[test]
fn a_content_that_is_read_in_order_costs_round_trips_by_the_window() {
    for piece in [16 << 10, 64 << 10, BLOCK, MIB] {
        let mut link = Link::new(64 * MIB);
        for at in 0..link.size / piece {
            link.read(at * piece, piece);
        }
        let pieces = link.size / piece;
        let trips = link.now.get();
        // Some to grow the window, and then one for each.
        assert!(trips <= 64 * MIB / MOST_AHEAD + 16 + pieces / 16, "{trips} round trips for pieces of {piece}");
        assert_eq!(link.pulled(), link.size, "nothing is pulled twice");
        assert!(link.pulls.borrow().len() as u64 <= 64 * MIB / BLOCK + 16, "blocks are large");
    }
}

#[test]
fn a_long_read_asks_for_its_next_bytes_before_it_has_the_first() {
    let mut link = Link::new(64 * MIB);
    link.read(0, 16 * MIB);
    assert!(link.now.get() <= 8, "{}", link.now.get());
    assert_eq!((link.pulled(), link.pulls.borrow().len()), (16 * MIB, 16), "and for no more");
}

#[test]
fn a_read_that_begins_a_little_before_the_end_of_the_last_one_follows_it() {
    let mut link = Link::new(16 * MIB);
    let mut at = 0;
    while at < link.size {
        link.read(at, (64 << 10) + 4096);
        at += (64 << 10) + 1000;
    }
    assert_eq!(link.pulled(), link.size);
    assert!(link.now.get() < 40, "{}", link.now.get());
}

#[test]
fn reads_without_order_pull_what_they_read() {
    let mut link = Link::new(64 * MIB);
    for at in (0..500_u64).map(|at| at * 7919 % 997) {
        link.read(at * 65_536, 4096);
    }
    assert_eq!((link.pulled(), link.now.get()), (500 * 4096, 500));
    // Not even the first read at the begin is a reason to read ahead.
    let mut link = Link::new(MIB);
    link.read(0, 4096);
    assert_eq!(link.pulled(), 4096);
}

#[test]
fn nothing_is_read_ahead_beyond_the_limit_or_without_a_place() {
    let mut link = Link::new(64 * MIB);
    link.limit = 10 * MIB + 5;
    for at in 0..160 {
        link.read(at * 65_536, 65_536);
    }
    assert_eq!(link.pulled(), link.limit);
    link.read(10 * MIB, 65_536);
    assert_eq!(link.pulled(), 10 * MIB + 65_536, "what is wanted is read");
    let mut link = Link::new(64 * MIB);
    link.places = Cell::new(0);
    for at in 0..10 {
        link.read(at * 4 * MIB, 4 * MIB);
    }
    assert_eq!((link.pulled(), link.now.get()), (40 * MIB, 40), "as without read-ahead");
}

proptest! {
    /// However a leaf reads, at most as much as it has read is pulled in addition.
    #[test]
    fn what_is_pulled_is_at_most_twice_what_is_read(
        reads in proptest::collection::vec((any::<bool>(), 0_u64..1000, 1_u64..400), 1..80),
    ) {
        let size = 8 * MIB;
        let mut link = Link::new(size);
        let mut read = 0;
        let mut last = 0;
        for (follows, at, len) in reads {
            let at = if follows { last } else { at * 8000 };
            let len = (len * 1000).min(size - at);
            if len > 0 {
                link.read(at, len);
                read += len;
                last = at + len;
            }
        }
        prop_assert!(link.pulled() <= 2 * read, "{} of {read}", link.pulled());
    }
}
