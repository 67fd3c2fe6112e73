//! Frames about partials that workers keep under a memo.

use bytes::Bytes;

/// Memo of a query. Its key stays at roots.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MemoOf {
    /// Id of the memo, which follows from its key.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Epoch of the run.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
}

/// A root asks for the partials that a worker keeps under a memo.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Recall {
    /// Number of the recall, within the session.
    #[prost(uint64, tag = "1")]
    pub recall: u64,
    /// Id of the memo.
    #[prost(bytes = "bytes", tag = "2")]
    pub id: Bytes,
}

/// Partials that a worker kept under a memo are stored.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Forget {
    /// Id of the memo.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Numbers of the partials.
    #[prost(fixed64, repeated, tag = "2")]
    pub partials: Vec<u64>,
}

/// A worker answers a recall: with one partial in each frame, and last with a frame without.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Held {
    /// Number of the recall.
    #[prost(uint64, tag = "1")]
    pub recall: u64,
    /// The partial; `None` if there are no more.
    #[prost(message, optional, tag = "2")]
    pub partial: Option<KeptPartial>,
}

/// Partial that a worker keeps.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeptPartial {
    /// Number of the partial, of this worker.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// Epoch of the run that the attempt belonged to.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Index of the partition.
    #[prost(uint32, tag = "3")]
    pub partition: u32,
    /// Number of the attempt.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
    /// Time that the leaf took.
    #[prost(uint64, tag = "5")]
    pub ran: u64,
    /// The partial.
    #[prost(bytes = "bytes", tag = "6")]
    pub partial: Bytes,
    /// Units that it accounts for; `None` for the whole partition.
    #[prost(message, optional, tag = "7")]
    pub units: Option<RangeOf>,
    /// True if the leaf ended with success; else it kept this before.
    #[prost(bool, tag = "8")]
    pub has_ended: bool,
    /// Token of the attempt, from its order.
    #[prost(bytes = "bytes", tag = "9")]
    pub token: Bytes,
}

/// Units that a partial accounts for.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct RangeOf {
    /// First unit.
    #[prost(uint64, tag = "1")]
    pub begin: u64,
    /// Unit after the last that the partial covers.
    #[prost(uint64, tag = "2")]
    pub end: u64,
    /// Unit after the last that is skipped.
    #[prost(uint64, tag = "3")]
    pub until: u64,
    /// All units of the partition.
    #[prost(uint64, tag = "4")]
    pub of: u64,
}
