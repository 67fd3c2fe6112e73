//! Which partials are folded together, and when. The tree is of fan-in [`FAN_IN`], up to [`MAX_FAN_IN`] for
//! tiny partials: each partial is folded about log₈(n) times, whatever the order in which partials arrive.

mod any;
mod ordered;

use bytes::Bytes;

use crate::request::MergeOrder;

/// Partials folded in one call, once they are [`WORTH`] it.
pub const FAN_IN: usize = 8;
/// The most partials folded in one call. A call costs about as much as a small leaf, so that folding tiny partials by
/// eights would take an eighth of all time.
pub const MAX_FAN_IN: usize = 64;
/// With so many bytes, the fold itself and not its call is what costs: then narrow folds, which overlap with leaves and
/// with each other, are better than wide ones.
pub const WORTH: usize = 64 << 10;
/// Partials of this many bytes together are folded though they are fewer than [`FAN_IN`]. A call's input stops growing
/// at the first partial that passes it, so that it fits the merge's memory.
pub const FOLD_BYTES: usize = 8 << 20;
/// A fold of no more than this costs little but its call.
const SMALL: usize = 256 << 10;
/// Held partials are charged at this many times their size, as a merge holds its input and its output.
const CHARGE: (u64, u64) = (3, 2);

/// When a fold is worth its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Only a full one: [`FAN_IN`] partials that are [`WORTH`] it, [`MAX_FAN_IN`], or [`FOLD_BYTES`].
    Full,
    /// Any two partials of about a size, as nothing else is to do.
    Idle,
    /// Any two partials, all in one call where they fit it: memory is short, or the gather is over.
    Any,
}

/// Partials to fold with one call.
#[derive(Debug)]
pub struct Fold {
    /// The partials, in order.
    pub inputs: Vec<Bytes>,
    /// Where the result belongs.
    pub place: TreePosition,
}

impl Fold {
    /// The bytes of the inputs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.len() as u64).sum()
    }
}

/// Where a fold's result belongs in the tree. Made by the tree, given back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreePosition {
    lo: u32,
    level: u8,
}

#[derive(Debug)]
enum Tree {
    Any(any::Levels),
    Ordered(ordered::Runs),
}

/// The partials of one query on their way into one.
#[derive(Debug)]
pub struct Partials {
    tree: Tree,
    held: u64,
    ready: usize,
    folding: usize,
    limit: u64,
}

impl Partials {
    /// None yet; `limit` is what they may take, in bytes, charged at 1.5 times their size.
    #[must_use]
    pub fn new(order: MergeOrder, limit: u64) -> Self {
        let tree = match order {
            MergeOrder::Any => Tree::Any(any::Levels::default()),
            MergeOrder::Partition => Tree::Ordered(ordered::Runs::default()),
        };
        Self { tree, held: 0, ready: 0, folding: 0, limit }
    }

    /// A leaf's partial has come.
    pub fn add(&mut self, partition: u32, partial: Bytes) {
        self.held += partial.len() as u64;
        self.ready += 1;
        match &mut self.tree {
            Tree::Any(levels) => levels.add(0, partial),
            Tree::Ordered(runs) => runs.add(partition, partial),
        }
    }

    /// A partition's partial will not come: its neighbours are now adjacent.
    pub fn skip(&mut self, partition: u32) {
        if let Tree::Ordered(runs) = &mut self.tree {
            runs.skip(partition);
        }
    }

    /// The next fold that is worth its call. To be given back by [`Partials::folded`].
    pub fn next_fold(&mut self, urgency: Urgency) -> Option<Fold> {
        let fold = match &mut self.tree {
            Tree::Any(levels) => levels.next_fold(urgency, self.folding > 0),
            Tree::Ordered(runs) => runs.next_fold(urgency, self.folding > 0),
        }?;
        self.folding += 1;
        self.ready -= fold.inputs.len();
        Some(fold)
    }

    /// A fold's result: `freed` is what its inputs took.
    pub fn folded(&mut self, place: TreePosition, result: Bytes, freed: u64) {
        self.folding -= 1;
        self.ready += 1;
        self.held = self.held.saturating_sub(freed) + result.len() as u64;
        match &mut self.tree {
            Tree::Any(levels) => levels.add(usize::from(place.level), result),
            Tree::Ordered(runs) => runs.folded(place, result),
        }
    }

    /// Folds under way.
    #[must_use]
    pub fn folding(&self) -> usize {
        self.folding
    }

    /// Partials that wait to be folded.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Bytes of partials held, those being folded included.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// True when to fold what is held is more than a call.
    #[must_use]
    pub fn is_weighty(&self) -> bool {
        self.held >= WORTH as u64
    }

    /// True when leaves should be held back until folds have freed memory.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.charge() > self.limit
    }

    /// True when leaves that were held back may go on.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.charge() <= self.limit / 2
    }

    fn charge(&self) -> u64 {
        self.held.saturating_mul(CHARGE.0) / CHARGE.1
    }

    /// All that is held and not being folded, in the order in which it may be merged.
    #[must_use]
    pub fn peek(&self) -> Vec<Bytes> {
        match &self.tree {
            Tree::Any(levels) => levels.peek(),
            Tree::Ordered(runs) => runs.peek(),
        }
    }

    /// The one that is left when all is folded; `None` when nothing ever came.
    #[must_use]
    pub fn into_last(self) -> Option<Bytes> {
        debug_assert!(self.ready <= 1 && self.folding == 0, "partials are left unfolded");
        match self.tree {
            Tree::Any(levels) => levels.into_last(),
            Tree::Ordered(runs) => runs.into_last(),
        }
    }
}

/// What one call would fold of some partials: the first `most` of them, no more once they are enough, but at least two.
struct Batch {
    count: usize,
    bytes: usize,
    largest: usize,
    most: usize,
}

impl Batch {
    fn of(sizes: impl Iterator<Item = usize>, most: usize) -> Self {
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

    fn is_full(&self) -> bool {
        self.count == self.most || (self.count >= FAN_IN && self.bytes >= WORTH) || self.is_heavy()
    }

    fn is_heavy(&self) -> bool {
        self.count >= 2 && self.bytes >= FOLD_BYTES
    }

    /// True unless one large partial would be folded again for the sake of a few small ones. What is folded evenly
    /// grows by a third each time, so that nothing is folded more than a few times for each doubling.
    fn is_even(&self) -> bool {
        self.bytes <= SMALL || self.largest <= self.bytes - self.bytes / 4
    }
}
