//! Law *warm*: through one instance, the partitions of a query give the bytes that fresh instances
//! give, in any order and repeated. A leaf keeps it if no answer depends on earlier partitions.

use std::iter::successors;

use bytes::Bytes;
use frond_sandbox::Leaf;
use rand::rngs::ChaCha12Rng;
use rand::seq::SliceRandom;

use super::law::{CounterExample, Law, LawResult, MAX_SHRINKS, is_chance};
use super::partials::{Group, LeafOutcome};
use crate::case::Lower;
use crate::diff::{diff, shown};
use crate::tester::Tester;

/// Number of random sequences for each query.
const SEQUENCES: usize = 4;
/// Number of times that a sequence has each partition.
const REPEATS: usize = 2;

/// Checks the law on the partitions of `groups`.
pub(super) fn warm(tester: &Tester, leaf: &Leaf, groups: &[Group], random: &mut ChaCha12Rng) -> LawResult {
    let mut law = LawResult::new(Law::Warm);
    for group in groups.iter().filter(|group| !group.inputs.is_empty()) {
        let instance = WarmInstance { tester, leaf, group };
        for _ in 0..SEQUENCES {
            let mut sequence: Vec<usize> = (0..group.inputs.len()).cycle().take(group.inputs.len() * REPEATS).collect();
            sequence.shuffle(random);
            instance.check(&mut law, &sequence);
        }
    }
    law
}

/// One instance for the partitions of one query. A sequence names them by their places in the
/// group.
struct WarmInstance<'a> {
    tester: &'a Tester,
    leaf: &'a Leaf,
    group: &'a Group,
}

/// Call whose outcome differs from that of a fresh instance.
struct DifferentCall {
    /// Place of the call in its sequence.
    at: usize,
    outcome: LeafOutcome,
}

impl WarmInstance<'_> {
    fn check(&self, law: &mut LawResult, sequence: &[usize]) {
        if law.broken.is_some() {
            return;
        }
        match self.difference(sequence) {
            Ok(None) => law.checked += 1,
            Ok(Some(call)) => law.broken = Some(self.shrink(sequence, call)),
            Err(failure) => law.fails(failure),
        }
    }

    /// Makes the calls of a sequence, and returns the first one whose outcome is different.
    ///
    /// # Errors
    /// The failure of a call that says nothing about the leaf.
    fn difference(&self, sequence: &[usize]) -> Result<Option<DifferentCall>, String> {
        let inputs: Vec<_> = sequence.iter().filter_map(|place| self.group.inputs.get(*place)).collect();
        let partitions: Vec<_> = inputs.iter().map(|input| (input.index, input.partition.clone())).collect();
        let _host_calls_wait_on = self.tester.runtime.enter();
        let time = self.tester.leaf_time(&Lower::default());
        let trials = self.tester.trials().leaf_sequence(self.leaf, &self.group.query, &partitions, time);
        for (at, (input, trial)) in inputs.iter().zip(trials.map_err(|error| error.to_string())?).enumerate() {
            match trial.result {
                Err(failure) if is_chance(failure.kind) => return Err(failure.to_string()),
                result => {
                    let outcome = result.map_err(|failure| failure.to_string());
                    if outcome != input.fresh {
                        return Ok(Some(DifferentCall { at, outcome }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns the shortest counter-example found, from the sequence up to `call`.
    fn shrink(&self, sequence: &[usize], mut call: DifferentCall) -> CounterExample {
        let mut left = MAX_SHRINKS;
        let mut sequence = sequence.get(..=call.at).unwrap_or_default().to_vec();
        while let Some((mut shorter, different)) = self.shorter(&sequence, &mut left) {
            shorter.truncate(different.at + 1);
            sequence = shorter;
            call = different;
        }
        self.shown(&sequence, &call.outcome)
    }

    /// Returns a part of the sequence that still has a different call: first without a half of it,
    /// then without smaller runs, last without a single call.
    fn shorter(&self, sequence: &[usize], left: &mut usize) -> Option<(Vec<usize>, DifferentCall)> {
        for size in successors(Some(sequence.len() / 2), |size| Some(size / 2)).take_while(|size| *size > 0) {
            for from in (0..sequence.len()).step_by(size) {
                *left = left.checked_sub(1)?;
                let mut shorter = sequence.to_vec();
                shorter.drain(from..(from + size).min(sequence.len()));
                if let Ok(Some(call)) = self.difference(&shorter) {
                    return Some((shorter, call));
                }
            }
        }
        None
    }

    /// Describes a sequence whose last call has another outcome than in a fresh instance.
    fn shown(&self, sequence: &[usize], outcome: &LeafOutcome) -> CounterExample {
        let names: Vec<_> = sequence.iter().filter_map(|place| self.group.inputs.get(*place)).collect();
        let Some((last, before)) = names.split_last() else {
            return CounterExample { what: "no call".to_owned(), diff: String::new() };
        };
        let before: Vec<_> = before.iter().map(|input| format!("`{}`", input.name)).collect();
        let text = |outcome: &LeafOutcome| outcome.as_ref().map_or_else(Clone::clone, |bytes: &Bytes| shown(bytes));
        CounterExample {
            what: format!(
                "- `{0}` in a fresh instance\n+ `{0}` in an instance that has served {1}\n  of the query {2}",
                last.name,
                before.join(", "),
                shown(&self.group.query),
            ),
            diff: diff(&text(&last.fresh), &text(outcome)),
        }
    }
}
