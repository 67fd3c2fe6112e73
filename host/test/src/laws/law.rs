//! A law, and the result of checking it.

use std::cell::{Cell, RefCell};
use std::fmt;

use bytes::Bytes;
use frond_root::FailureKind;
use serde::Serialize;

/// Limit on the folds, sequences of calls, or schedules, of the search for a smaller
/// counter-example.
pub(super) const MAX_SHRINKS: usize = 400;

/// Law that a merge or a leaf must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the module `laws` says them")]
pub enum Law {
    Determinism,
    Warm,
    Cut,
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
            Self::Warm => "warm",
            Self::Cut => "cut",
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
    /// Parts of the law that were not checked, or not fully: a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A counter-example of a law.
#[derive(Clone, Debug, Serialize)]
pub struct CounterExample {
    /// The two sides of the law and their inputs.
    pub what: String,
    /// Line diff of the two results.
    pub diff: String,
}

/// Tally of the merge calls.
#[derive(Default)]
pub(super) struct Merges {
    succeeded: Cell<u64>,
    /// Message of the first failed call.
    failure: RefCell<Option<String>>,
}

impl Merges {
    pub(super) fn take(&self, result: Result<Bytes, String>) -> Result<Bytes, String> {
        match &result {
            Ok(_) => self.succeeded.set(self.succeeded.get() + 1),
            Err(failure) => drop(self.failure.borrow_mut().get_or_insert_with(|| failure.clone())),
        }
        result
    }

    /// Returns the failure of the merge if none of its calls succeeded.
    pub(super) fn always_failed(&self) -> Option<String> {
        self.failure.borrow().clone().filter(|_| self.succeeded.get() == 0)
    }
}

/// True if a failure says nothing about a law: the same call may succeed on a less loaded machine,
/// or later.
pub(super) fn is_chance(kind: FailureKind) -> bool {
    kind.is_passing() || kind == FailureKind::OutOfTime
}

/// The answer that `finish` returns, or the failure: two failures with the same message
/// are equal.
pub(super) type FinishOutcome = Result<Bytes, String>;

impl LawResult {
    pub(super) fn new(law: Law) -> Self {
        Self { law, checked: 0, failed: 0, failure: None, broken: None, notes: Vec::new() }
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
    pub(super) fn says_nothing(&mut self, failure: &str) {
        if self.broken.take().is_some() {
            self.fails(failure.to_owned());
        }
    }

    pub(super) fn fails(&mut self, failure: String) {
        self.failed += 1;
        self.failure.get_or_insert(failure);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
