//! Decides which partials are folded together, and when. The merge tree has fan-in [`FAN_IN`], up
//! to [`MAX_FAN_IN`] for tiny partials. Each partial is folded about log₈(n) times, whatever the
//! order of arrival.

mod any;
mod ordered;

use bytes::Bytes;

use crate::request::MergeOrder;

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
/// Held partials are charged at this ratio of their size, as a merge holds its input and its
/// output.
const CHARGE: (u64, u64) = (3, 2);

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
    lo: u32,
    level: u8,
}

#[derive(Debug)]
enum Tree {
    Any(any::Levels),
    Ordered(ordered::Runs),
}

/// Merge tree of one query: the partials that are not folded yet.
#[derive(Debug)]
pub struct Partials {
    tree: Tree,
    held: u64,
    ready: usize,
    folding: usize,
    limit: u64,
}

impl Partials {
    /// An empty tree. `limit` is the memory for partials in bytes, charged at 1.5 times their size.
    #[must_use]
    pub fn new(order: MergeOrder, limit: u64) -> Self {
        let tree = match order {
            MergeOrder::Any => Tree::Any(any::Levels::default()),
            MergeOrder::Partition => Tree::Ordered(ordered::Runs::default()),
        };
        Self { tree, held: 0, ready: 0, folding: 0, limit }
    }

    /// Adds a leaf's partial.
    pub fn add(&mut self, partition: u32, partial: Bytes) {
        self.held += partial.len() as u64;
        self.ready += 1;
        match &mut self.tree {
            Tree::Any(levels) => levels.add(0, partial),
            Tree::Ordered(runs) => runs.add(partition, partial),
        }
    }

    /// Marks a partition as missing, which makes its neighbours adjacent.
    pub fn skip(&mut self, partition: u32) {
        if let Tree::Ordered(runs) = &mut self.tree {
            runs.skip(partition);
        }
    }

    /// Takes the next fold that `urgency` allows. Its result goes back with [`Partials::folded`].
    pub fn next_fold(&mut self, urgency: Urgency) -> Option<Fold> {
        let fold = match &mut self.tree {
            Tree::Any(levels) => levels.next_fold(urgency, self.folding > 0),
            Tree::Ordered(runs) => runs.next_fold(urgency, self.folding > 0),
        }?;
        self.folding += 1;
        self.ready -= fold.inputs.len();
        Some(fold)
    }

    /// Adds the result of a fold whose inputs had `freed` bytes.
    pub fn folded(&mut self, place: TreePosition, result: Bytes, freed: u64) {
        self.folding -= 1;
        self.ready += 1;
        self.held = self.held.saturating_sub(freed) + result.len() as u64;
        match &mut self.tree {
            Tree::Any(levels) => levels.add(usize::from(place.level), result),
            Tree::Ordered(runs) => runs.folded(place, result),
        }
    }

    /// Number of running folds.
    #[must_use]
    pub fn folding(&self) -> usize {
        self.folding
    }

    /// Number of partials that wait to be folded.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Bytes of held partials, including the inputs of running folds.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// True when folding the held partials costs more than a call: they have [`WORTH`] bytes.
    #[must_use]
    pub fn is_weighty(&self) -> bool {
        self.held >= WORTH as u64
    }

    /// True when no leaves should start until folds have freed memory (backpressure).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.charge() > self.limit
    }

    /// True when leaves may start again.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.charge() <= self.limit / 2
    }

    fn charge(&self) -> u64 {
        self.held.saturating_mul(CHARGE.0) / CHARGE.1
    }

    /// The held partials that are not being folded, in merge order.
    #[must_use]
    pub fn peek(&self) -> Vec<Bytes> {
        match &self.tree {
            Tree::Any(levels) => levels.peek(),
            Tree::Ordered(runs) => runs.peek(),
        }
    }

    /// The last partial after all folds; `None` when there were no partials.
    #[must_use]
    pub fn into_last(self) -> Option<Bytes> {
        debug_assert!(self.ready <= 1 && self.folding == 0, "partials are left unfolded");
        match self.tree {
            Tree::Any(levels) => levels.into_last(),
            Tree::Ordered(runs) => runs.into_last(),
        }
    }
}

/// Inputs of one call: the first `most` partials, fewer once they are full, but at least two.
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

    /// True for a small fold, and for one whose largest input has at most three quarters of the
    /// bytes. An uneven fold would merge one large partial again for a few small ones. An even fold
    /// grows the largest input by at least a third, so that nothing is folded more than a few times
    /// per doubling.
    fn is_even(&self) -> bool {
        self.bytes <= SMALL || self.largest <= self.bytes - self.bytes / 4
    }
}
