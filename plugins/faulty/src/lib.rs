//! Fixture that misbehaves on command, for tests of the sandbox and of the root: leaf, merge and
//! split in one component.
//!
//! The leaf looks for its command in the query's `faults` by its partition's key, then in the
//! query's `fault`, then in the key itself without a final `-` and digits: the partition `spin-17`
//! spins. An unknown command is `ok`. A command may have a number: `sleep-ms:50`.
//! [`leaf::COMMANDS`] is the list.
//!
//! ```json
//! {"fault": "ok", "faults": {"a": "trap"}, "merge-fault": "lie", "finish-fault": "spin",
//!  "split-fault": "panic", "split": ["ok", "spin"]}
//! ```
//!
//! A leaf that succeeds returns `{"count": 1, "keys": ["a"]}`, with the report of its command under
//! `"reports": {"a": …}`. Merge adds the counts and unites the keys and reports, of which it keeps
//! the first [`partial::KEPT`]. The answer is the merged partial with the coverage.
//! [`merger::COMMANDS`] lists the commands of merge, finish and split. Split returns the partitions
//! that the query lists under `split`, or else as many as are wanted, named `ok-0`, `ok-1`, ….
//!
//! The component imports `control` and `source`, so a partition's `data` is empty; `read-source`
//! pulls the content. Natively every command that needs the sandbox panics.

use std::collections::BTreeMap;

use frond_plugin::{Coverage, Failure, Partition};
use serde::Deserialize;

pub mod leaf;
pub mod lines;
pub mod merger;
pub mod outside;
pub mod partial;

use partial::{Answer, Output, Partial};

#[cfg(test)]
mod tests;

/// Query: the commands of each part. Unknown keys are ignored, so that two queries can differ by
/// them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Query {
    /// Command of every leaf.
    pub fault: Option<String>,
    /// Commands of single leaves, by their partitions' keys.
    pub faults: BTreeMap<String, String>,
    /// Command of merge.
    pub merge_fault: Option<String>,
    /// Command of finish.
    pub finish_fault: Option<String>,
    /// Command of split.
    pub split_fault: Option<String>,
    /// Keys of the partitions that split returns.
    pub split: Option<Vec<String>>,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);
frond_plugin::splitter!(split);

fn process(query: Query, partition: Partition) -> Result<Output<Partial>, Failure> {
    let command = query.faults.get(&partition.key).or(query.fault.as_ref());
    leaf::obey(command.map_or_else(|| prefix(&partition.key), String::as_str), &partition.key)
}

fn merge(query: Query, partials: Vec<Output<Partial>>) -> Result<Output<Partial>, Failure> {
    let partials: Vec<_> = partials.into_iter().filter_map(Output::value).collect();
    match query.merge_fault.as_deref() {
        Some("lie") => Ok(Output::Value(Partial::merge(partials.into_iter().skip(1)))),
        Some("unavailable-of-many") if partials.len() > 2 => {
            Err(Failure::unavailable("there are more than two partials"))
        }
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

/// Returns a key without its final `-` and digits.
fn prefix(key: &str) -> &str {
    match key.rsplit_once('-') {
        Some((prefix, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => prefix,
        _ => key,
    }
}
