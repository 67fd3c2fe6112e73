//! Misbehaves on command: the fixture with which the sandbox and the root are tested. Leaf, merge and split in one component.
//!
//! The leaf looks for its command in the query's `faults` by its partition's key, then in the query's `fault`, then in
//! the key itself without a final `-` and digits: the partition `spin-17` spins. What is no command is `ok`. A command may
//! carry a number: `sleep-ms:50`. [`leaf::COMMANDS`] is the list.
//!
//! ```json
//! {"fault": "ok", "faults": {"a": "trap"}, "merge-fault": "lie", "finish-fault": "spin", "split-fault": "panic",
//!  "split": ["ok", "spin"]}
//! ```
//!
//! A leaf that succeeds gives `{"count": 1, "keys": ["a"]}`, and what its command reports under `"reports": {"a": …}`; merging
//! adds and unites these, keeping the first [`partial::KEPT`] keys and reports; the answer is the merged partial with the
//! coverage. [`merger::COMMANDS`] lists what merge, finish and split obey. Split gives the partitions that the query lists
//! under `split`, or as many as are wanted, named `ok-0`, `ok-1`, ….
//!
//! The component imports `control` and `source`, so a partition's `data` is empty for it; `read-source` pulls the content.
//! Natively every command that needs the sandbox is a panic.

use std::collections::BTreeMap;

use frond_plugin::{Coverage, Failure, Partition};
use serde::Deserialize;

pub mod leaf;
pub mod merger;
pub mod outside;
pub mod partial;

use partial::{Answer, Output, Partial};

#[cfg(test)]
mod tests;

/// Which part is to misbehave, and how. Other keys are let through, so that two queries can differ by them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Query {
    /// What every leaf does.
    pub fault: Option<String>,
    /// What the leaf of each partition does.
    pub faults: BTreeMap<String, String>,
    /// What merge does.
    pub merge_fault: Option<String>,
    /// What finish does.
    pub finish_fault: Option<String>,
    /// What split does.
    pub split_fault: Option<String>,
    /// The keys of the partitions that split gives.
    pub split: Option<Vec<String>>,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);
frond_plugin::splitter!(split);

fn process(query: Query, partition: Partition) -> Result<Output<Partial>, Failure> {
    let asked = query.faults.get(&partition.key).or(query.fault.as_ref());
    leaf::obey(asked.map_or_else(|| prefix(&partition.key), String::as_str), &partition.key)
}

fn merge(query: Query, partials: Vec<Output<Partial>>) -> Result<Output<Partial>, Failure> {
    let partials = partials.into_iter().filter_map(Output::value);
    match query.merge_fault.as_deref() {
        Some("lie") => Ok(Output::Value(Partial::merge(partials.skip(1)))),
        fault => merger::obey(fault, || Partial::merge(partials)),
    }
}

fn finish(query: Query, merged: Option<Partial>, coverage: Coverage) -> Result<Output<Answer>, Failure> {
    let Coverage { planned, covered, complete } = coverage;
    let partial = merged.unwrap_or_default();
    merger::obey(query.finish_fault.as_deref(), || Answer { partial, planned, covered, complete })
}

fn split(query: Query, wanted: u32) -> Result<Vec<Partition>, Failure> {
    let fault = query.split_fault.as_deref();
    if let Output::Bytes(length) = merger::obey(fault, || ())? {
        return Ok(vec![Partition { key: "huge".to_owned(), index: 0, data: vec![b'x'; length] }]);
    }
    let keys = query.split.unwrap_or_else(|| (0..wanted).map(|index| format!("ok-{index}")).collect());
    Ok((0..).zip(keys).map(|(index, key)| Partition { key, index, data: Vec::new() }).collect())
}

/// A key without its final `-` and digits.
fn prefix(key: &str) -> &str {
    match key.rsplit_once('-') {
        Some((prefix, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => prefix,
        _ => key,
    }
}
