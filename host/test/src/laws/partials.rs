//! Partials for the checks of laws: those that the package's leaf returns for its cases, grouped by
//! query.

use std::collections::BTreeMap;
use std::sync::mpsc;

use bytes::Bytes;
use frond_root::{CancellationToken, Events, FailureKind, Partition, Plan};
use frond_run::{Question, ask};

use crate::case::{Call, Case, Lower, Promises};
use crate::suite::Suite;
use crate::tester::Tester;

/// Limit on the queries that laws are checked for.
const MAX_GROUPS: usize = 6;
/// Limit on the partials of one query.
const MAX_PARTIALS: usize = 16;
/// Limit in bytes on the partials of one query.
const MAX_BYTES: usize = 32 << 20;

/// A partial and the name of its origin.
pub(crate) struct Partial {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// Result of a leaf's two calls on the same partition.
pub(crate) struct RepeatedCall {
    pub(crate) name: String,
    /// The two results, if they differ.
    pub(crate) differs: Option<(Bytes, Bytes)>,
}

/// Outcome of a leaf's call: its partial, or its failure in words.
pub(crate) type LeafOutcome = Result<Bytes, String>;

/// Partition of a query, with its outcome in a fresh instance.
pub(crate) struct LeafInput {
    pub(crate) name: String,
    /// Number of the partition, as the leaf sees it.
    pub(crate) index: u32,
    pub(crate) partition: Partition,
    pub(crate) fresh: LeafOutcome,
}

/// Partials of one query.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) query: Bytes,
    pub(crate) partials: Vec<Partial>,
    pub(crate) twice: Vec<RepeatedCall>,
    /// Partitions on which the leaf is deterministic.
    pub(crate) inputs: Vec<LeafInput>,
}

/// Returns the partials of the cases, grouped by query. A case whose call fails adds none.
pub(crate) fn of(tester: &Tester, suite: &Suite) -> Vec<Group> {
    let mut groups: BTreeMap<Bytes, Group> = BTreeMap::new();
    for case in suite.cases.iter().filter_map(|(_, case)| case.as_ref().ok()) {
        if !case.inject.is_empty() || (groups.len() >= MAX_GROUPS && !groups.contains_key(&case.query)) {
            continue;
        }
        let group = groups.entry(case.query.clone()).or_default();
        group.query = case.query.clone();
        match &case.call {
            Call::Leaf { key, index, data } => {
                let partition = tester.package.partition(key, data.clone());
                group.leaf(tester, &case.name, (*index, partition));
            }
            // A case in which the merge must fail has invalid partials.
            Call::Merge { partials } if case.expect.failure.is_none() => {
                for (at, bytes) in partials.iter().enumerate() {
                    group.add(format!("{} {at}", case.name), bytes.clone());
                }
            }
            Call::Query(promises) => {
                for (index, partition) in (0_u32..).zip(cut(tester, case, promises, MAX_PARTIALS)) {
                    group.leaf(tester, partition.key.clone().as_str(), (index, partition));
                }
            }
            Call::Merge { .. } | Call::Finish { .. } | Call::Split { .. } => {}
        }
    }
    groups.into_values().collect()
}

impl Group {
    fn add(&mut self, name: String, bytes: Bytes) {
        let stored: usize = self.partials.iter().map(|one| one.bytes.len()).sum();
        if self.partials.len() < MAX_PARTIALS && stored + bytes.len() <= MAX_BYTES {
            self.partials.push(Partial { name, bytes });
        }
    }

    /// Calls the leaf twice, compares the two results and adds the first one. If either call does
    /// not return in time, neither is used.
    fn leaf(&mut self, tester: &Tester, name: &str, (index, partition): (u32, Partition)) {
        let Some(leaf) = tester.components.leaf.as_ref().filter(|_| self.partials.len() < MAX_PARTIALS) else {
            return;
        };
        let by = Lower::default();
        let call = || tester.call_leaf(leaf, &self.query, (index, partition.clone()), &by).map(|trial| trial.result);
        let input = |fresh| LeafInput { name: name.to_owned(), index, partition: partition.clone(), fresh };
        let first = match call() {
            Ok(Ok(first)) => first,
            Ok(Err(failure)) => {
                // The leaf itself refuses the partition, which keeps the instance.
                if matches!(failure.kind, FailureKind::InvalidQuery | FailureKind::InvalidPartition) {
                    self.inputs.push(input(Err(failure.to_string())));
                }
                return;
            }
            Err(_) => return,
        };
        let differs = match call() {
            Ok(Ok(second)) if second == first => None,
            Ok(Ok(second)) => Some((first.clone(), second)),
            Ok(Err(failure)) if matches!(failure.kind, FailureKind::OutOfTime | FailureKind::Unavailable) => return,
            Ok(Err(failure)) => Some((first.clone(), Bytes::from(failure.to_string()))),
            Err(_) => return,
        };
        if differs.is_none() {
            self.inputs.push(input(Ok(first.clone())));
        }
        self.twice.push(RepeatedCall { name: name.to_owned(), differs });
        self.add(name.to_owned(), first);
    }
}

/// Returns the partitions into which the app splits a case's query, `most` at most.
pub(crate) fn cut(tester: &Tester, case: &Case, promises: &Promises, most: usize) -> Vec<Partition> {
    let Ok(app) = tester.package.clone().app() else {
        return Vec::new();
    };
    let Ok(wired) = tester.components.wire(&app, tester.slots, tester.runtime.handle()) else {
        return Vec::new();
    };
    let (send, receive) = mpsc::channel();
    let planned = move |plan: Plan| {
        // The plan alone is needed: an empty plan costs nothing. Nobody else reads the channel.
        let _ = send.send(plan.partitions().iter().take(most).cloned().collect());
        Plan::new(Vec::new())
    };
    let question = Question {
        input: promises.input.iter().cloned().collect(),
        piece_size: promises.piece_size,
        planned: Some(Box::new(planned)),
        ..Question::new(wired.request(&case.query))
    };
    // The outcome does not matter: the partitions have been sent.
    let _ = tester.runtime.block_on(ask(&wired, question, Events::default(), CancellationToken::new()));
    receive.try_recv().unwrap_or_default()
}
