//! Counts lines that are longer than the length in the query.

{{modules}}

use serde::{Deserialize, Serialize};

/// The query, such as `{"longer-than": 20}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// Length in bytes; longer lines are counted.
    pub longer_than: u64,
}

/// The partial of a leaf or a merge, which is also the answer.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    pub count: u64,
}
