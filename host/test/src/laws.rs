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

pub(crate) mod partials;
mod tree;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use frond_root::MergeOrder;
use frond_root::runner::Covered;
use frond_sandbox::Guests;
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;
use serde::Serialize;

use crate::case::Lower;
use crate::diff::{diff, shown};
use crate::suite::Suite;
use crate::tester::Tester;
use partials::Group;
use tree::Tree;

/// Number of random trees for each query.
const TREES: usize = 24;
/// Bytes by which a merged partial may exceed its inputs: a header, a rounding.
const SLACK: u64 = 1 << 10;
/// Limit on the folds that the search for a smaller counter-example may take.
const MAX_SHRINKS: usize = 400;

/// Law that a merge or a leaf must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the module says them")]
pub enum Law {
    Determinism,
    Identity,
    Associativity,
    Commutativity,
    Grouping,
    Growth,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Determinism => "determinism",
            Self::Identity => "identity",
            Self::Associativity => "associativity",
            Self::Commutativity => "commutativity",
            Self::Grouping => "grouping",
            Self::Growth => "growth",
        })
    }
}

/// Result of checking one law.
#[derive(Clone, Debug, Serialize)]
pub struct LawResult {
    /// The law.
    pub law: Law,
    /// Number of checks in which it held.
    pub checked: u64,
    /// Number of checks without a verdict, because both sides failed alike.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Message of the first such failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The smallest counter-example found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<CounterExample>,
}

/// A counter-example of a law.
#[derive(Clone, Debug, Serialize)]
pub struct CounterExample {
    /// The two sides of the law and their inputs.
    pub what: String,
    /// Line diff of the two results.
    pub diff: String,
}

impl LawResult {
    fn new(law: Law) -> Self {
        Self { law, checked: 0, failed: 0, failure: None, broken: None }
    }

    /// Returns true if the law held at least once and no counter-example was found.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_none() && self.checked > 0
    }

    /// Returns true if every check failed without a verdict.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.broken.is_none() && self.checked == 0 && self.failed > 0
    }

    /// Withdraws the counter-example of a merge that never succeeded: a failure on one side alone
    /// says nothing about the law.
    fn says_nothing(&mut self, failure: &str) {
        if self.broken.take().is_some() {
            self.fails(failure.to_owned());
        }
    }

    fn fails(&mut self, failure: String) {
        self.failed += 1;
        self.failure.get_or_insert(failure);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Tester {
    /// Checks the laws that apply to this package on the partials of its cases. `seed` decides
    /// shuffles and trees.
    #[must_use]
    pub fn laws(&self, suite: &Suite, seed: u64) -> Vec<LawResult> {
        let groups = partials::of(self, suite);
        let mut tried = Vec::new();
        if self.components.leaf.is_some() {
            tried.push(determinism(&groups));
        }
        let Some(guests) = &self.components.merge else {
            return tried;
        };
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut laws = Laws::default();
        let merges = Merges::default();
        for group in &groups {
            let time = self.merge_time(&Lower::default());
            let folding = Folding { tester: self, guests, group, time, merges: &merges };
            laws.check(&folding, self.package.order, &mut random);
        }
        if let Some(failure) = merges.always_failed() {
            laws.0.iter_mut().for_each(|law| law.says_nothing(&failure));
        }
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

/// Tally of the merge calls.
#[derive(Default)]
struct Merges {
    succeeded: Cell<u64>,
    /// Message of the first failed call.
    failure: RefCell<Option<String>>,
}

impl Merges {
    fn take(&self, result: Result<Bytes, String>) -> Result<Bytes, String> {
        match &result {
            Ok(_) => self.succeeded.set(self.succeeded.get() + 1),
            Err(failure) => drop(self.failure.borrow_mut().get_or_insert_with(|| failure.clone())),
        }
        result
    }

    /// Returns the failure of the merge if none of its calls succeeded.
    fn always_failed(&self) -> Option<String> {
        self.failure.borrow().clone().filter(|_| self.succeeded.get() == 0)
    }
}

/// The answer that `finish` returns for a tree, or the failure: two failures with the same message
/// are equal.
type FinishOutcome = Result<Bytes, String>;

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
