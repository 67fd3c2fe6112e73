//! `frond.toml` as written, without defaults and cross-checks. Every value keeps its place for
//! later errors.

use frond_root::MergeOrder;
use frond_root::call::InstanceMode;
use serde::Deserialize;
use serde_spanned::Spanned;
use std::collections::BTreeMap;

use crate::source::{CutMode, PieceSize};

mod isolation;
mod limits;
mod text;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use isolation::IsolationKey;
pub(crate) use limits::LimitsTable;
#[cfg(test)]
pub(crate) use limits::{LeafLimits, MergeLimits, SplitLimits};
pub(crate) use text::Text;
pub(crate) use values::{Globs, Step};
pub use values::{Share, Size, Time};

/// The most entries of a list of grants, or of required partitions.
pub(crate) const MAX_ENTRIES: usize = 1_000;

/// Content of a `frond.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct Manifest {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) content_type: Option<Spanned<String>>,
    pub(crate) leaf: Option<LeafTable>,
    pub(crate) merge: Option<MergeTable>,
    pub(crate) split: Option<Spanned<ComponentTable>>,
    pub(crate) source: Option<SourceTable>,
    #[serde(default)]
    pub(crate) query: QueryTable,
    #[serde(default)]
    pub(crate) limits: LimitsTable,
    #[serde(default)]
    pub(crate) grants: GrantsTable,
    #[serde(default)]
    pub(crate) retry: RetryTable,
}

/// Table `[split]`: the keys that all component tables share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct ComponentTable {
    pub(crate) component: Spanned<String>,
    pub(crate) sha256: Option<Spanned<String>>,
    pub(crate) build: Option<Spanned<String>>,
}

/// Table `[leaf]`: the component, and the lifetime of its instances.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct LeafTable {
    // Not a flattened `ComponentTable`: flattening loses places and the refusal of unknown keys.
    pub(crate) component: Spanned<String>,
    pub(crate) sha256: Option<Spanned<String>>,
    pub(crate) build: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) instance: InstanceMode,
    pub(crate) isolation: Option<Spanned<IsolationKey>>,
}

impl LeafTable {
    /// Splits the table into its own keys, and those that all component tables share.
    pub(crate) fn split(self) -> ((InstanceMode, Option<Spanned<IsolationKey>>), ComponentTable) {
        let shared = ComponentTable { component: self.component, sha256: self.sha256, build: self.build };
        ((self.instance, self.isolation), shared)
    }
}

/// Table `[merge]`: the component, and the order of partials.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct MergeTable {
    // Not flattened, for the same reasons as in `LeafTable`.
    pub(crate) component: Spanned<String>,
    pub(crate) sha256: Option<Spanned<String>>,
    pub(crate) build: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) order: MergeOrder,
}

impl MergeTable {
    /// Splits the table into its order and the keys that all component tables share.
    pub(crate) fn split(self) -> (MergeOrder, ComponentTable) {
        let shared = ComponentTable { component: self.component, sha256: self.sha256, build: self.build };
        (self.order, shared)
    }
}

/// Table `[source]`, with the keys of every kind. The resolver refuses those of another kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct SourceTable {
    pub(crate) kind: Spanned<Kind>,
    pub(crate) glob: Option<Spanned<Globs>>,
    pub(crate) piece_size: Option<Spanned<PieceSize>>,
    pub(crate) cut: Option<Spanned<CutMode>>,
    pub(crate) partitions: Option<Spanned<Vec<ListedTable>>>,
    pub(crate) start: Option<Spanned<i64>>,
    pub(crate) end: Option<Spanned<i64>>,
    pub(crate) step: Option<Spanned<Step>>,
}

/// Kind of an app's source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    List,
    Files,
    Stdin,
    Range,
    Query,
    Split,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Files => "files",
            Self::Stdin => "stdin",
            Self::Range => "range",
            Self::Query => "query",
            Self::Split => "split",
        }
    }
}

/// One of `source.partitions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct ListedTable {
    pub(crate) key: Spanned<String>,
    pub(crate) data: Option<Spanned<String>>,
    pub(crate) file: Option<Spanned<String>>,
    pub(crate) weight: Option<Spanned<u64>>,
}

/// Table `[query]`: the promises of a query.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub(crate) struct QueryTable {
    pub(crate) deadline: Option<Spanned<Time>>,
    pub(crate) max_deadline: Option<Spanned<Time>>,
    pub(crate) floor: Option<Spanned<Share>>,
    pub(crate) require: Vec<Spanned<String>>,
}

/// Table `[grants]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub(crate) struct GrantsTable {
    pub(crate) directories: Vec<DirectoryTable>,
    pub(crate) env: Vec<Spanned<String>>,
    pub(crate) config: BTreeMap<Spanned<String>, String>,
    pub(crate) http: Vec<HttpTable>,
}

/// Entry of `grants.directories`: a folder that guests may read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct DirectoryTable {
    pub(crate) host: Spanned<String>,
    pub(crate) guest: Spanned<String>,
}

/// Entry of `grants.http`: a destination of guests' requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub(crate) struct HttpTable {
    pub(crate) host: Spanned<String>,
    pub(crate) methods: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) time: Option<Spanned<Time>>,
    pub(crate) body: Option<Spanned<Size>>,
    #[serde(default)]
    pub(crate) private: bool,
}

/// Table `[retry]`: the rules for retries.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a table")]
pub(crate) struct RetryTable {
    pub(crate) attempts: Option<Spanned<u32>>,
    pub(crate) first: Option<Spanned<Time>>,
    pub(crate) most: Option<Spanned<Time>>,
    pub(crate) within: Option<Spanned<Time>>,
    pub(crate) copies: Option<bool>,
    #[serde(default)]
    pub(crate) idempotent: bool,
}
