//! The partials that laws are checked on: what the package's leaf makes of its cases, query by query.

use std::collections::BTreeMap;
use std::sync::mpsc;

use bytes::Bytes;
use frond_root::{Cancel, Events, FailureKind, Partition, PartitionKey, Plan};
use frond_run::{Question, ask, request};

use crate::case::{Call, Case, Lower, Promises};
use crate::suite::Suite;
use crate::tester::Tester;

/// The most queries that laws are checked for.
const MAX_GROUPS: usize = 6;
/// The most partials of each.
const MAX_PARTIALS: usize = 16;
/// The most bytes of partials of each.
const MAX_BYTES: usize = 32 << 20;

/// A partial, and what it was made of.
pub(crate) struct Partial {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// A leaf's two calls on the same partition.
pub(crate) struct RepeatedCall {
    pub(crate) name: String,
    /// What the two returned, where that is not the same.
    pub(crate) differs: Option<(Bytes, Bytes)>,
}

/// The partials of one query.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) query: Bytes,
    pub(crate) partials: Vec<Partial>,
    pub(crate) twice: Vec<RepeatedCall>,
}

/// What the cases make. A case whose call fails makes nothing.
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
                let partition = Partition::new(PartitionKey::from(key.as_str()), data.clone());
                group.leaf(tester, &case.name, (*index, partition));
            }
            // Bytes that the merge is to refuse are no partials.
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
        let held: usize = self.partials.iter().map(|one| one.bytes.len()).sum();
        if self.partials.len() < MAX_PARTIALS && held + bytes.len() <= MAX_BYTES {
            self.partials.push(Partial { name, bytes });
        }
    }

    /// Calls the leaf twice: its partial is kept, and its two results are compared. One that does not come in time says
    /// nothing about either.
    fn leaf(&mut self, tester: &Tester, name: &str, (index, partition): (u32, Partition)) {
        let Some(leaf) = tester.components.leaf.as_ref().filter(|_| self.partials.len() < MAX_PARTIALS) else {
            return;
        };
        let by = Lower::default();
        let call = || tester.call_leaf(leaf, &self.query, (index, partition.clone()), &by).map(|trial| trial.result);
        let Ok(Ok(first)) = call() else {
            return;
        };
        let differs = match call() {
            Ok(Ok(second)) if second == first => None,
            Ok(Ok(second)) => Some((first.clone(), second)),
            Ok(Err(failure)) if matches!(failure.kind, FailureKind::OutOfTime | FailureKind::Unavailable) => return,
            Ok(Err(failure)) => Some((first.clone(), Bytes::from(failure.to_string()))),
            Err(_) => return,
        };
        self.twice.push(RepeatedCall { name: name.to_owned(), differs });
        self.add(name.to_owned(), first);
    }
}

/// The partitions that the app cuts for a case's query, no more than `most` of them.
pub(crate) fn cut(tester: &Tester, case: &Case, promises: &Promises, most: usize) -> Vec<Partition> {
    let Ok(app) = tester.package.clone().app() else {
        return Vec::new();
    };
    let Ok(wired) = tester.components.wire(&app, 1, tester.runtime.handle()) else {
        return Vec::new();
    };
    let (send, receive) = mpsc::channel();
    let planned = move |plan: Plan| {
        // Only the plan is wanted: a query without partitions costs nothing. Nobody else reads the channel.
        let _ = send.send(plan.partitions().iter().take(most).cloned().collect());
        Plan::new(Vec::new())
    };
    let question = Question {
        input: promises.input.iter().cloned().collect(),
        piece_size: promises.piece_size,
        planned: Some(Box::new(planned)),
        ..Question::new(request(&app, &case.query, tester.slots))
    };
    // It ends as it likes: what it was to do is done once it is cut.
    let _ = tester.runtime.block_on(ask(&wired, question, Events::default(), Cancel::default()));
    receive.try_recv().unwrap_or_default()
}
