//! Data types of the partial and the answer.

use std::collections::{BTreeMap, BTreeSet};

use frond_plugin::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Maximum number of keys, and of reports, in a merged partial.
pub const KEPT: usize = 1000;

/// Results of one or more leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// Number of leaves.
    pub count: u64,
    /// Keys of their partitions: the first [`KEPT`] in order.
    pub keys: BTreeSet<String>,
    /// Reports of their commands by key: the first [`KEPT`] in order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reports: BTreeMap<String, Value>,
}

impl Partial {
    /// Makes the partial of one leaf.
    pub fn one(key: &str) -> Self {
        Self { count: 1, keys: BTreeSet::from([key.to_owned()]), reports: BTreeMap::new() }
    }

    /// Makes the partial of one leaf with a report.
    pub fn report(key: &str, report: Value) -> Self {
        Self { reports: BTreeMap::from([(key.to_owned(), report)]), ..Self::one(key) }
    }

    /// Merges partials.
    pub fn merge(partials: impl IntoIterator<Item = Self>) -> Self {
        let mut merged = Self::default();
        for partial in partials {
            merged.count += partial.count;
            merged.keys.extend(partial.keys);
            merged.reports.extend(partial.reports);
        }
        while merged.keys.len() > KEPT {
            merged.keys.pop_last();
        }
        while merged.reports.len() > KEPT {
            merged.reports.pop_last();
        }
        merged
    }
}

/// Answer: the merged partial, and the coverage that finish got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Results of all leaves.
    #[serde(flatten)]
    pub partial: Partial,
    /// Weight of the query's partitions.
    pub planned: u64,
    /// Weight of the partitions in the answer.
    pub covered: u64,
    /// Whether the answer covers all partitions.
    pub complete: bool,
}

/// Output of a function: an honest value, or arbitrary bytes in its place.
#[derive(Debug, PartialEq)]
pub enum Output<T> {
    /// An honest value.
    Value(T),
    /// This number of bytes.
    Bytes(usize),
    /// This text.
    Text(String),
}

impl<T> Output<T> {
    /// Returns the honest value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Bytes(_) | Self::Text(_) => None,
        }
    }
}

impl<T: Serialize> Encode for Output<T> {
    fn encode(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Value(value) => value.encode(),
            Self::Bytes(length) => Ok(vec![b'x'; length]),
            Self::Text(text) => Ok(text.into_bytes()),
        }
    }
}

/// Decodes an honest partial. The macro needs this: a merge's result has the type of its partials.
impl Decode for Output<Partial> {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        Partial::decode(bytes).map(Self::Value)
    }
}
