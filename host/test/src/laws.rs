//! Laws of merges and leaves, which allow the root to fold in any tree, in any order, and to retry.
//! They are checked on the partials that the package's own leaf returns for its own cases, by
//! comparing the answers of `finish`.
//!
//! - *identity*: a partial that is merged alone gives the same answer as the partial itself.
//! - *associativity*: `(a b) c` is `a (b c)`.
//! - *commutativity*: `a b` is `b a`, unless the app declares its merge ordered.
//! - *grouping*: any random tree, over any order if order is free, gives the answer of one flat
//!   fold.
//! - *growth*: a merged partial is not larger than its inputs together.
//! - *determinism*: a leaf returns the same bytes for the same partition, so that a retry or a
//!   hedge changes no answer.
//! - *warm*: a leaf returns the same bytes whatever its instance has served before. The law is
//!   checked if the app keeps instances for a query.
//! - *cut*: a partition gives the same answer in whatever pieces and parts it is taken, and from
//!   whatever kept partial it is run again. The law is checked if the leaf imports `pieces`.

mod cut;
mod law;
pub(crate) mod partials;
mod tree;
mod warm;

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use frond_root::MergeOrder;
use frond_root::call::InstanceMode;
use frond_root::runner::Covered;
use frond_sandbox::Guests;
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use crate::case::Lower;
use crate::diff::{diff, shown};
use crate::suite::Suite;
use crate::tester::Tester;
pub use law::{CounterExample, Law, LawResult};
use law::{FinishOutcome, MAX_SHRINKS, Merges};
use partials::Group;
use tree::Tree;

/// Number of random trees for each query.
const TREES: usize = 24;
/// Bytes by which a merged partial may exceed its inputs: a header, a rounding.
const SLACK: u64 = 1 << 10;

impl Tester {
    /// Checks the laws that apply to this package on the partials of its cases. `seed` decides
    /// sequences, shuffles and trees.
    #[must_use]
    pub fn laws(&self, suite: &Suite, seed: u64) -> Vec<LawResult> {
        let groups = partials::of(self, suite);
        let mut tried = Vec::new();
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        if let Some(leaf) = &self.components.leaf {
            tried.push(determinism(&groups));
            if self.package.instance == InstanceMode::Query {
                tried.push(warm::warm(self, leaf, &groups, &mut random));
            }
        }
        let Some(guests) = &self.components.merge else {
            return tried;
        };
        let mut laws = Laws::default();
        let merges = Merges::default();
        let pieces = self.components.leaf.as_ref().filter(|leaf| leaf.plugin.takes_pieces());
        let mut cut = pieces.map(|leaf| cut::cut(self, (leaf, guests), &groups, &merges, seed));
        for group in &groups {
            let time = self.merge_time(&Lower::default());
            let folding = Folding { tester: self, guests, group, time, merges: &merges };
            laws.check(&folding, self.package.order, &mut random);
        }
        if let Some(failure) = merges.always_failed() {
            laws.0.iter_mut().chain(&mut cut).for_each(|law| law.says_nothing(&failure));
        }
        tried.extend(cut);
        tried.extend(laws.0);
        tried.retain(|one| one.law != Law::Commutativity || self.package.order == MergeOrder::Any);
        tried
    }
}

fn determinism(groups: &[Group]) -> LawResult {
    let mut law = LawResult::new(Law::Determinism);
    for repeated in groups.iter().flat_map(|group| &group.twice) {
        match &repeated.differs {
            None => law.checked += 1,
            Some((one, other)) if law.broken.is_none() => {
                law.broken = Some(CounterExample {
                    what: format!("the leaf was called twice on `{}`, and did not return the same", repeated.name),
                    diff: diff(&shown(one), &shown(other)),
                });
            }
            Some(_) => {}
        }
    }
    law
}

/// Results of the laws of a merge.
struct Laws([LawResult; 5]);

impl Default for Laws {
    fn default() -> Self {
        let all = [Law::Identity, Law::Associativity, Law::Commutativity, Law::Grouping, Law::Growth];
        Self(all.map(LawResult::new))
    }
}

