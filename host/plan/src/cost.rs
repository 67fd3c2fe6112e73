//! The cost model: `T(n) = fixed + W/n·skew + o·n + merge(n)`.

use serde::Serialize;

use crate::split_merge;

/// Times that make up a query, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Time that every query takes, however many leaves it has: plan, finish and reply.
    pub fixed: f64,
    /// `W`: sum of the times of all leaves.
    pub work: f64,
    /// `o`: time that each further piece costs the root.
    pub overhead: f64,
    /// Time of one merge of partials.
    pub fold: f64,
    /// Number of partials that one merge takes.
    pub fan_in: u64,
    /// Coefficient of variation of the time of a piece.
    pub cv: f64,
    /// True if idle slots take the rest of running pieces, so that no slot waits for the last one.
    pub is_cut: bool,
}

/// Number of leaves at once, and of the pieces that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Number of leaves at once.
    pub leaves: u64,
    /// Number of pieces.
    pub pieces: u64,
}

impl Layout {
    /// Returns the number of leaves that run at once: no more than there are pieces.
    #[must_use]
    pub fn busy(self) -> u64 {
        self.leaves.min(self.pieces).max(1)
    }
}

impl Cost {
    /// Returns `T`: the expected time of a query.
    #[must_use]
    pub fn time(&self, layout: Layout) -> f64 {
        self.beside_leaves(layout) + self.work / layout.busy() as f64 * self.skew(layout)
    }

    /// Returns the part of `T` that is not the leaves' time: `fixed + o·n + merge(n)`.
    #[must_use]
    pub fn beside_leaves(&self, layout: Layout) -> f64 {
        self.fixed + self.overhead * layout.pieces as f64 + self.merge(layout.pieces)
    }

    /// Returns the time of the leaves divided by an equal share of the work.
    #[must_use]
    pub fn skew(&self, layout: Layout) -> f64 {
        let busy = layout.busy();
        if self.is_cut { 1.0 } else { split_merge::stretch(busy, layout.pieces / busy, self.cv) }
    }

    /// Returns the time of the merges that follow each other: one for each level of a tree.
    #[must_use]
    pub fn merge(&self, pieces: u64) -> f64 {
        self.fold * f64::from(levels(pieces, self.fan_in))
    }

    /// Returns the share of the leaves' slots that a query puts to use: `T(1) / (n·T(n))`.
    #[must_use]
    pub fn efficiency(&self, layout: Layout) -> f64 {
        let alone = self.time(Layout { leaves: 1, pieces: 1 });
        let used = layout.busy() as f64 * self.time(layout);
        if used > 0.0 { (alone / used).min(1.0) } else { 1.0 }
    }
}

/// Returns the number of leaves at which `work/n + overhead·n` is least: `√(W/o)`. The time changes
/// little around it. Without overhead it is infinite.
#[must_use]
pub fn flat_optimum(work: f64, overhead: f64) -> f64 {
    (work / overhead).sqrt()
}

/// Returns the number of levels of a tree of merges over `pieces` partials.
#[must_use]
pub fn levels(pieces: u64, fan_in: u64) -> u32 {
    let fan_in = fan_in.max(2);
    let mut left = pieces;
    let mut levels = 0;
    while left > 1 {
        left = left.div_ceil(fan_in);
        levels += 1;
    }
    levels
}
