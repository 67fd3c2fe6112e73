//! Merge trees: the ways to fold partials, by grouping and order.

use rand::RngExt;
use rand::rngs::ChaCha12Rng;
use rand::seq::SliceRandom;

/// Limit on the partials that a random tree folds.
const MAX_LEAVES: usize = 12;

/// A way to fold some partials, given by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tree {
    One(usize),
    Fold(Vec<Tree>),
}

impl Tree {
    /// Returns a random tree over two or more of `count` partials, in their order unless it is
    /// `free`.
    pub(crate) fn random(count: usize, free: bool, random: &mut ChaCha12Rng) -> Self {
        let mut numbers: Vec<usize> = (0..count).collect();
        numbers.shuffle(random);
        numbers.truncate(random.random_range(2..=count.clamp(2, MAX_LEAVES)));
        if !free {
            numbers.sort_unstable();
        }
        let mut trees: Vec<Self> = numbers.into_iter().map(Self::One).collect();
        while trees.len() > 1 {
            let width = random.random_range(2..=trees.len());
            let from = random.random_range(0..=trees.len() - width);
            let folded = Self::Fold(trees.drain(from..from + width).collect());
            trees.insert(from, folded);
        }
        trees.pop().unwrap_or(Self::One(0))
    }

    /// Returns the numbers of its partials, from left to right.
    pub(crate) fn leaves(&self) -> Vec<usize> {
        match self {
            Self::One(at) => vec![*at],
            Self::Fold(children) => children.iter().flat_map(Self::leaves).collect(),
        }
    }

    /// Returns one fold of the same partials in their order.
    pub(crate) fn flat(&self) -> Self {
        let mut leaves = self.leaves();
        leaves.sort_unstable();
        match leaves[..] {
            [only] => Self::One(only),
            _ => Self::Fold(leaves.into_iter().map(Self::One).collect()),
        }
    }

    /// Returns the trees that are one step simpler: one partial less, one level less, or two
    /// neighbours swapped into order.
    pub(crate) fn simpler(&self) -> Vec<Self> {
        let Self::Fold(children) = self else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let with = |at: usize, put: Vec<Self>| {
            let mut all = children.clone();
            all.splice(at..=at, put);
            match all.len() {
                1 => all.pop().unwrap_or(Self::One(0)),
                _ => Self::Fold(all),
            }
        };
        if children.len() > 1 {
            found.extend((0..children.len()).map(|at| with(at, Vec::new())));
        }
        for (at, child) in children.iter().enumerate() {
            if let Self::Fold(below) = child {
                found.push(with(at, below.clone()));
            }
            found.extend(child.simpler().into_iter().map(|simpler| with(at, vec![simpler])));
        }
        for at in 1..children.len() {
            let mut swapped = children.clone();
            swapped.swap(at - 1, at);
            let swapped = Self::Fold(swapped);
            if swapped.leaves() < self.leaves() {
                found.push(swapped);
            }
        }
        found
    }

    /// Formats the tree as a formula: `merge(0, merge(1, 2))`.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::One(at) => at.to_string(),
            Self::Fold(children) => {
                format!("merge({})", children.iter().map(Self::shown).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