impl Laws {
    fn check(&mut self, folding: &Folding<'_>, order: MergeOrder, random: &mut ChaCha12Rng) {
        let Self([identity, associativity, commutativity, grouping, growth]) = self;
        let count = folding.group.partials.len();
        let one = Tree::One;
        for at in 0..count.min(8) {
            folding.same(identity, &one(at), &Tree::Fold(vec![one(at)]));
        }
        for at in 0..count.saturating_sub(2).min(8) {
            let a = one(at);
            let b = one(at + 1);
            let c = one(at + 2);
            let left = Tree::Fold(vec![Tree::Fold(vec![a.clone(), b.clone()]), c.clone()]);
            let right = Tree::Fold(vec![a, Tree::Fold(vec![b, c])]);
            folding.same(associativity, &left, &right);
        }
        let free = order == MergeOrder::Any;
        if free {
            for at in 0..count.saturating_sub(1).min(8) {
                let a = one(at);
                let b = one(at + 1);
                folding.same(commutativity, &Tree::Fold(vec![a.clone(), b.clone()]), &Tree::Fold(vec![b, a]));
            }
        }
        if count > 1 {
            let mut seen = HashSet::new();
            for _ in 0..TREES {
                let tree = Tree::random(count, free, random);
                if seen.insert(tree.clone()) {
                    folding.same(grouping, &tree.flat(), &tree);
                }
            }
            folding.grows(growth);
        }
    }
}

/// Context of a check: one query's partials, and the merge that folds them.
struct Folding<'a> {
    tester: &'a Tester,
    guests: &'a Guests,
    group: &'a Group,
    time: Duration,
    merges: &'a Merges,
}

impl Folding<'_> {
    fn fold(&self, tree: &Tree) -> FinishOutcome {
        match tree {
            Tree::One(at) => Ok(self.group.partials.get(*at).map(|one| one.bytes.clone()).unwrap_or_default()),
            Tree::Fold(children) => {
                let inputs: Result<Vec<Bytes>, String> = children.iter().map(|child| self.fold(child)).collect();
                let trial = self.tester.trials().merge(self.guests, &self.group.query, &inputs?, self.time);
                self.merges.take(trial.result.map_err(|failure| failure.to_string()))
            }
        }
    }

    fn finish(&self, tree: &Tree) -> FinishOutcome {
        let merged = self.fold(tree)?;
        let weight = tree.leaves().len() as u64;
        let covered = Covered { planned: weight, covered: weight, complete: true };
        let query = &self.group.query;
        let trial = self.tester.trials().finish(self.guests, query, Some(&merged), covered, self.time);
        trial.result.map_err(|failure| failure.to_string())
    }

    /// Checks that two trees over the same partials give the same answer.
    fn same(&self, law: &mut LawResult, one: &Tree, other: &Tree) {
        let _host_calls_wait_on = self.tester.runtime.enter();
        if law.broken.is_some() {
            return;
        }
        match (self.finish(one), self.finish(other)) {
            (Ok(one), Ok(other)) if one == other => return law.checked += 1,
            (Err(one), Err(other)) if one == other => return law.fails(one),
            _ => {}
        }
        let (one, other) = match law.law {
            Law::Grouping => self.shrink(other.clone()),
            _ => (one.clone(), other.clone()),
        };
        let name = |at: usize| self.group.partials.get(at).map_or("?", |partial| partial.name.as_str());
        let left = self.finish(&one);
        let right = self.finish(&other);
        let text = |outcome: &FinishOutcome| match outcome {
            Ok(bytes) => shown(bytes),
            Err(failure) => failure.clone(),
        };
        law.broken = Some(CounterExample {
            what: format!(
                "- {}\n+ {}\n  of the query {}, where {}",
                one.shown(),
                other.shown(),
                shown(&self.group.query),
                one.leaves().iter().map(|at| format!("{at} is `{}`", name(*at))).collect::<Vec<_>>().join(", "),
            ),
            diff: diff(&text(&left), &text(&right)),
        });
    }

    /// Returns the smallest tree found whose answer differs from that of its flat fold, after that
    /// flat fold.
    fn shrink(&self, mut tree: Tree) -> (Tree, Tree) {
        let mut left = MAX_SHRINKS;
        'again: loop {
            for simpler in tree.simpler() {
                if left == 0 {
                    break 'again;
                }
                left -= 1;
                if self.finish(&simpler) != self.finish(&simpler.flat()) {
                    tree = simpler;
                    continue 'again;
                }
            }
            break;
        }
        (tree.flat(), tree)
    }

    fn grows(&self, law: &mut LawResult) {
        let count = self.group.partials.len();
        let all = Tree::Fold((0..count).map(Tree::One).collect());
        let into: u64 = self.group.partials.iter().map(|one| one.bytes.len() as u64).sum();
        let _host_calls_wait_on = self.tester.runtime.enter();
        match self.fold(&all) {
            Ok(merged) if merged.len() as u64 > into + SLACK && law.broken.is_none() => {
                law.broken = Some(CounterExample {
                    what: format!("{count} partials of {into} bytes together were merged into {} bytes", merged.len()),
                    diff: String::new(),
                });
            }
            Ok(_) => law.checked += 1,
            Err(failure) => law.fails(failure),
        }
    }
}
