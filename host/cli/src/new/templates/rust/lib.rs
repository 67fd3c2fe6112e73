//! Counts lines that are longer than the query says.

{{modules}}

use serde::{Deserialize, Serialize};

/// What the client asks, such as `{"longer-than": 20}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// In bytes.
    pub longer_than: u64,
}

/// What a leaf returns, and what a merge makes of several.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    pub count: u64,
}
