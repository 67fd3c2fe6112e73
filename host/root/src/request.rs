//! What is asked: the query's bytes and the promises to keep while it is answered.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{PartitionKey, QueryId};
use crate::limit::Limit;
use crate::policy::retry::Retry;

/// How much of the planned weight an answer must stand on.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// Everything, or the query fails.
    #[default]
    All,
    /// At least this fraction of the weight, above 0 and at most 1. Once it is reached, the gather waits adaptively.
    AtLeast(f64),
    /// Anything above nothing, gathered until the deadline.
    BestEffort,
}

/// As it is written: `all`, `best-effort`, or a share such as `0.8` or `80%`.
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

/// Whether partials may be folded in any order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeOrder {
    /// The merge is commutative: partials are folded as they arrive.
    #[default]
    Any,
    /// Partials are folded in the order of their partitions.
    Partition,
}

/// One query to answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id, in every event.
    pub id: QueryId,
    /// The app's name, for displays.
    pub app: String,
    /// Fair-share group of the query: leaf threads are shared equally between tenants. The app's name, unless somebody says
    /// otherwise; a server adds the caller.
    pub tenant: Arc<str>,
    /// The query itself, opaque to the root.
    pub query: Bytes,
    /// From the start of planning to the answer.
    pub deadline: Duration,
    /// The limit that the deadline stands for, when it is not the query's own: a job's timeout.
    pub limit: Option<Limit>,
    /// How much must be there.
    pub floor: Floor,
    /// Partitions that must be there whatever the floor says.
    pub required: Vec<PartitionKey>,
    /// The order of the merge.
    pub order: MergeOrder,
    /// Leaves that may run at once, at least 1.
    pub slots: usize,
    /// One attempt's own limit, within the deadline.
    pub leaf_time: Option<Duration>,
    /// The largest partial that a leaf may return, in bytes.
    pub leaf_output: u64,
    /// What partials held for merging may take, in bytes, each charged at 1.5 times its size.
    pub partials_memory: u64,
    /// The 99th percentile of this app's past merges of this size, when known.
    pub merge_p99: Option<Duration>,
    /// When failed attempts are tried again.
    pub retry: Retry,
    /// For work that waits while other queries have any: its share of the slots beside other such work, twice for twice the
    /// weight. `None` for a query that is waited for.
    pub background: Option<u32>,
}

impl Request {
    /// A request with the defaults of `frond.toml`.
    pub fn new(app: impl Into<String>, query: impl Into<Bytes>) -> Self {
        let app = app.into();
        Self {
            id: QueryId::new(),
            tenant: Arc::from(app.as_str()),
            app,
            query: query.into(),
            deadline: Duration::from_secs(10),
            limit: None,
            floor: Floor::All,
            required: Vec::new(),
            order: MergeOrder::Any,
            slots: 1,
            leaf_time: None,
            leaf_output: 4 << 20,
            partials_memory: 256 << 20,
            merge_p99: None,
            retry: Retry::QUERY,
            background: None,
        }
    }
}
