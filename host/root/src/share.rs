//! Share of a partition that one attempt takes piece by piece. The host owns its bounds and its
//! cursor: a cut moves the end between two pieces, without a call into the guest.

use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::{Grain, Units};
use crate::sync::lock;

/// Time that a piece should take at its leaf's rate.
const PIECE_TIME: Duration = Duration::from_millis(3);
/// First piece of bytes: small, to learn the rate.
pub const FIRST_BYTES: u64 = 16 << 10;
/// The least later piece of bytes, unless the share ends before.
const LEAST_BYTES: u64 = 64 << 10;
/// A piece is at most this many times as large as the one before: the first rates are uncertain.
const GROWTH: u64 = 16;

/// Rule for the sizes of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceSizes {
    /// As many units as take a few milliseconds at the leaf's own rate.
    Timed,
    /// Sizes that depend on the content alone, so that a leaf that is deterministic uses the same
    /// fuel each time.
    Fixed,
}

/// Number of pieces of a content whose pieces are of a fixed size.
const FIXED_PIECES: u64 = 64;

/// Units of a partition that an attempt is to take, with the history of failures behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// First unit.
    pub begin: u64,
    /// Unit after the last.
    pub end: u64,
    /// Number of attempts that failed here in a row without taking anything.
    pub tries: u32,
    /// True if an attempt that returned early has left these units.
    pub early: bool,
}

impl Stretch {
    /// All of `units`, with no attempt behind it.
    #[must_use]
    pub fn whole(units: u64) -> Self {
        Self { begin: 0, end: units, tries: 0, early: false }
    }

    /// The units.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.begin..self.end
    }
}

/// Part of a partition that an ended attempt had to take, and how far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// All units of the partition.
    pub units: u64,
    /// Units that were left to the attempt in the end, after all cuts.
    pub stretch: Stretch,
    /// Unit after the last one that was handed out.
    pub taken: u64,
    /// Unit after the last one of a partial that the leaf handed over.
    pub kept: u64,
    /// True if the leaf said that it needs no more.
    pub skipped: bool,
    /// True if the leaf asked for a piece. One that does not takes a whole partition at once.
    pub asked: bool,
}

impl Part {
    /// All of a partition of so many units, taken at once.
    #[must_use]
    pub fn whole(units: u64) -> Self {
        Self { units, stretch: Stretch::whole(units), taken: units, kept: 0, skipped: false, asked: false }
    }

    /// True if nothing of the partition remains when the attempt succeeds.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stretch.begin == 0 && self.accounted() == self.units
    }

    /// Unit up to which a success accounts for the partition: taken, or skipped.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        if self.skipped { self.stretch.end } else { self.done() }
    }

    /// Unit up to which the partial of a success covers the partition.
    #[must_use]
    pub fn done(&self) -> u64 {
        let at_once = !self.asked && self.stretch.range() == (0..self.units);
        if at_once { self.units } else { self.taken }
    }

    /// Units that were handed out.
    #[must_use]
    pub fn handed_out(&self) -> Range<u64> {
        self.stretch.begin..self.taken
    }
}

/// Speed of a running share, from which its expected rest follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Units that are not handed out.
    pub left: u64,
    /// Units a second; `None` before the second piece.
    pub rate: Option<f64>,
    /// Time since the first piece.
    pub age: Duration,
}

/// Share of one attempt.
#[derive(Debug)]
pub struct Share(Mutex<State>);

/// State of a share.
#[derive(Clone, Copy, Debug)]
struct State {
    units: Units,
    sizes: PieceSizes,
    stretch: Stretch,
    cursor: u64,
    kept: u64,
    skipped: bool,
    /// Time of the first piece; `None` until the leaf asks for one.
    first: Option<Instant>,
    /// Begin and time of the latest piece.
    piece: Option<(u64, Instant)>,
    rate: Option<f64>,
    ended: bool,
}

impl State {
    fn new(units: Units, stretch: Stretch, sizes: PieceSizes) -> Self {
        let begin = stretch.begin;
        Self {
            units,
            sizes,
            stretch,
            cursor: begin,
            kept: begin,
            skipped: false,
            first: None,
            piece: None,
            rate: None,
            ended: false,
        }
    }

    /// Updates the rate with the piece that ends now.
    fn learn(&mut self, now: Instant) {
        let Some((begin, since)) = self.piece else { return };
        let took = now.saturating_duration_since(since).max(Duration::from_micros(1));
        let rate = (self.cursor - begin) as f64 / took.as_secs_f64();
        self.rate = Some(self.rate.map_or(rate, |before| (before + rate) / 2.0));
    }

