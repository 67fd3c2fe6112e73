//! Fold: the partials of one merge call, and the sizes that make a call worthwhile.

use bytes::Bytes;

use super::span::Position;

/// The number of partials per call, once they have [`WORTH`] bytes together.
pub const FAN_IN: usize = 8;
/// The most partials per call. A call costs about as much as a small leaf: folding tiny partials by
/// eights would take an eighth of all time.
pub const MAX_FAN_IN: usize = 64;
/// Bytes above which the fold costs more than its call. Then narrow folds are better than wide
/// ones: they overlap with leaves and with each other.
pub const WORTH: usize = 64 << 10;
/// Bytes above which fewer than [`FAN_IN`] partials are folded. A call takes no further inputs once
/// they reach this size, so that it fits the merge's memory.
pub const FOLD_BYTES: usize = 8 << 20;
/// Bytes up to which a fold costs little more than its call.
const SMALL: usize = 256 << 10;

/// Condition under which a fold is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Only full folds: [`FAN_IN`] partials of [`WORTH`] bytes together, [`MAX_FAN_IN`] partials,
    /// or [`FOLD_BYTES`].
    Full,
    /// Two or more partials of similar size: nothing else is to do.
    Idle,
    /// Two or more partials, all in one call if they fit: memory is short, or the gather is over.
    Any,
}

/// Input of one merge call.
#[derive(Debug)]
pub struct Fold {
    /// The partials, in order.
    pub inputs: Vec<Bytes>,
    /// Position of the result in the tree.
    pub place: TreePosition,
}

impl Fold {
    /// The bytes of the inputs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.len() as u64).sum()
    }
}

/// Position of a fold's result in the merge tree. The tree creates it, and gets it back with the
/// result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreePosition {
    pub(super) lo: Position,
    pub(super) level: u8,
}

/// Inputs of one call: the first `most` partials, fewer once they are full, but at least two.
pub(super) struct Batch {
    pub(super) count: usize,
    bytes: usize,
    largest: usize,
    most: usize,
}

impl Batch {
    pub(super) fn of(sizes: impl Iterator<Item = usize>, most: usize) -> Self {
        let mut batch = Self { count: 0, bytes: 0, largest: 0, most };
        for size in sizes {
            if batch.is_full() {
                break;
            }
            batch.count += 1;
            batch.bytes = batch.bytes.saturating_add(size);
            batch.largest = batch.largest.max(size);
        }
        batch
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == self.most || (self.count >= FAN_IN && self.bytes >= WORTH) || self.is_heavy()
    }

    pub(super) fn is_heavy(&self) -> bool {
        self.count >= 2 && self.bytes >= FOLD_BYTES
    }

    /// True for a small fold, and for one whose largest input has at most three quarters of the
    /// bytes. An uneven fold would merge one large partial again for a few small ones. An even fold
    /// grows the largest input by at least a third, so that nothing is folded more than a few times
    /// per doubling.
    pub(super) fn is_even(&self) -> bool {
        self.bytes <= SMALL || self.largest <= self.bytes - self.bytes / 4
    }
}
