//! Decides which partials are folded together, and when. The merge tree has fan-in
//! [`FAN_IN`](fold::FAN_IN), up to [`MAX_FAN_IN`](fold::MAX_FAN_IN) for tiny partials. Each partial
//! is folded about log₈(n) times, whatever the order of arrival.

mod any;
pub mod fold;
mod ordered;
mod span;

use bytes::Bytes;

use crate::request::MergeOrder;

pub use span::{Position, Span};

use fold::{Fold, TreePosition, Urgency, WORTH};

/// Held partials are charged at this ratio of their size, as a merge holds its input and its
/// output.
const CHARGE: (u64, u64) = (3, 2);

/// Merge tree, by the order in which the app's merge takes partials.
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
    pub fn add(&mut self, span: impl Into<Span>, partial: Bytes) {
        self.held += partial.len() as u64;
        self.ready += 1;
        match &mut self.tree {
            Tree::Any(levels) => levels.add(0, partial),
            Tree::Ordered(runs) => runs.add(span.into(), partial),
        }
    }

    /// Marks a partition, or a part of one, as missing, which makes its neighbours adjacent.
    pub fn skip(&mut self, span: impl Into<Span>) {
        if let Tree::Ordered(runs) = &mut self.tree {
            runs.skip(span.into());
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

    /// Another tree of the held partials that are not being folded. Nothing is awaited between
    /// them.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let (order, held) = match &self.tree {
            Tree::Any(levels) => (MergeOrder::Any, levels.peek()),
            Tree::Ordered(runs) => (MergeOrder::Partition, runs.peek()),
        };
        let mut snapshot = Self::new(order, self.limit);
        (0_u32..).zip(held).for_each(|(place, partial)| snapshot.add(place, partial));
        snapshot
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