    /// Size of the next piece.
    fn size(&self) -> u64 {
        let (first, least) = match self.units.grain {
            Grain::Whole => return u64::MAX,
            Grain::Byte => (FIRST_BYTES, LEAST_BYTES),
            Grain::Integer => (1, 1),
        };
        if self.sizes == PieceSizes::Fixed {
            return (self.units.count / FIXED_PIECES).max(least);
        }
        let (Some(rate), Some((begin, _))) = (self.rate, self.piece) else { return first };
        let most = (self.cursor - begin).saturating_mul(GROWTH).max(least);
        ((rate * PIECE_TIME.as_secs_f64()) as u64).clamp(least, most)
    }

    fn hand_out(&mut self, size: u64, now: Instant) -> Option<Range<u64>> {
        self.first.get_or_insert(now);
        let begin = self.cursor;
        let end = begin.saturating_add(size).min(self.stretch.end);
        if self.skipped || begin >= end {
            self.piece = None;
            return None;
        }
        self.cursor = end;
        self.piece = Some((begin, now));
        Some(begin..end)
    }

    /// Units that can be cut off, if there are any.
    fn left(&self) -> Option<u64> {
        let open = self.first.is_some() && !self.ended && !self.skipped && self.units.grain != Grain::Whole;
        open.then(|| self.stretch.end - self.cursor).filter(|left| *left > 1)
    }
}

impl Share {
    /// A share before its first piece.
    #[must_use]
    pub fn new(units: Units, stretch: Stretch, sizes: PieceSizes) -> Self {
        Self(Mutex::new(State::new(units, stretch, sizes)))
    }

    /// Begins anew, for a call that is made again: all that is left to the share is handed out
    /// again.
    pub fn restart(&self) {
        let mut state = lock(&self.0);
        *state = State::new(state.units, state.stretch, state.sizes);
    }

    /// Hands out the next piece. The previous one counts as processed.
    pub fn next(&self, now: Instant) -> Option<Range<u64>> {
        let mut state = lock(&self.0);
        state.learn(now);
        let size = state.size();
        state.hand_out(size, now)
    }

    /// Hands out the next piece, of at most `size` units. The previous one counts as processed.
    pub fn next_of(&self, size: u64, now: Instant) -> Option<Range<u64>> {
        lock(&self.0).hand_out(size, now)
    }

    /// Units that are left to the share.
    #[must_use]
    pub fn stretch(&self) -> Stretch {
        lock(&self.0).stretch
    }

    /// Records that the leaf handed over a partial of all pieces so far. Returns their units, and
    /// the number of all units of the partition.
    #[must_use]
    pub fn keep(&self) -> (Range<u64>, u64) {
        let mut state = lock(&self.0);
        state.kept = state.cursor;
        (state.stretch.begin..state.cursor, state.units.count)
    }

    /// True once the leaf has asked for a piece.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        lock(&self.0).first.is_some()
    }

    /// Gives up the units that are not handed out: the answer does not need them.
    pub fn skip_rest(&self, now: Instant) {
        let mut state = lock(&self.0);
        state.first.get_or_insert(now);
        state.skipped = true;
    }

    /// Cuts the units that are not handed out in half, and returns the second half. `None` if
    /// nothing can be cut off.
    pub fn cut(&self) -> Option<Stretch> {
        let mut state = lock(&self.0);
        let left = state.left()?;
        let at = state.cursor + left.div_ceil(2);
        let rest = Stretch { begin: at, ..state.stretch };
        state.stretch.end = at;
        Some(rest)
    }

    /// The share's pace, from which its expected rest follows; `None` if nothing can be cut off.
    #[must_use]
    pub fn pace(&self, now: Instant) -> Option<Pace> {
        let state = lock(&self.0);
        let first = state.first?;
        let left = state.left()?;
        Some(Pace { left, rate: state.rate, age: now.saturating_duration_since(first) })
    }

    /// Ends the share: nothing is handed out or cut off any more.
    pub fn end(&self) -> Part {
        let mut state = lock(&self.0);
        state.ended = true;
        let State { units, stretch, cursor, kept, skipped, first, .. } = *state;
        Part { units: units.count, stretch, taken: cursor, kept, skipped, asked: first.is_some() }
    }
}
