//! Request of a query: its bytes, and the promises to keep while it is answered.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{PartitionKey, QueryId};
use crate::limit::Limit;
use crate::plan::MAX_PARTITIONS;
use crate::policy::hedge::CopySettings;
use crate::policy::retry::Retry;

/// Least share of the planned weight that an answer must cover.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// The whole weight.
    #[default]
    All,
    /// At least this share of the weight, above 0 and at most 1. The gather waits adaptively once
    /// the floor is reached.
    AtLeast(f64),
    /// Anything above nothing; gathers until the deadline.
    BestEffort,
}

/// Parses `all`, `best-effort`, or a share such as `0.8` or `80%`.
impl FromStr for Floor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
            None => text.parse::<f64>(),
        };
        match (text, share) {
            ("all", _) => Ok(Self::All),
            ("best-effort", _) => Ok(Self::BestEffort),
            (_, Ok(share)) if share > 0.0 && share <= 1.0 => Ok(Self::AtLeast(share)),
            _ => Err("write `all`, `best-effort`, or a share above 0 and at most 1, such as 0.8 or 80%".to_owned()),
        }
    }
}

/// Order in which partials are folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeOrder {
    /// Any order, as partials arrive: the merge is commutative.
    #[default]
    Any,
    /// The order of the partitions.
    Partition,
}

/// Fair-share group of a query: one app, as one caller uses it. Slots are shared equally between
/// callers, and the part of each caller equally between its apps.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant {
    /// Name of the caller. Without callers, the app's name.
    pub caller: Arc<str>,
    /// Name of the app.
    pub app: Arc<str>,
}

impl Tenant {
    /// The group of an app without callers.
    #[must_use]
    pub fn of_app(app: &str) -> Self {
        let app: Arc<str> = Arc::from(app);
        Self { caller: app.clone(), app }
    }
}

/// Key under which workers keep finished partials until the journal has stored them. If the process
/// that runs the query dies, the next one that runs it recalls them with the same key.
#[derive(Clone, PartialEq, Eq)]
pub struct Memo {
    /// The key, a secret of those who may run the query: whoever has it gets the partials.
    pub key: Bytes,
    /// Epoch of the run, such as that of a lease. The number of an attempt identifies it within one
    /// epoch.
    pub epoch: u64,
}

impl fmt::Debug for Memo {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// One query to answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// Id of the query, part of every event.
    pub id: QueryId,
    /// Name of the app, for displays.
    pub app: String,
    /// Fair-share group of the query. By default the app alone; a server adds the caller.
    pub tenant: Tenant,
    /// Bytes of the query, opaque to the root.
    pub query: Bytes,
    /// Time from the start of planning to the answer.
    pub deadline: Duration,
    /// Limit behind the deadline, when it is not the query's own: a job's timeout.
    pub limit: Option<Limit>,
    /// Least share of the weight that the answer must cover.
    pub floor: Floor,
    /// Partitions that the answer must contain, whatever the floor.
    pub required: Vec<PartitionKey>,
    /// Order of the merge.
    pub order: MergeOrder,
    /// The most partitions.
    pub partitions: usize,
    /// Time limit of one attempt, within the deadline.
    pub leaf_time: Option<Duration>,
    /// The largest partial of a leaf, in bytes.
    pub leaf_output: u64,
    /// Memory for held partials in bytes, each charged at 1.5 times its size.
    pub partials_memory: u64,
    /// 99th percentile of this app's past merges of this size, if known.
    pub merge_p99: Option<Duration>,
    /// Rules for retries of failed attempts.
    pub retry: Retry,
    /// Rules for copies of slow attempts.
    pub copies: CopySettings,
    /// Weight of a background query, which waits while other queries have leaves to run. Among
    /// background queries, slots are shared in proportion to the weights. `None` for a foreground
    /// query.
    pub background: Option<u32>,
    /// Key under which workers keep what the journal has not stored; `None` if they keep nothing.
    /// It has no effect without a journal.
    pub memo: Option<Memo>,
}

impl Request {
    /// A request with the defaults of `frond.toml`.
    pub fn new(app: impl Into<String>, query: impl Into<Bytes>) -> Self {
        let app = app.into();
        Self {
            id: QueryId::new(),
            tenant: Tenant::of_app(&app),
            app,
            query: query.into(),
            deadline: Duration::from_secs(10),
            limit: None,
            floor: Floor::All,
            required: Vec::new(),
            order: MergeOrder::Any,
            partitions: MAX_PARTITIONS,
            leaf_time: None,
            leaf_output: 4 << 20,
            partials_memory: 256 << 20,
            merge_p99: None,
            retry: Retry::QUERY,
            copies: CopySettings::ON,
            background: None,
            memo: None,
        }
    }
}
