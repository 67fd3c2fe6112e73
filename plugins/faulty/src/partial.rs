//! What the parts hand to each other.

use std::collections::{BTreeMap, BTreeSet};

use frond_plugin::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many keys and reports a merged partial keeps.
pub const KEPT: usize = 1000;

/// What one or more leaves did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// How many leaves.
    pub count: u64,
    /// The first of their keys.
    pub keys: BTreeSet<String>,
    /// What their commands reported.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reports: BTreeMap<String, Value>,
}

impl Partial {
    /// One leaf that did its work.
    pub fn one(key: &str) -> Self {
        Self { count: 1, keys: BTreeSet::from([key.to_owned()]), reports: BTreeMap::new() }
    }

    /// One leaf that has something to tell.
    pub fn report(key: &str, report: Value) -> Self {
        Self { reports: BTreeMap::from([(key.to_owned(), report)]), ..Self::one(key) }
    }

    /// All together.
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

/// The answer: the merged partial and the coverage that finish got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// What all leaves did.
    #[serde(flatten)]
    pub partial: Partial,
    /// The query's weight.
    pub planned: u64,
    /// How much of it stands behind the answer.
    pub covered: u64,
    /// Whether that is all.
    pub complete: bool,
}

/// What a function returns: a value, or bytes that are none.
#[derive(Debug, PartialEq)]
pub enum Output<T> {
    /// The honest result.
    Value(T),
    /// This many bytes.
    Bytes(usize),
    /// This text.
    Text(String),
}

impl<T> Output<T> {
    /// The honest result, if it is one.
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

/// The macros want of a merge that it returns what it takes.
impl Decode for Output<Partial> {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        Partial::decode(bytes).map(Self::Value)
    }
}
