//! Share of a partition that one attempt takes piece by piece. The host owns its bounds and its
//! cursor: a cut moves the end between two pieces, without a call into the guest.

use std::ops::Range;
use std::sync::Mutex;
use std::task::Poll;
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

/// Pieces of a fixed size in one lease to another process.
const LEASED_PIECES: u64 = 4;

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
    /// Number of attempts that were lost with their workers in a row without keeping anything.
    pub lost: u32,
    /// True if an attempt that returned early has left these units.
    pub early: bool,
}

impl Stretch {
    /// All of `units`, with no attempt behind it.
    #[must_use]
    pub fn whole(units: u64) -> Self {
        Self { begin: 0, end: units, tries: 0, lost: 0, early: false }
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
    /// True once the leaf has asked for a piece, as far as this process knows.
    is_begun: bool,
    /// Time of the first piece.
    first: Option<Instant>,
    /// Begin and time of the latest piece.
    piece: Option<(u64, Instant)>,
    rate: Option<f64>,
    ended: bool,
    /// Unit from which another attempt takes the share's units as well.
    copied: Option<u64>,
    /// Units of the latest lease, if another process owns the share.
    lease: Option<Lease>,
}

/// Units that the owner of a share, another process, has handed out in advance.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// Unit after the last.
    end: u64,
    /// Number of units of the latest lease.
    size: u64,
    /// True once the next lease is asked for.
    is_asked: bool,
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
            is_begun: false,
            first: None,
            piece: None,
            rate: None,
            ended: false,
            copied: None,
            lease: None,
        }
    }

    /// Updates the rate with the piece that ends now.
    fn learn(&mut self, now: Instant) {
        let Some((begin, since)) = self.piece else { return };
        let took = now.saturating_duration_since(since).max(Duration::from_micros(1));
        let rate = (self.cursor - begin) as f64 / took.as_secs_f64();
        self.rate = Some(self.rate.map_or(rate, |before| (before + rate) / 2.0));
    }

    /// Size of the next piece, which should take this time at the leaf's rate.
    fn size(&self, time: Duration) -> u64 {
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
        ((rate * time.as_secs_f64()) as u64).clamp(least, most)
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

    /// Hands out what the leases have of the next piece. Pending before the next lease.
    fn hand_out_leased(&mut self, size: u64, now: Instant) -> Poll<Option<Range<u64>>> {
        let Some(lease) = self.lease else { return Poll::Ready(self.hand_out(size, now)) };
        let leased = lease.end.saturating_sub(self.cursor);
        let is_over = self.skipped || self.cursor >= self.stretch.end;
        if leased == 0 && !is_over {
            self.first.get_or_insert(now);
            return Poll::Pending;
        }
        Poll::Ready(self.hand_out(size.min(leased.max(1)), now))
    }

    /// Units that can be cut off, if there are any.
    fn left(&self) -> Option<u64> {
        let is_alone = self.copied.is_none() && !self.ended;
        let open = self.is_begun && is_alone && !self.skipped && self.units.grain != Grain::Whole;
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
        let State { lease, copied, .. } = *state;
        *state = State { lease, copied, ..State::new(state.units, state.stretch, state.sizes) };
    }

    /// Hands out the next piece. The previous one counts as processed.
    pub fn next(&self, now: Instant) -> Option<Range<u64>> {
        let mut state = lock(&self.0);
        state.learn(now);
        state.is_begun = true;
        let size = state.size(PIECE_TIME);
        state.hand_out(size, now)
    }

    /// Hands out units that take about `time`, to another process that divides them into pieces.
    /// The previous ones count as processed. The first ones go with the attempt, so they do not
    /// show that its leaf takes pieces: a share is cut only once it asks for more.
    pub fn lease(&self, time: Duration, now: Instant) -> Option<Range<u64>> {
        let mut state = lock(&self.0);
        state.learn(now);
        state.is_begun |= state.piece.is_some();
        // Pieces of a fixed size stay whole: a lease is a multiple.
        let size = if state.sizes == PieceSizes::Fixed {
            state.size(time).saturating_mul(LEASED_PIECES)
        } else {
            state.size(time)
        };
        state.hand_out(size, now)
    }

    /// Hands out the next piece, of at most `size` units. The previous one counts as processed.
    pub fn next_of(&self, size: u64, now: Instant) -> Option<Range<u64>> {
        let mut state = lock(&self.0);
        state.is_begun = true;
        state.hand_out(size, now)
    }

    /// Sets the units that the share's owner, another process, has handed out: those before
    /// `leased`. Nothing at or after `end` is left to the share.
    pub fn leased(&self, leased: u64, end: u64) {
        let mut state = lock(&self.0);
        let State { cursor, lease, .. } = *state;
        let before = lease.map_or(state.stretch.begin, |lease| lease.end);
        let size = leased.saturating_sub(before);
        state.stretch.end = end.clamp(cursor, state.stretch.end.max(cursor));
        state.lease = Some(Lease { end: leased.max(before), size, is_asked: false });
    }

    /// Hands out the next piece of the units that the share's owner has handed out; all that is
    /// left if the share has no other owner. Pending before the next lease.
    pub fn poll_next(&self, now: Instant) -> Poll<Option<Range<u64>>> {
        let mut state = lock(&self.0);
        state.is_begun = true;
        let before = *state;
        state.learn(now);
        let size = state.size(PIECE_TIME);
        let piece = state.hand_out_leased(size, now);
        if piece.is_pending() {
            // The wait for the lease is not the leaf's.
            *state = State { first: state.first, piece: None, rate: state.rate, ..before };
        }
        piece
    }

    /// True, once for each lease, when it is time to ask for the next: half of the latest one is
    /// taken.
    pub fn asks_for_lease(&self) -> bool {
        let mut state = lock(&self.0);
        let State { cursor, stretch, skipped, .. } = *state;
        let Some(lease) = state.lease.as_mut().filter(|lease| !lease.is_asked) else { return false };
        let asks = !skipped && lease.end < stretch.end && lease.end.saturating_sub(cursor) * 2 <= lease.size;
        lease.is_asked = asks;
        asks
    }

    /// Sets how far another process came with the units that were leased to it: `taken` is the unit
    /// after the last one that its leaf took. False if that cannot be.
    pub fn settle(&self, taken: u64, is_skipped: bool, has_asked: bool) -> bool {
        let mut state = lock(&self.0);
        if !(state.kept..=state.cursor).contains(&taken) {
            return false;
        }
        state.cursor = taken;
        state.skipped = is_skipped;
        state.is_begun = has_asked;
        true
    }

    /// Records that the leaf in another process handed over a partial of its units up to `end`.
    /// Returns them, and the number of all units of the partition; `None` if that cannot be.
    pub fn keep_to(&self, end: u64) -> Option<(Range<u64>, u64)> {
        let mut state = lock(&self.0);
        let can_be = (state.kept..=state.cursor).contains(&end);
        can_be.then(|| {
            state.kept = end;
            (state.stretch.begin..end, state.units.count)
        })
    }

    /// Records that the leaf's call in another process is made again: what it handed over is
    /// forgotten.
    pub fn retract(&self) {
        let mut state = lock(&self.0);
        state.kept = state.stretch.begin;
    }

    /// Unit after the last that was handed out, or leased to this process: no cut moves those.
    #[must_use]
    pub fn leased_end(&self) -> u64 {
        let state = lock(&self.0);
        state.lease.map_or(state.cursor, |lease| lease.end.min(state.stretch.end))
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

    /// True once units were handed out.
    #[must_use]
    pub fn has_units(&self) -> bool {
        let state = lock(&self.0);
        state.cursor > state.stretch.begin
    }

    /// True once the leaf has asked for a piece, as far as this process knows.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        lock(&self.0).is_begun
    }

    /// Gives up the units that are not handed out: the answer does not need them.
    pub fn skip_rest(&self, now: Instant) {
        let mut state = lock(&self.0);
        state.first.get_or_insert(now);
        state.is_begun = true;
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

    /// Units for another attempt beside this one: those that are not in the last partial that the
    /// leaf handed over, which ends at `kept`; the same each time. `None` if the share can be cut
    /// or is over. From now on it cannot be cut.
    pub fn copy(&self, kept: u64) -> Option<Stretch> {
        let mut state = lock(&self.0);
        if state.ended || state.left().is_some() {
            return None;
        }
        let begin = *state.copied.get_or_insert(kept);
        (begin < state.stretch.end).then_some(Stretch { begin, ..state.stretch })
    }

    /// True if another attempt has units of the share.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        lock(&self.0).copied.is_some()
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
        lock(&self.0).ended = true;
        self.part()
    }

    /// The part that the share has, as it stands.
    #[must_use]
    pub fn part(&self) -> Part {
        let State { units, stretch, cursor, skipped, is_begun, kept, copied, .. } = *lock(&self.0);
        // What is kept later counts for nothing: a rival has it as well.
        let kept = copied.unwrap_or(kept);
        Part { units: units.count, stretch, taken: cursor, kept, skipped, asked: is_begun }
    }
}
